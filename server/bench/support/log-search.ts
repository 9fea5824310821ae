import { randomUUID } from 'node:crypto';
import { seededRandom } from '../../src/drill/random.ts';
import { percentile, rounded } from '../../src/drill/statistics.ts';
import { BelfryError } from '../../src/lib/errors.ts';
import { createClickHouseLogStore } from '../../src/log-store/clickhouse/clickhouse-log-store.ts';
import { createClickHouseSink } from '../../src/log-store/clickhouse/clickhouse-sink.ts';
import type { EventFilter, LogStore } from '../../src/log-store/log-store.ts';
import { createPostgresLogStore } from '../../src/log-store/postgres/postgres-log-store.ts';
import { startClickHouseEngine } from '../../test/support/clickhouse-engine.ts';
import type { BenchResult } from './bench.ts';
import {
  ENVIRONMENTS,
  FIRST_ENVIRONMENT,
  SEEDED_DAYS,
  seedClickHouse,
  seedPostgres,
  TENANTS,
  USERS,
  WORKFLOWS,
} from './log-seed.ts';
import { startBenchServer } from './server.ts';

const DAY_MS = 86_400_000;
const SEARCHES = 400;
const PAGE = { size: 50 };

/** Searches of a dashboard over many events, one after the other; `--stores=postgres,clickhouse` does one of them. */
export async function searchLogs(
  say: (line: string) => void,
  options: ReadonlyMap<string, string>,
): Promise<BenchResult> {
  const events = Number(options.get('events') ?? 50_000_000);
  const stores = (options.get('stores') ?? 'clickhouse,postgres').split(',');
  const endMs = Date.now() - 60_000;
  let result: BenchResult = { searched_events: events };
  if (stores.includes('clickhouse')) {
    const engine = await startClickHouseEngine();
    const sink = await createClickHouseSink({
      ...{ url: engine.url, retention: { logs: undefined, apiLogs: undefined } },
      randomId: randomUUID,
    });
    await sink.migrate();
    await seedClickHouse(engine.url, events, endMs, say);
    const store = await createClickHouseLogStore(engine.url);
    result = { ...result, ...(await measure('clickhouse', store, endMs, say)) };
    await store.close();
    await sink.close();
    await engine.stop();
  }
  if (stores.includes('postgres')) {
    const server = await startBenchServer();
    try {
      await seedPostgres(server.db, events, endMs, say);
      const store = createPostgresLogStore(server.db);
      result = { ...result, ...(await measure('postgres', store, endMs, say)) };
    } finally {
      await server.destroy();
    }
  }
  return result;
}

/** What is asked for, each as often. */
const KINDS: {
  readonly [kind: string]: (draw: (below: number) => number) => Partial<EventFilter>;
} = {
  environment: () => ({}),
  type: () => ({ types: ['delivered'] }),
  recipient: (draw) => ({ recipient: { collection: '$users', id: `user-${draw(USERS)}` } }),
  tenant: (draw) => ({ tenant: `tenant-${draw(TENANTS)}` }),
  workflow: (draw) => ({ workflow: `workflow-${draw(WORKFLOWS)}`, types: ['sent'] }),
  message: () => ({}),
  run: () => ({}),
};

async function measure(
  name: string,
  store: LogStore,
  endMs: number,
  say: (line: string) => void,
): Promise<BenchResult> {
  const random = seededRandom(7);
  const draw = (below: number) => Math.floor(random() * below);
  const all: number[] = [];
  const byKind = new Map<string, number[]>();
  let found = 0;
  let refused = 0;
  const kinds = Object.entries(KINDS);
  for (let i = 0; i < SEARCHES; i++) {
    const [kind, more] = kinds[i % kinds.length] ?? ['environment', () => ({})];
    const untilMs = endMs - draw((SEEDED_DAYS - 7) * DAY_MS);
    const filter: EventFilter = {
      environmentId: FIRST_ENVIRONMENT + (i % 2 === 0 ? 0 : draw(ENVIRONMENTS)),
      fromMs: untilMs - 7 * DAY_MS,
      untilMs,
      ...more(draw),
    };
    // A message and a run are asked for by what a search found.
    const known =
      kind === 'message' || kind === 'run'
        ? (await store.searchEvents(filter, { size: 1 })).events[0]
        : undefined;
    const asked =
      kind === 'message'
        ? { ...filter, messageId: known?.messageId }
        : kind === 'run'
          ? { ...filter, runId: known?.recipientRunId }
          : filter;
    const startedMs = performance.now();
    try {
      found += (await store.searchEvents(asked, PAGE)).events.length;
    } catch (error) {
      if (!(error instanceof BelfryError)) throw error;
      refused += 1;
    }
    const ms = performance.now() - startedMs;
    all.push(ms);
    byKind.set(kind, [...(byKind.get(kind) ?? []), ms]);
  }
  for (const [kind, times] of byKind) {
    say(
      `${name} ${kind}: p50 ${percentile(times, 0.5).toFixed(1)} ms, max ${percentile(times, 1).toFixed(1)} ms`,
    );
  }
  const startedMs = performance.now();
  const counts = await store
    .countsPerHour({ environmentId: FIRST_ENVIRONMENT, fromMs: endMs - DAY_MS, untilMs: endMs })
    .catch(() => []);
  const countMs = performance.now() - startedMs;
  return {
    [`${name}_p50_ms`]: rounded(percentile(all, 0.5)),
    [`${name}_p99_ms`]: rounded(percentile(all, 0.99)),
    [`${name}_max_ms`]: rounded(percentile(all, 1)),
    [`${name}_found`]: found,
    [`${name}_refused`]: refused,
    [`${name}_counts_of_a_day_ms`]: rounded(countMs),
    [`${name}_counted`]: counts.reduce((sum, { count }) => sum + count, 0),
  };
}
