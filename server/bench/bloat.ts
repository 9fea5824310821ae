import { beginFlood, neighbours } from '../src/drill/flood.ts';
import type { SampleRow } from '../src/drill/load/protocol.ts';
import { describePhase } from '../src/drill/neighbours.ts';
import { incidentPlan } from '../src/drill/plan.ts';
import type { ScratchServer } from '../src/drill/scratch-server.ts';
import { type Stage, setStage } from '../src/drill/stage.ts';
import { rounded } from '../src/drill/statistics.ts';
import { createTimeline } from '../src/drill/timeline.ts';
import { wallClockMs } from '../src/drill/wall-clock.ts';
import type { BenchResult } from './support/bench.ts';

const LOAD = { perSecond: 20, runs: 95 } as const;
const QUIET_PER_SECOND = 100;
const WARM_UP_S = 20;
/** How long the figures before and at the end are measured. */
const WINDOW_S = 60;

/**
 * A reader that began a transaction and forgot it, under 2,000 runs a second: dead rows of every table, and
 * throughput and latency of the last minute beside those of the minute before the reader came.
 */
export async function bloat(
  say: (line: string) => void,
  options: ReadonlyMap<string, string>,
): Promise<BenchResult> {
  const minutes = Number(options.get('minutes') ?? 30);
  const windowSeconds = Math.min(WINDOW_S, minutes * 30);
  const plan = { ...incidentPlan(1), quietPerSecond: QUIET_PER_SECOND };
  const timeline = createTimeline(wallClockMs, ({ what }) => say(what));
  const stage = await setStage(plan, process.env, timeline);
  try {
    const endLoad = beginFlood(stage, 'load', LOAD);
    await neighbours(stage, 'warm-up', WARM_UP_S);
    say('before');
    const before = await window(stage, 'before', windowSeconds);
    const reader = await forgottenTransaction(stage.server);
    say(`a transaction is open from now on, for ${minutes} minutes`);
    const rest = minutes * 60 - windowSeconds;
    if (rest > 0) await neighbours(stage, 'meanwhile', rest);
    const after = await window(stage, 'after', windowSeconds);
    const dead = await deadRows(stage.server);
    const isOpen = await reader.isOpen();
    reader.end();
    await endLoad();
    const rows = await stage.quiet.samples();
    const latency = (phase: string) =>
      describePhase(rows.filter((row: SampleRow) => row[0] === phase));
    const [worst] = dead;
    return {
      unit: `recipient runs, 2,000/s, beside a transaction that is open for ${minutes} minutes`,
      most_dead_rows: worst?.dead ?? 0,
      most_dead_rows_in: worst?.name ?? '',
      tables_over_1000: dead
        .filter((table) => table.dead >= 1_000)
        .map(({ name, dead: rowsOf }) => `${name} ${rowsOf}`)
        .join(', '),
      runs_per_s_before: Math.round(before),
      runs_per_s_after: Math.round(after),
      throughput_loss: rounded(1 - after / before, 3),
      p50_ms_before: latency('before').p50_ms,
      p50_ms_after: latency('after').p50_ms,
      p99_ms_before: latency('before').p99_ms,
      p99_ms_after: latency('after').p99_ms,
      transaction_was_open: isOpen,
      failed: !isOpen || (worst?.dead ?? 0) >= 1_000 || after < 0.95 * before,
    };
  } finally {
    await stage.destroy();
  }
}

/** Runs executed a second while the neighbours go on. */
async function window(stage: Stage, phase: string, seconds: number): Promise<number> {
  const executed = () => stage.server.metric('belfry_runs_executed');
  const before = await executed();
  const startedMs = performance.now();
  await neighbours(stage, phase, seconds);
  return ((await executed()) - before) / ((performance.now() - startedMs) / 1_000);
}

/** A snapshot that is held: nothing that was deleted since can be vacuumed. */
async function forgottenTransaction(server: ScratchServer): Promise<{
  readonly isOpen: () => Promise<boolean>;
  readonly end: () => void;
}> {
  const opened = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<void>();
  const transaction = server.db.transaction(async (tx) => {
    await tx.query('set transaction isolation level repeatable read');
    await tx.query('select count(*) from account');
    opened.resolve();
    await ended.promise;
  });
  await Promise.race([opened.promise, transaction]);
  return {
    isOpen: async () => {
      const rows = await server.db.query(
        `select pid
         from pg_stat_activity
         where application_name = 'belfry drill'
           and state = 'idle in transaction'
           and backend_xmin is not null`,
      );
      return rows.length === 1;
    },
    end: () => ended.resolve(),
  };
}

async function deadRows(
  server: ScratchServer,
): Promise<{ readonly name: string; readonly dead: number }[]> {
  await server.db.query('select pg_stat_force_next_flush()');
  return await server.db.query(
    `select relname as name, n_dead_tup as dead
     from pg_stat_user_tables
     order by n_dead_tup desc, relname`,
  );
}
