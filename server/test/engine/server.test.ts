import { type ChildProcess, spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openDatabase } from '../../src/db/database.ts';
import { serveHttp } from '../channels/support.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { feedStep, webhookStep } from '../support/engine-world.ts';
import { everythingOnce, startLoad } from '../support/load.ts';
import { silentLog } from '../support/log.ts';
import { waitFor } from '../support/wait.ts';
import {
  clientOf,
  newDataDir,
  removeDataDirs,
  startWholeServer,
  type WholeServer,
} from '../support/whole-server.ts';

const BELFRY = fileURLToPath(new URL('../../bin/belfry.js', import.meta.url));
const DEADLY = new URL('../support/deadly-filter.mjs', import.meta.url).href;

let test: TestDatabase;
const cleanups: (() => Promise<unknown>)[] = [];
beforeEach(async () => {
  test = await createTestDatabase();
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  await test.drop();
});
afterAll(removeDataDirs);

async function start(
  ...[options, startOptions]: Parameters<typeof startWholeServer>
): Promise<WholeServer> {
  const whole = await startWholeServer({ databaseUrl: test.url, ...options }, startOptions);
  cleanups.push(whole.stop);
  return whole;
}

describe('a server under load', () => {
  it('whose executors are killed does everything once', async () => {
    const whole = await start({ executors: 2 });
    await whole.push('load', [feedStep('Hi')]);
    const load = startLoad(whole.trigger, 'load');
    const killed = new Set<number>();
    for (let kill = 0; kill < 4; kill++) {
      await load.more(150);
      // One that was killed just now may still be listed.
      const pid = await waitFor('an executor', () =>
        whole.server.processIds().executors.find((pid) => !killed.has(pid)),
      );
      process.kill(pid, 'SIGKILL');
      killed.add(pid);
    }
    await load.stop();
    await everythingOnce(test.db, load.acknowledged);
    expect(await whole.metric('belfry_executor_restarts')).toBeGreaterThanOrEqual(4);
  });

  it('whose executor freezes and wakes up later does nothing twice', async () => {
    const whole = await start({ executors: 2 });
    await whole.push('load', [feedStep('Hi')]);
    const load = startLoad(whole.trigger, 'load');
    await load.more(100);
    const [pid = 0] = whole.server.processIds().executors;
    process.kill(pid, 'SIGSTOP');
    await load.more(300);
    process.kill(pid, 'SIGCONT');
    await load.more(100);
    await load.stop();
    await everythingOnce(test.db, load.acknowledged);
  });

  it('whose sessions are all ended does everything once', async () => {
    const whole = await start({ executors: 2 });
    await whole.push('load', [feedStep('Hi')]);
    const load = startLoad(whole.trigger, 'load');
    for (let round = 0; round < 3; round++) {
      await load.more(100);
      await test.db.query(
        `select pg_terminate_backend(pid)
         from pg_stat_activity
         where datname = current_database()
           and pid <> pg_backend_pid()
           and application_name <> 'test'`,
      );
    }
    await load.more(50);
    await load.stop();
    await everythingOnce(test.db, load.acknowledged);
    await waitFor('ownership', async () =>
      (await whole.metric('belfry_engine_owner')) === 1 ? true : undefined,
    );
  });

  it('whose database is killed recovers by itself and does everything once', async () => {
    const dataDir = await newDataDir();
    const whole = await start({ databaseUrl: undefined, dataDir });
    await whole.push('load', [feedStep('Hi')]);
    const load = startLoad(whole.trigger, 'load');
    for (let kill = 0; kill < 2; kill++) {
      await load.more(100);
      process.kill(whole.server.processIds().postgres ?? 0, 'SIGKILL');
      await load.more(50);
    }
    await load.stop();
    const pidFile = await readFile(join(dataDir, 'postgres', 'postmaster.pid'), 'utf8');
    const socketDir = encodeURIComponent(pidFile.split('\n')[4] ?? '');
    const db = openDatabase({
      url: `postgres://belfry@/belfry?host=${socketDir}&port=5432`,
      max: 1,
      applicationName: 'test',
      log: silentLog,
    });
    cleanups.push(db.close);
    await everythingOnce(db, load.acknowledged);
  }, 90_000);
});

describe('a template that kills its executor', () => {
  it('is recorded as failed; its neighbours, in the same slice too, are done once', async () => {
    process.env.NODE_OPTIONS = `--import ${DEADLY}`;
    cleanups.push(async () => {
      delete process.env.NODE_OPTIONS;
    });
    const whole = await start({ executors: 1 });
    await whole.push('deadly', [feedStep('{{ recipient.id | md5 }}')]);
    const recipients = [...Array.from({ length: 20 }, (_, i) => `user-${i}`), 'DIE', 'last'];
    const runs = await Promise.all([
      whole.trigger('deadly', { recipients }),
      whole.trigger('deadly', { recipients: ['other'] }),
    ]);
    const deadly = await waitFor(
      'every run',
      async () => {
        const rows = await test.db.query<{ recipient_id: string; error_count: number }>(
          'select recipient_id, error_count from recipient_run where workflow_run_id = any($1::uuid[])',
          [runs],
        );
        return rows.length === recipients.length + 1 ? rows : undefined;
      },
      25_000,
    );
    expect(deadly.filter((row) => row.error_count > 0).map((row) => row.recipient_id)).toEqual([
      'DIE',
    ]);
    await everythingOnce(
      test.db,
      new Map([
        [runs[0], recipients.filter((recipient) => recipient !== 'DIE')],
        [runs[1], ['other']],
      ]),
    );
    await whole.trigger('deadly', { recipients: ['afterwards'] });
  });
});

describe('a server that starts again', () => {
  it('does what was accepted before, and delivers nothing a second time', async () => {
    const calls = new Map<string, number>();
    const webhook = await serveHttp((request, response) => {
      const key = String(request.headers['idempotency-key']);
      calls.set(key, (calls.get(key) ?? 0) + 1);
      response.end();
    });
    cleanups.push(webhook.close);
    const first = await start({});
    await first.push('hook', [webhookStep()]);
    const recipients = Array.from({ length: 30 }, (_, i) => `user-${i}`);
    await first.trigger('hook', { recipients, data: { url: webhook.url } });
    const calledFor = (count: number) =>
      waitFor(`${count} calls`, () => (calls.size >= count ? true : undefined));
    await calledFor(30);
    await first.stop();
    const again = await start({ dataDir: first.dataDir });
    for (let i = 0; i < 5; i++) {
      await again.trigger('hook', { recipients: [`later-${i}`], data: { url: webhook.url } });
    }
    await calledFor(35);
    await waitFor('an idle engine', async () =>
      (await again.metric('belfry_assignments')) +
        (await again.metric('belfry_deliveries_queued')) ===
      0
        ? true
        : undefined,
    );
    expect([...calls.values()].every((count) => count === 1)).toBe(true);
  });
});

describe('a second server on the same database', () => {
  it('waits, says for whom, and takes over when the first one stops', async () => {
    const first = await start({});
    await first.push('load', [feedStep('Hi')]);
    let sentence = '';
    let second: WholeServer | undefined;
    const starting = start(
      {},
      {
        onStandby: (text) => {
          sentence = text;
        },
      },
    ).then((whole) => {
      second = whole;
    });
    await waitFor('the stand-by', () => (sentence === '' ? undefined : true));
    expect(sentence).toContain(String(process.pid));
    const run = await first.trigger('load', { recipients: ['before'] });
    expect(second).toBeUndefined();
    await first.stop();
    await starting;
    const { trigger } = clientOf(second?.server.url ?? '', () => first.server.credentials);
    const after = await trigger('load', { recipients: ['after'] });
    await everythingOnce(
      test.db,
      new Map([
        [run, ['before']],
        [after, ['after']],
      ]),
    );
  });

  it('takes over when the first one is killed, and does what that had accepted', async () => {
    const first = await startProcess();
    const credentials = JSON.parse(await readFile(join(first.dataDir, 'credentials.json'), 'utf8'));
    const client = clientOf(first.url, () => credentials);
    await client.push('load', [feedStep('Hi')]);
    let standby = false;
    const starting = start(
      {},
      {
        onStandby: () => {
          standby = true;
        },
      },
    );
    await waitFor('the stand-by', () => (standby ? true : undefined));
    const load = startLoad(client.trigger, 'load');
    await load.more(200);
    process.kill(-(first.child.pid ?? 0), 'SIGKILL');
    await load.stop();
    const second = clientOf((await starting).server.url, () => credentials);
    const after = await second.trigger('load', { recipients: ['after'] });
    await everythingOnce(test.db, new Map([...load.acknowledged, [after, ['after']]]));
  });

  it('takes over from one that is frozen, whose waking does nothing twice', async () => {
    const first = await startProcess();
    const credentials = JSON.parse(await readFile(join(first.dataDir, 'credentials.json'), 'utf8'));
    const client = clientOf(first.url, () => credentials);
    await client.push('load', [feedStep('Hi')]);
    const load = startLoad(client.trigger, 'load');
    await load.more(100);
    process.kill(-(first.child.pid ?? 0), 'SIGSTOP');
    const second = await start({});
    process.kill(-(first.child.pid ?? 0), 'SIGCONT');
    await load.more(50);
    await load.stop();
    const after = await clientOf(second.server.url, () => credentials).trigger('load', {
      recipients: ['after'],
    });
    await everythingOnce(test.db, new Map([...load.acknowledged, [after, ['after']]]));
  }, 60_000);
});

/** A server as a user starts it, in a process group of its own. */
async function startProcess(): Promise<{ child: ChildProcess; url: string; dataDir: string }> {
  const dataDir = await newDataDir();
  const child = spawn(process.execPath, [BELFRY, 'start'], {
    env: {
      ...process.env,
      BELFRY_PORT: '0',
      BELFRY_CANARY: 'off',
      BELFRY_LOG_LEVEL: 'silent',
      BELFRY_DATA_DIR: dataDir,
      DATABASE_URL: test.url,
    },
    stdio: ['ignore', 'pipe', 'ignore'],
    detached: true,
  });
  let exited = false;
  child.once('exit', () => {
    exited = true;
  });
  cleanups.push(async () => {
    if (!exited) process.kill(-(child.pid ?? 0), 'SIGKILL');
    await waitFor('the end of a process', () => (exited ? true : undefined));
  });
  let output = '';
  child.stdout?.on('data', (data: Buffer) => {
    output += data.toString();
  });
  const url = await waitFor('a server', () => /^ready (\S+)$/m.exec(output)?.[1], 20_000);
  return { child, url, dataDir };
}
