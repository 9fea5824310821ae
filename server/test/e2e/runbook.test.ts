import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { waitFor } from '../support/wait.ts';
import { type Flood, startFlood } from './support/flood.ts';
import { type StartedServer, startWholeServer } from './support/started-server.ts';

const root = join(import.meta.dirname, '..', '..', '..');
const program = join(root, 'server', 'bin', 'belfry.js');

let database: TestDatabase;
let server: StartedServer;
let flood: Flood;
let directory = '';
let endOfFlood = async (): Promise<void> => {};

beforeAll(async () => {
  database = await createTestDatabase();
  server = await startWholeServer(database.url);
  directory = await mkdtemp(join(tmpdir(), 'belfry-runbook-'));
  flood = await startFlood(server, database.db);
});
afterAll(async () => {
  await endOfFlood();
  await server?.stop();
  await database?.drop();
  await rm(directory, { recursive: true, force: true });
});

/** Every line of the runbook's shell blocks, in order. */
async function commands(): Promise<string[]> {
  const text = await readFile(join(root, 'docs', 'operating', 'noisy-account.md'), 'utf8');
  return [...text.matchAll(/^```sh\n(.*?)^```/gms)].flatMap(([, block = '']) =>
    block.split('\n').filter((line) => line !== ''),
  );
}

type Outcome = { readonly code: number; readonly stdout: string; readonly stderr: string };

/** As the operator types it, in a directory of its own. */
function type(line: string): Promise<Outcome> {
  const command = line.replace(/^npx belfry/, `"${process.execPath}" "${program}"`);
  const env = { ...process.env, BELFRY_URL: server.origin, BELFRY_DATA_DIR: server.dataDir };
  return new Promise((resolve) => {
    execFile('sh', ['-c', command], { cwd: directory, env }, (error, stdout, stderr) =>
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr }),
    );
  });
}

/** Not one run of the flood is done while many of its neighbour's are. */
async function nothingStarts(): Promise<void> {
  const before = await flood.done();
  await flood.neighbourIsServed(20);
  expect(await flood.done()).toBe(before);
}

/** Waits for a check of the ledger that began after this call. */
async function ledgerBalances(): Promise<void> {
  const calledMs = Date.now();
  const answer = await waitFor(
    'a check of the ledger',
    async () => {
      const found = await flood.operator('GET', '/ops/v1/ledger');
      return Date.parse(String(found.checked_at)) > calledMs ? found : undefined;
    },
    60_000,
  );
  expect(answer).toMatchObject({ state: 'balanced', gap_runs: 0 });
}

/** What must be true after each command of the document, in its order. */
const steps: readonly [command: RegExp, check: (outcome: Outcome) => Promise<void>][] = [
  [
    /quarantine$/,
    async ({ stdout }) => {
      expect(stdout).toMatch(
        /^surge: account acme \(production\), key \.\.\.ab12, workflow digest: /m,
      );
    },
  ],
  [
    /top --once/,
    async ({ stdout }) => {
      expect(stdout).toMatch(/^acme +\.\.\.ab12 +digest /m);
    },
  ],
  [
    /hold .*--preview/,
    async ({ stdout }) => {
      expect(stdout).toMatch(/^queued +(?:about )?[\d,]+ runs/m);
      expect(stdout).toMatch(/^oldest +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d .*ago$/m);
      expect(stdout).toMatch(/^[0-9a-f-]{36} +digest .*guest-/m);
      expect((await flood.operator('GET', '/ops/v1/orders')).entries).toEqual([]);
    },
  ],
  [
    /hold .*--yes/,
    async ({ stdout }) => {
      expect(stdout).toMatch(/lasts until .* \(24 h\)/);
      expect(stdout).toMatch(/undo with: belfry release 1$/m);
      await nothingStarts();
      await flood.pour(1_000);
      await endOfFlood();
      await nothingStarts();
    },
  ],
  [
    /orders$/,
    async ({ stdout }) => {
      expect(stdout).toMatch(/^1 +hold +active +acme, workflow digest /m);
    },
  ],
  [
    /orders 1$/,
    async ({ stdout }) => {
      expect(stdout).toMatch(/^reason +flood since 04:00/m);
      expect(stdout).toMatch(/^aside +[\d,]+ runs/m);
    },
  ],
  [
    /--export/,
    async ({ stdout }) => {
      expect(stdout).toMatch(/^[\d,]+ lines of order 1 are in acme\.ndjson/);
      const lines = (await readFile(join(directory, 'acme.ndjson'), 'utf8')).trimEnd().split('\n');
      const ids = new Set(lines.map((line) => JSON.parse(line).run_id));
      expect(ids.size).toBe(lines.length);
      expect(ids.size).toBe(flood.accepted() - (await flood.done()));
    },
  ],
  [
    /head/,
    async ({ stdout }) => {
      const samples = stdout
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line));
      expect(samples).toHaveLength(3);
      for (const sample of samples) {
        expect(sample).toMatchObject({
          workflow: 'digest',
          recipient: expect.stringMatching(/^guest-/),
          data: { title: 'hello' },
        });
      }
    },
  ],
  [
    /ledger/,
    async () => {
      await ledgerBalances();
      const { entries } = await flood.operator('GET', '/ops/v1/ledger?account=acme');
      const held = (entries as { held: number }[]).reduce((sum, entry) => sum + entry.held, 0);
      expect(held).toBe(flood.accepted() - (await flood.done()));
    },
  ],
  [
    /slow/,
    async ({ stdout }) => {
      expect(stdout).toMatch(/undo with: belfry release 2$/m);
      await nothingStarts();
    },
  ],
  [
    /release 1/,
    async () => {
      const before = await flood.done();
      await waitFor('slow work', async () => ((await flood.done()) > before ? true : undefined));
      expect(await flood.done()).toBeLessThan(flood.accepted());
    },
  ],
  [
    /orders 2/,
    async ({ stdout }) => {
      expect(stdout).toMatch(/^verb +slow 200\/s$/m);
    },
  ],
  [
    /release 2/,
    async () => {
      await flood.allDone();
      await flood.pour(8_000);
    },
  ],
  [
    /discard --account/,
    async ({ stdout }) => {
      expect(stdout).toMatch(/kept until .* \(7 d\)/);
      expect(stdout).toMatch(/undo with: belfry replay 3$/m);
      await nothingStarts();
      expect(await flood.done()).toBeLessThan(flood.accepted());
    },
  ],
  [
    /orders 3/,
    async ({ stdout }) => {
      expect(stdout).toMatch(/^state +active$/m);
      const expected = flood.accepted() - (await flood.done());
      await waitFor('everything to be set aside', async () => {
        const { aside } = await flood.operator('GET', '/ops/v1/orders/3');
        return (aside as { runs: number }).runs === expected ? true : undefined;
      });
    },
  ],
  [
    /replay 3/,
    async () => {
      await flood.allDone();
      await flood.pour(3_000);
    },
  ],
  [
    /keys revoke/,
    async ({ stdout }) => {
      expect(stdout).toMatch(/opens nothing any more\.$/m);
      expect(stdout).toMatch(/undo with: belfry release 4$/m);
      await nothingStarts();
      expect(await flood.send(1)).toBe(401);
    },
  ],
  [/discard --key/, nothingStarts],
  [/release 4/, nothingStarts],
  [
    /keys create/,
    async ({ stdout }) => {
      flood.useKey(/^sk_\S+$/m.exec(stdout)?.[0] ?? '');
      const before = await flood.done();
      expect(await flood.send(1)).toBe(200);
      await waitFor('work of the new key', async () =>
        (await flood.done()) === before + 1 ? true : undefined,
      );
    },
  ],
  [/top --once/, async ({ stdout }) => expect(stdout).toMatch(/^Traffic of the last/m)],
  [
    /orders --active/,
    async ({ stdout }) => {
      expect(stdout.match(/^\d+ +\w+ +active/gm)).toEqual([expect.stringMatching(/^5 +discard/)]);
    },
  ],
  [
    /ledger/,
    async () => {
      await ledgerBalances();
      const { entries } = await flood.operator('GET', '/ops/v1/ledger?account=acme');
      const sum = (name: string) =>
        (entries as Record<string, number>[]).reduce((all, entry) => all + (entry[name] ?? 0), 0);
      expect(sum('accepted')).toBe(flood.accepted());
      expect(sum('done')).toBe(await flood.done());
      expect(sum('discarded')).toBe(flood.accepted() - (await flood.done()));
      expect(sum('discarded')).toBeGreaterThan(0);
      expect(sum('held') + sum('pending') + sum('failed')).toBe(0);
    },
  ],
  [
    /audit/,
    async ({ stdout }) => {
      const said = [...stdout.matchAll(/ (hold|slow|discard|release|replay) (\d) /g)];
      expect(said.map(([, action, order]) => `${action} ${order}`).reverse()).toEqual([
        'hold 1',
        'slow 2',
        'release 1',
        'release 2',
        'discard 3',
        'replay 3',
        'hold 4',
        'discard 5',
        'release 4',
      ]);
      expect(stdout).toMatch(/key revoke +acme\/production, key \.\.\.ab12/);
    },
  ],
  [/top --json/, async ({ stdout }) => expect(JSON.parse(stdout)).toHaveProperty('callers')],
  [
    /top --window 10m/,
    async ({ stdout }) => expect(stdout).toMatch(/^Traffic of the last 10 min/m),
  ],
];

test('every command of the runbook does what it says while an account floods', async () => {
  const lines = await commands();
  expect(lines).toEqual(steps.map(([pattern]) => expect.stringMatching(pattern)));
  endOfFlood = flood.keepPouring();
  await waitFor(
    'the alarm',
    async () => {
      const { accounts } = await flood.operator('GET', '/ops/v1/quarantine');
      const levels = (accounts as { level: string }[]).map(({ level }) => level);
      return levels.includes('surge') ? true : undefined;
    },
    60_000,
  );
  for (const [index, [, check]] of steps.entries()) {
    const line = lines[index] ?? '';
    const outcome = await type(line);
    expect([line, outcome.code, outcome.stderr]).toEqual([line, 0, '']);
    await check(outcome);
  }
}, 300_000);
