import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { waitFor } from '../support/wait.ts';
import { startReceiver } from '../webhooks/support.ts';
import {
  belfry,
  type Finished,
  type Started,
  startBelfry,
  stopBelfry,
  temporaryDirectory,
} from './belfry.ts';

let database: TestDatabase;
let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
let server: Started;

beforeAll(async () => {
  database = await createTestDatabase();
  directory = await temporaryDirectory();
  server = await startBelfry({
    DATABASE_URL: database.url,
    BELFRY_DATA_DIR: directory.path,
    BELFRY_ALLOW_PRIVATE_WEBHOOKS: 'true',
  });
});
afterAll(async () => {
  await stopBelfry(server);
  await directory?.remove();
  await database?.drop();
});

function run(...args: readonly string[]): Promise<Finished> {
  return belfry(['webhooks', ...args], server.env);
}

test('a webhook is added, told, looked at, replayed, stopped and removed from the shell', async () => {
  const receiver = await startReceiver();
  const added = JSON.parse((await run('add', receiver.url, '--json')).stdout);
  expect(added.secret).toMatch(/^whsec_/);
  expect((await run('list')).stdout).toMatch(
    new RegExp(`${added.id} +enabled +26 +${receiver.url}`),
  );
  const workflow = {
    name: 'Told',
    steps: [
      { ref: 'a', type: 'channel', channel_key: 'in-app', template: { markdown_body: 'Hi' } },
    ],
  };
  const credentials = JSON.parse(await readFile(join(directory.path, 'credentials.json'), 'utf8'));
  await fetch(`${server.url}/control/v1/push`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${credentials.service_token}`,
      'content-type': 'application/json',
    },
    body: JSON.stringify({ workflows: [{ key: 'told', content: workflow }] }),
  });
  await waitFor('the push to be told', () =>
    receiver.received.some(({ type }) => type === 'workflow.committed') ? true : undefined,
  );
  await waitFor('the log', async () =>
    / workflow\.committed +delivered +1 +200/.test((await run('log', added.id)).stdout)
      ? true
      : undefined,
  );
  const { items } = JSON.parse(
    (await run('log', added.id, '--status', 'delivered', '--json')).stdout,
  );
  const before = receiver.received.length;
  expect((await run('replay', added.id, '--delivery', items[0].id)).stdout).toContain(
    'is sent again',
  );
  await waitFor('the replay', () => (receiver.received.length > before ? true : undefined));
  expect((await run('replay', added.id, '--from', '2026-01-01T00:00:00Z', '--all')).code).toBe(0);
  expect((await run('replay', added.id)).stderr).toContain('--delivery');
  expect((await run('disable', added.id, '--reason', 'moving')).stdout).toContain(
    'is disabled: moving',
  );
  expect((await run('list')).stdout).toMatch(/disabled .* moving/);
  expect((await run('enable', added.id)).stdout).toContain('is enabled');
  expect((await run('rotate', added.id)).stdout).toMatch(/shown only now: whsec_/);
  expect((await run('remove', added.id)).stdout).toContain('is gone');
  expect((await run('list')).stdout).toContain('has no webhooks');
  await receiver.close();
}, 60_000);
