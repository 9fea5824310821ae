import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { confirm } from '../../src/cli/confirm.ts';
import { durationText, parseDuration } from '../../src/cli/duration.ts';
import { exportTo } from '../../src/cli/export-order.ts';
import { givenText, ordersTable, previewText } from '../../src/cli/order-view.ts';
import { createStyle } from '../../src/cli/style.ts';
import type { JsonObject } from '../../src/lib/json.ts';

const style = createStyle(false);
const now = Date.parse('2026-05-01T04:12:00Z');

let directory = '';
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'belfry-orders-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

function terminal(isTTY: boolean) {
  const stdin = Object.assign(new PassThrough(), { isTTY });
  const stderr = Object.assign(new PassThrough(), { isTTY });
  return { stdin, stderr };
}

test.each(['y\n', 'yes\n', 'Y\n'])('%j is a yes', async (answer) => {
  const { stdin, stderr } = terminal(true);
  const asked = confirm('Hold 5 runs of acme?', { stdin, stderr });
  stdin.write(answer);
  await asked;
  expect(String(stderr.read())).toContain('Hold 5 runs of acme? [y/N]');
});

test.each(['\n', 'n\n', 'yeah\n', undefined])(
  '%j is no yes, and nothing happens',
  async (answer) => {
    const { stdin, stderr } = terminal(true);
    const asked = confirm('Hold?', { stdin, stderr });
    if (answer === undefined) stdin.end();
    else stdin.write(answer);
    await expect(asked).rejects.toMatchObject({ code: 'not_confirmed' });
  },
);

test('where nobody can be asked, the error says how to do it without', async () => {
  await expect(confirm('Hold?', terminal(false))).rejects.toThrow(/no terminal.* --yes/);
});

test('times are read and written in the units that people use', () => {
  expect(['90s', '30m', '2h', '7d'].map((text) => parseDuration('--for', text))).toEqual([
    90, 1_800, 7_200, 604_800,
  ]);
  for (const text of ['', '2', 'h', '0h', '1w', '-1h', '1.5h']) {
    expect(() => parseDuration('--for', text)).toThrow(/--for is ".*"; write a time such as/);
  }
  expect([5, 60, 90, 720, 3_600, 86_400, 604_800].map(durationText)).toEqual([
    '5 s',
    '1 min',
    '90 s',
    '12 min',
    '1 h',
    '24 h',
    '7 d',
  ]);
});

const order: JsonObject = {
  id: 17,
  verb: 'hold',
  state: 'active',
  scope: { account: 'acme', environment: 'production', key: { id: 'key_3', hint: 'ab12' } },
  rate: null,
  author: 'mara',
  reason: 'flood',
  created_at: '2026-05-01T04:00:00.000Z',
  expires_at: '2026-05-02T04:12:00.000Z',
  concerned: { runs: 5_012_400, deliveries: 1, estimated: true },
};

test('an order that was given says what it concerns, until when, and how to undo it', () => {
  const text = givenText(style, order, now);
  expect(text).toContain('Order 17: hold of acme/production, key ...ab12.');
  expect(text).toContain('about 5,012,400 runs and 1 delivery wait');
  expect(text).toMatch(/until 2026-05-02 .* \(24 h\)/);
  expect(text).toMatch(/^undo with: belfry release 17$/m);
  expect(givenText(style, { ...order, verb: 'discard' }, now)).toMatch(
    /^undo with: belfry replay 17$/m,
  );
});

test('a preview has the count, the oldest with its zone and age, and samples', () => {
  const preview = {
    scope: { account: 'acme' },
    runs: 3,
    deliveries: 0,
    estimated: false,
    oldest: '2026-05-01T04:00:00.000Z',
    samples: [
      {
        run_id: 'r1',
        workflow: 'digest',
        tenant: null,
        recipient: { collection: 'teams', id: 't\u001b[2J' },
        accepted_at: '2026-05-01T04:00:00.000Z',
      },
    ],
  };
  const text = previewText(style, preview, now);
  expect(text).toMatch(/^queued +3 runs$/m);
  expect(text).toMatch(/^oldest +2026-05-01 \d\d:\d\d:00 (?:UTC|[+-]\d\d:\d\d), 12 min ago$/m);
  expect(text).toMatch(/^r1 +digest +teams\/t/m);
  expect(text).not.toContain('\u001b');
  const nothing = { ...preview, runs: 0, oldest: null, samples: [] };
  expect(previewText(style, nothing, now)).toMatch(/^oldest +nothing$/m);
});

test('the list of orders has who, why, how old and until when', () => {
  const rows = ordersTable(style, [{ ...order, aside: { runs: 1_200, deliveries: 0 } }], now);
  expect(rows.split('\n')[1]).toMatch(
    /^17 +hold +active +acme\/production, key \.\.\.ab12 +1,200 +12 min +mara +flood +2026-05-02/,
  );
});

async function* pieces(...texts: string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) {
    if (text === 'broken') throw new Error('terminated');
    yield Buffer.from(text);
  }
}

test('an export is a whole file or none', async () => {
  const file = join(directory, 'out.ndjson');
  const { stderr } = terminal(false);
  expect(await exportTo(file, pieces('{"a":1}\n{"b"', ':2}\n'), 2, stderr)).toEqual({
    lines: 2,
    bytes: 16,
  });
  expect(await readFile(file, 'utf8')).toBe('{"a":1}\n{"b":2}\n');
  const half = join(directory, 'half.ndjson');
  await expect(exportTo(half, pieces('{}\n', 'broken'), 2, stderr)).rejects.toMatchObject({
    code: 'export_broken',
  });
  expect(await readdir(directory)).toEqual(['out.ndjson']);
});

test('an export never overwrites a file', async () => {
  const file = join(directory, 'out.ndjson');
  await writeFile(file, 'mine');
  const exported = exportTo(file, pieces('{}\n'), 1, terminal(false).stderr);
  await expect(exported).rejects.toMatchObject({ code: 'file_exists' });
  expect(await readFile(file, 'utf8')).toBe('mine');
});

test('an export into a directory that is not there says so', async () => {
  const file = join(directory, 'nowhere', 'out.ndjson');
  const exported = exportTo(file, pieces('{}\n'), 1, terminal(false).stderr);
  await expect(exported).rejects.toMatchObject({ code: 'file_unwritable' });
});
