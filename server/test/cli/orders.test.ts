import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { waitFor } from '../support/wait.ts';
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
  server = await startBelfry({ DATABASE_URL: database.url, BELFRY_DATA_DIR: directory.path });
});
afterAll(async () => {
  await stopBelfry(server);
  await directory?.remove();
  await database?.drop();
});

function run(...args: readonly string[]): Promise<Finished> {
  return belfry(args, server.env);
}

async function runJson(...args: readonly string[]) {
  const { code, stdout, stderr } = await run(...args, '--json');
  expect([code, stderr]).toEqual([0, '']);
  return JSON.parse(stdout);
}

const why = ['--reason', 'because', '--yes'];

/** Triggers runs that wait, because an order is in their way. */
async function trigger(recipients: readonly string[], ...options: string[]): Promise<void> {
  const to = recipients.flatMap((recipient) => ['--recipient', recipient]);
  await runJson('trigger', 'new-comment', ...to, '--data', '{"comment":"hi"}', ...options);
}

/** Work is set aside a moment after it was accepted. */
async function asideIs(id: string, runs: number): Promise<void> {
  await waitFor(`${runs} runs aside`, async () =>
    (await runJson('orders', id)).aside.runs === runs ? true : undefined,
  );
}

async function doneRuns(): Promise<number> {
  const [row] = await database.db.query<{ runs: number }>(
    'select count(*) as runs from recipient_run',
  );
  return row?.runs ?? 0;
}

test('a hold keeps what comes, shows it, exports it, and lets it go once', async () => {
  const held = await runJson('hold', '--account', 'demo', ...why, '--author', 'mara');
  expect(held).toMatchObject({
    verb: 'hold',
    state: 'active',
    scope: { account: 'demo' },
    reason: 'because',
    undo: `belfry release ${held.id}`,
  });
  expect(held.author).toMatch(/^mara \(operator_\d+\)$/);
  const lastsMs = Date.parse(held.expires_at) - Date.parse(held.created_at);
  expect(Math.round(lastsMs / 3_600_000)).toBe(24);

  await trigger(['ada', 'bo', 'cy']);
  const id = String(held.id);
  await asideIs(id, 3);
  expect((await runJson('orders', '--active')).entries).toMatchObject([
    { id: held.id, aside: { runs: 3 } },
  ]);
  await waitFor('the hold among the metrics', async () =>
    (await (await fetch(`${server.url}/metrics`)).text()).includes('belfry_orders{verb="hold"} 1')
      ? true
      : undefined,
  );
  const file = join(directory.path, 'held.ndjson');
  expect(await runJson('orders', id, '--export', file)).toMatchObject({ lines: 3 });
  const lines = (await readFile(file, 'utf8')).trimEnd().split('\n');
  expect(lines.map((line) => JSON.parse(line).recipient).sort()).toEqual(['ada', 'bo', 'cy']);
  const again = await run('orders', id, '--export', file);
  expect([again.code, again.stderr]).toEqual([1, expect.stringContaining('exists')]);
  expect(await doneRuns()).toBe(0);

  expect(await runJson('release', id)).toMatchObject({ state: 'ended' });
  await waitFor('no hold among the metrics', async () =>
    (await (await fetch(`${server.url}/metrics`)).text()).includes('belfry_orders{verb="hold"} 0')
      ? true
      : undefined,
  );
  await waitFor('the released runs', async () => ((await doneRuns()) === 3 ? true : undefined));
  const ended = await run('release', id, '--json');
  expect(ended.code).toBe(1);
  expect(JSON.parse(ended.stdout).error.message).toMatch(/\d/);
});

test('without a terminal and without --yes the preview is shown and nothing is changed', async () => {
  const before = await runJson('orders');
  const { code, stdout, stderr } = await run('hold', '--account', 'demo', '--reason', 'x');
  expect([code, stdout]).toEqual([1, '']);
  expect(stderr).toMatch(/^scope +demo$/m);
  expect(stderr).toMatch(/Nothing was changed: .* --yes/);
  expect(await runJson('orders')).toEqual(before);
});

test.each([
  [['hold', '--account', 'acne', ...why], 'resource_missing', /no account "acne"/],
  [['hold', '--account', 'demo', '--workflow', 'nix', ...why], 'resource_missing', /there are /],
  [['hold', ...why], 'usage', /Whose work\?/],
  [['hold', '--account', 'demo', '--yes'], 'usage', /Why\?/],
  [['hold', '--account', 'demo', '--for', 'long', ...why], 'usage', /--for is "long"/],
  [['hold', '--account', 'demo', '--from', 'dawn', ...why], 'usage', /--from is "dawn"/],
  [['slow', '--account', 'demo', '--rate', '0', ...why], 'invalid_params', /rate/],
  [['release', '999999'], 'resource_missing', /999999/],
  [['orders', '999999'], 'resource_missing', /999999/],
  [['orders', '--export', 'nowhere'], 'usage', /Which order\?/],
])('%j says what is wrong and changes nothing', async (args, code, message) => {
  const before = await runJson('orders');
  const finished = await run(...args, '--json');
  expect(finished.code).toBe(1);
  const { error } = JSON.parse(finished.stdout);
  expect(error.code).toBe(code);
  expect(error.message).toMatch(message);
  expect(await runJson('orders')).toEqual(before);
});

test('a discard is undone by replay, and release says so', async () => {
  const before = await doneRuns();
  const hold = await runJson('hold', '--account', 'demo', ...why);
  await trigger(['di']);
  const { id } = await runJson('discard', '--account', 'demo', ...why);
  await runJson('release', String(hold.id));
  const wrong = await run('release', String(id));
  expect([wrong.code, wrong.stderr]).toEqual([
    1,
    expect.stringContaining(`end it with: belfry replay ${id}`),
  ]);
  expect(await doneRuns()).toBe(before);
  await runJson('replay', String(id), '--reason', 'after all');
  await waitFor('the replayed run', async () =>
    (await doneRuns()) === before + 1 ? true : undefined,
  );
  const { entries } = await runJson('audit', '--limit', '4');
  expect(
    entries.map(({ action, order }: { action: string; order: number }) => [action, order]),
  ).toEqual([
    ['replay', id],
    ['release', hold.id],
    ['discard', id],
    ['hold', hold.id],
  ]);
});

test('a leaked key is revoked and what it brought is held, in one go', async () => {
  const before = await doneRuns();
  const { id, key } = await runJson('keys', 'create', '--kind', 'secret');
  const hint = key.slice(-4);
  const pause = await runJson('hold', '--account', 'demo', ...why);
  await trigger(['eve'], '--secret-key', key);
  await trigger(['fay']);
  const revoked = await runJson('keys', 'revoke', `...${hint}`, '--hold', '--reason', 'leaked');
  expect(revoked).toMatchObject({
    id,
    revoked: true,
    order: { verb: 'hold', scope: { key: { id, hint } } },
  });
  await runJson('release', String(pause.id));
  await waitFor('the others', async () => ((await doneRuns()) === before + 1 ? true : undefined));
  await asideIs(String(revoked.order.id), 1);
  await runJson('discard', '--key', id, ...why);
  await runJson('release', String(revoked.order.id));
  expect(await doneRuns()).toBe(before + 1);
});

test('a key that brings no work is revoked, and --hold says that there is nothing to hold', async () => {
  const { id } = await runJson('keys', 'create', '--kind', 'service');
  const { code, stdout } = await run('keys', 'revoke', id, '--hold', '--reason', 'leaked');
  expect([code, stdout]).toEqual([0, expect.stringMatching(/brings no work/)]);
});

test('a file that cannot be written is said before anything is read', async () => {
  const { entries } = await runJson('orders', '--limit', '1');
  const file = join(directory.path, 'plain');
  await writeFile(file, '');
  const { code, stderr } = await run('orders', String(entries[0].id), '--export', join(file, 'x'));
  expect([code, stderr]).toEqual([1, expect.stringContaining('cannot be written')]);
});
