import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import { recordErasures } from '../../src/bodies/record-erasures.ts';
import { ensurePartitions } from '../../src/db/partitions.ts';
import { FAULT_VARIABLE, type FaultPoint } from '../../src/lib/fault-point.ts';
import { enforceRetention } from '../../src/retention/enforce.ts';
import { createBodiesWorld } from './bodies-world.ts';
import { startChild } from './child.ts';
import { silentLog } from './log.ts';

const TOOL = fileURLToPath(new URL('./bodies-tool.ts', import.meta.url));
const MONTHS_MS = 100 * 86_400_000;

/**
 * The mover dies at the point, wherever that is in its work: bodies move, a message that waits gets its content back, one is
 * deleted, a month goes, an object is abandoned. Another mover then does the rest, and nothing is unreadable or left over.
 */
async function inBodies(point: FaultPoint): Promise<void> {
  const own = await createBodiesWorld();
  const points = await mkdtemp(join(tmpdir(), 'belfry-bodies-'));
  const { db, url } = own.world.test;
  const { clock } = own.world;
  const reached = () => readFile(join(points, `${point}.reached`), 'utf8').catch(() => undefined);
  /** A mover in a process of its own, at a time of ours; undefined: it was killed. */
  const move = async (): Promise<unknown> => {
    const settings = JSON.stringify({ url, config: own.store.config, nowMs: clock.now() });
    const env = { [FAULT_VARIABLE]: points, NODE_ENV: 'test' };
    const child = startChild(TOOL, [settings], env);
    const answer = await child.answer.catch(() => undefined);
    await child.end();
    return answer;
  };
  try {
    const old = await own.send(3);
    await own.markSent(old.ids);
    clock.move(31_000);
    expect(await move()).toBeDefined();
    clock.move(MONTHS_MS);
    await ensurePartitions(db, clock.now());
    const days = { logs: undefined, messages: 30, apiLogs: undefined, audit: undefined };
    await enforceRetention({ db, log: silentLog, nowMs: clock.now(), days, retryMs: 50 });
    const abandoned = '01890000-0000-7000-8000-0000000000ab';
    await own.direct.put(`ab/1/${abandoned}`, Buffer.from('nobody knows of it'));
    await db.query('insert into body_upload values ($1, 1, $2)', [abandoned, new Date(0)]);

    const { ids } = await own.send(40);
    const [first = '', gone = ''] = ids;
    await own.markSent(ids.slice(1));
    await recordErasures(db, `{${gone}}`, clock.now());
    await db.query('delete from message where id = $1', [gone]);
    clock.move(31_000);
    await writeFile(join(points, point), 'exit');
    expect(await move()).toBeUndefined();
    expect(await reached()).toBe('exit');
    const kept = ids.filter((id) => id !== gone);
    const isReadable = async (): Promise<void> => {
      const said = await own.read(kept);
      expect(said.filter((body) => typeof body === 'string')).toEqual([]);
    };
    await isReadable();
    // Whatever the dead one had begun is old by now.
    clock.move(1_000_000);
    expect(await move()).toBeDefined();
    await isReadable();
    expect(await own.ringRows()).toBe(0);
    for (const table of ['body_upload', 'body_erasure']) {
      expect(await db.query(`select from ${table}`)).toEqual([]);
    }
    const objects = await own.store.objects();
    expect(objects).toHaveLength(1);
    const { prefix } = own.store.config;
    const object = (await own.direct.get((objects[0] ?? '').slice(prefix.length))).toString();
    expect(object).toContain('Dear user-2,');
    expect(object).not.toContain('Dear user-1,');
    const [row] = await db.query<{ kept: boolean }>(
      `select content -> '$kept' is not null as kept from message where id = $1`,
      [first],
    );
    expect(row).toEqual({ kept: true });
  } finally {
    await rm(points, { recursive: true, force: true });
    await own.close();
  }
}

/** All of them are tried in the same way. */
export const bodiesDrivers = {
  'bodies.after-intent': inBodies,
  'bodies.after-put': inBodies,
  'bodies.before-record-commit': inBodies,
  'bodies.after-record': inBodies,
  'bodies.after-keep': inBodies,
  'bodies.before-truncate-commit': inBodies,
  'bodies.after-truncate': inBodies,
  'bodies.after-blank': inBodies,
  'bodies.after-rewrite': inBodies,
  'bodies.after-delete': inBodies,
  'bodies.after-clear': inBodies,
} as const;
