import { runsStarted } from './count-work.ts';
import type { LoadPhase, LoadSummary } from './load/protocol.ts';
import type { Stage } from './stage.ts';
import { rounded } from './statistics.ts';
import { poll, waitMs, wallClockMs } from './wall-clock.ts';

const NAME_EVERY_MS = 100;
const NAME_WITHIN_MS = 60_000;
/** Of the flood alone: until all slots are busy. */
const RAMP_MS = 2_000;
const SEEDS = { quiet: 1, flood: 2 } as const;

export const PHASES = {
  warmUp: 'warm-up',
  calm: 'calm',
  few: 'flood in few large triggers',
  many: 'flood in many single triggers',
  diskFull: 'the disk 98 % full',
  again: 'few large triggers again',
  executorKilled: 'an executor killed',
  databaseRestarted: 'the database restarted',
  operator: 'the operator acts',
  alone: 'the flood alone',
} as const;

/** The neighbours as always: their triggers, for so many seconds. */
export function neighbours(stage: Stage, name: string, seconds: number): Promise<LoadSummary> {
  return stage.quiet.run({
    name,
    seconds,
    perSecond: stage.plan.quietPerSecond,
    runs: 1,
    seed: SEEDS.quiet,
  });
}

/** A flood that goes on until the returned function ends it. */
export function beginFlood(
  stage: Stage,
  name: string,
  shape: Pick<LoadPhase, 'perSecond' | 'runs'>,
): () => Promise<LoadSummary> {
  const running = stage.flood.run({ name, ...shape, seconds: undefined, seed: SEEDS.flood });
  // Its failure is that of whoever ends it.
  running.catch(() => {});
  return () => {
    stage.flood.stop();
    return running;
  };
}

/** The culprit as an ordinary customer, so that the server knows what is normal for it. */
export function beginOrdinary(stage: Stage, name: string): () => Promise<LoadSummary> {
  return beginFlood(stage, name, { perSecond: 1, runs: 1 });
}

/** How much of a flood the load generator could send, in triggers. */
export type FloodSent = {
  /** By the timetable. */
  readonly due: number;
  readonly sent: number;
  /** From 0 to 1. */
  readonly share: number;
};

/** By phase. What is due and not sent stays away from the server: a machine can offer less than planned. */
export function floodSent(summaries: readonly LoadSummary[]): Record<string, FloodSent> {
  return Object.fromEntries(
    summaries.map(({ phase, sent, unsent }) => {
      const due = sent + unsent;
      return [phase, { due, sent, share: rounded(due === 0 ? 1 : sent / due, 3) }];
    }),
  );
}

/** The sentence that names the culprit, and the seconds since `sinceMs` until it was there. */
export async function nameCulprit(
  stage: Stage,
  sinceMs: number,
): Promise<{ readonly sentence: string; readonly seconds: number } | undefined> {
  const sentence = await poll(() => stage.operator.named(stage.cast.culprit), {
    everyMs: NAME_EVERY_MS,
    timeoutMs: NAME_WITHIN_MS,
  });
  return sentence === undefined
    ? undefined
    : { sentence, seconds: (wallClockMs() - sinceMs) / 1_000 };
}

/** Runs of the culprit that the server begins in a second, between two times. */
export async function culpritRate(stage: Stage, fromMs: number, untilMs: number): Promise<number> {
  const { culprit } = stage.cast;
  const runs = await runsStarted(stage.server.db, culprit.environmentId, fromMs, untilMs);
  return runs / ((untilMs - fromMs) / 1_000);
}

/** The flood while everybody else is idle. */
export async function floodAlone(
  stage: Stage,
): Promise<{ readonly runsPerSecond: number; readonly summary: LoadSummary }> {
  const { alone, seconds } = stage.plan;
  const startedMs = wallClockMs();
  const end = beginFlood(stage, PHASES.alone, alone);
  await waitMs(seconds.alone * 1_000);
  const endedMs = wallClockMs();
  const summary = await end();
  const rampedMs = startedMs + Math.min(RAMP_MS, (endedMs - startedMs) / 2);
  return { runsPerSecond: await culpritRate(stage, rampedMs, endedMs), summary };
}
