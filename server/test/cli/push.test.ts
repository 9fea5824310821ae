import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readValue } from '../../src/cli/read-value.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import {
  belfry,
  type Finished,
  type Started,
  startBelfry,
  stopBelfry,
  temporaryDirectory,
} from './belfry.ts';

/** Pushing a whole directory, and the variables that its templates see. */

let database: TestDatabase;
let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
let server: Started;

beforeAll(async () => {
  database = await createTestDatabase();
  directory = await temporaryDirectory();
  server = await startBelfry({ DATABASE_URL: database.url, BELFRY_DATA_DIR: directory.path });
});
afterAll(async () => {
  await stopBelfry(server);
  await directory?.remove();
  await database?.drop();
});

function run(args: readonly string[], input?: string): Promise<Finished> {
  return belfry(args, server.env, input);
}

async function files(content: { readonly [path: string]: string | object }): Promise<void> {
  for (const [path, text] of Object.entries(content)) {
    const file = join(directory.path, path);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, typeof text === 'string' ? text : JSON.stringify(text));
  }
}

const welcome = {
  name: 'Welcome',
  steps: [
    {
      ref: 'feed_1',
      type: 'channel',
      channel_key: 'in-app',
      template: { 'markdown_body@': 'feed_1/markdown_body.md' },
    },
  ],
};

test('push publishes a whole directory, tells line and column of what is wrong, and warns apart', async () => {
  await files({
    'knock/workflows/welcome/workflow.json': welcome,
    'knock/workflows/welcome/feed_1/markdown_body.md': 'Hello\n\n{{ "hi" | nonsense }}',
    'knock/partials/sign/partial.json': { name: 'S', type: 'text', 'content@': 'content.txt' },
    'knock/partials/sign/content.txt': 'Bye',
    'knock/translations/es/es.json': '{"hi": "Hola"}',
  });
  const refused = await run(['push', join(directory.path, 'knock')]);
  expect(refused.code).toBe(1);
  expect(refused.stderr).toContain('workflows/welcome/feed_1/markdown_body.md:3:');
  await files({
    'knock/workflows/welcome/feed_1/markdown_body.md': '{{ "hi" | t }} {% render "sign" %}',
  });
  const checked = await run(['push', join(directory.path, 'knock'), '--check']);
  expect(checked).toMatchObject({ code: 0 });
  expect(checked.stdout).toContain('Checked 3 things: nothing is wrong. Nothing was published.');
  const pushed = await run(['push', join(directory.path, 'knock')]);
  expect(pushed).toMatchObject({ code: 0 });
  expect(pushed.stdout).toMatch(/^welcome +1 +published$/m);
  expect(pushed.stdout).toMatch(/^partials\/sign +published$/m);
  expect(pushed.stdout).toMatch(/^translations\/es +published$/m);
  expect(pushed.stderr).toContain(
    'warning: translations/es/es.json: $.content: has "hi", which the default locale "en" lacks',
  );
});

test('push of a whole directory warns of what only the environment has, that of one workflow does not', async () => {
  await files({
    'whole/workflows/other/workflow.json': {
      name: 'Other',
      steps: [
        { ref: 'a', type: 'channel', channel_key: 'in-app', template: { markdown_body: 'x' } },
      ],
    },
    'whole/workflows/renamed/workflow.json': { name: 'Renamed', active: false, steps: [] },
  });
  const whole = await run(['push', join(directory.path, 'whole'), '--check']);
  expect(whole).toMatchObject({ code: 0 });
  expect(whole.stderr).toMatch(
    /development has what the directory has not, and it stays: .*welcome/,
  );
  expect(whole.stderr).not.toContain('partials/');
  const one = await run(['push', join(directory.path, 'whole/workflows/other'), '--check']);
  expect(one).toMatchObject({ code: 0 });
  expect(one.stderr).not.toContain('stays');
});

test('variables are set, listed and unset; a secret comes by stdin and is never shown', async () => {
  expect(await run(['variables', 'set', 'host', 'a.example'])).toMatchObject({ code: 0 });
  const secret = await run(['variables', 'set', 'token', '--secret'], 'hush-hush\n');
  expect(secret).toMatchObject({ code: 0 });
  const argument = await run(['variables', 'set', 'token', 'hush-hush', '--secret']);
  expect(argument).toMatchObject({ code: 1, stderr: expect.stringContaining('on stdin') });
  await run(['variables', 'set', 'host', 'b.example', '--environment', 'production']);
  const list = await run(['variables', 'list']);
  expect(list.stdout).toMatch(/^host +public +all +a\.example /m);
  expect(list.stdout).toMatch(/^host +public +production +b\.example /m);
  expect(list.stdout).toMatch(/^token +secret +all +•+ /m);
  for (const { stdout, stderr } of [secret, argument, list]) {
    expect(stdout + stderr).not.toContain('hush-hush');
  }
  expect(await run(['variables', 'unset', 'host'])).toMatchObject({ code: 0 });
  expect(await run(['variables', 'unset', 'host'])).toMatchObject({ code: 1 });
});

test('branding is changed field by field', async () => {
  await run(['branding', 'primary_color=#111111', 'logo_url=https://x.example/l.png']);
  const shown = await run(['branding', 'logo_url=']);
  expect(shown.stdout).toMatch(/^primary_color +#111111$/m);
  expect(shown.stdout).not.toContain('logo_url');
});

test('a value typed at a terminal is not shown, and can be corrected', async () => {
  const stdin = new PassThrough() as unknown as NodeJS.ReadStream;
  const modes: boolean[] = [];
  stdin.isTTY = true;
  stdin.setRawMode = (raw) => {
    modes.push(raw);
    return stdin;
  };
  const stderr = new PassThrough();
  const value = readValue('Value of token', { stdin, stderr });
  (stdin as unknown as PassThrough).write('hus\u007fsh\r');
  expect(await value).toBe('hush');
  expect(modes).toEqual([true, false]);
  expect(String(stderr.read())).toBe('Value of token: \n');
});
