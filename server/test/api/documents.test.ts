import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openApiDocument } from '../../src/api/openapi.ts';
import { ConfigError, readClientConfig, readConfig } from '../../src/config.ts';
import { configDocument, configVariables } from '../../src/config-variables.ts';
import { errorCatalogue, errorDocument } from '../../src/lib/errors.ts';
import { sdkCalls } from '../contract/sdk-methods.ts';

const root = join(import.meta.dirname, '..', '..', '..');
const file = (path: string) => readFile(join(root, path), 'utf8');

test('docs/errors.md lists exactly the catalogue of errors', async () => {
  const text = await file('docs/errors.md');
  const listed = [...text.matchAll(/^\| `([a-z_]+)` \| (\d+) \|/gm)].map(([, code, status]) => [
    code,
    Number(status),
  ]);
  expect(listed).toEqual(
    Object.entries(errorCatalogue).map(([code, { status }]) => [code, status]),
  );
  expect(text).toBe(errorDocument());
});

test('docs/configuration.md lists exactly the variables that are read', async () => {
  const read = new Set<string>();
  const env = new Proxy<Record<string, string | undefined>>(
    {},
    {
      get: (_target, name) => {
        read.add(String(name));
        return undefined;
      },
    },
  );
  readConfig(env);
  readClientConfig(env);
  // Conventions of terminals, not ours to document.
  for (const name of ['NO_COLOR', 'TERM']) read.delete(name);
  expect([...read].sort()).toEqual(configVariables.map(([name]) => name).sort());
  expect(await file('docs/configuration.md')).toBe(configDocument());
});

test('server/openapi.json is what the routes say', async () => {
  expect(await file('server/openapi.json')).toBe(await openApiDocument(sdkCalls()));
});

test('without variables everything has its documented default', () => {
  expect(readConfig({ BELFRY_PORT: '', BELFRY_DATA_DIR: ' ' })).toMatchObject({
    port: 4400,
    host: '127.0.0.1',
    dataDir: join(process.cwd(), '.belfry'),
    databaseUrl: undefined,
    smtpUrl: undefined,
    allowPrivateWebhooks: false,
    logLevel: 'info',
    executors: 1,
    canaryMs: 15_000,
  });
});

test.each([
  ['BELFRY_PORT', 'http'],
  ['BELFRY_PORT', '65536'],
  ['BELFRY_PORT', '-1'],
  ['BELFRY_EXECUTORS', '0'],
  ['BELFRY_CANARY', '0'],
  ['BELFRY_LOG_LEVEL', 'loud'],
  ['BELFRY_ALLOW_PRIVATE_WEBHOOKS', 'maybe'],
  ['DATABASE_URL', 'mysql://user:hush@host/db'],
  ['BELFRY_SMTP_URL', 'mail.example.com'],
  ['BELFRY_LOG_STORE', 'http://belfry:hush@/belfry'],
])('a bad %s (%s) is refused with its name and the way out, without secrets', (name, value) => {
  const refused = () => readConfig({ [name]: value });
  expect(refused).toThrowError(ConfigError);
  expect(refused).toThrowError(new RegExp(`^${name} is .*: set `));
  expect(refused).not.toThrowError(/hush/);
});
