import { compareAwake } from '../src/drill/awake.ts';
import {
  beginFlood,
  beginOrdinary,
  culpritRate,
  floodAlone,
  neighbours,
  PHASES,
} from '../src/drill/flood.ts';
import { compareWithCalm, describePhase } from '../src/drill/neighbours.ts';
import { incidentPlan } from '../src/drill/plan.ts';
import { drained, setStage } from '../src/drill/stage.ts';
import { createTimeline } from '../src/drill/timeline.ts';
import { wallClockMs } from '../src/drill/wall-clock.ts';
import type { BenchResult } from './support/bench.ts';
import { bareLimit } from './support/limit.ts';

const LIMIT_RUNS = 200_000;

/**
 * The drill without its incident: what 200 quiet accounts feel of one that floods, in few large triggers and
 * in many single ones, and how fast the flood itself is, beside the limit of the same rows by a bare loop.
 */
export async function flood(
  say: (line: string) => void,
  options: ReadonlyMap<string, string>,
): Promise<BenchResult> {
  const plan = incidentPlan(Number(options.get('minutes') ?? 6));
  const timeline = createTimeline(wallClockMs, ({ what }) => say(what));
  const stage = await setStage(plan, process.env, timeline);
  try {
    const { culprit } = stage.cast;
    const limit = () =>
      bareLimit(stage.server.db, culprit.environmentId, culprit.channelId, LIMIT_RUNS);
    const limitBefore = await limit();
    say(`limit: ${Math.round(limitBefore)} runs/s by a bare loop`);
    const endOrdinary = beginOrdinary(stage, PHASES.calm);
    await neighbours(stage, PHASES.warmUp, plan.seconds.warmUp);
    say(PHASES.calm);
    await neighbours(stage, PHASES.calm, plan.seconds.calm);
    await endOrdinary();
    say(PHASES.few);
    const endFew = beginFlood(stage, PHASES.few, plan.few);
    await neighbours(stage, PHASES.few, plan.seconds.few);
    const few = await endFew();
    say(PHASES.many);
    const endMany = beginFlood(stage, PHASES.many, { ...plan.many, runs: 1 });
    await neighbours(stage, PHASES.many, plan.seconds.many);
    const many = await endMany();
    say('the backlog');
    const isDrained = await drained(stage.server, plan.drainSeconds);
    say(PHASES.alone);
    const { runsPerSecond: alone } = await floodAlone(stage);
    await drained(stage.server, plan.drainSeconds);
    const fewRate = await culpritRate(stage, few.startedMs, few.endedMs);
    const manyRate = await culpritRate(stage, many.startedMs, many.endedMs);
    const rows = await stage.quiet.samples();
    const of = (name: string) => rows.filter(([phase]) => phase === name);
    const ratios = compareWithCalm(of(PHASES.calm), [of(PHASES.few), of(PHASES.many)]);
    const stalls = await stage.metronome.stalls();
    const awake = compareAwake(of(PHASES.calm), [of(PHASES.few), of(PHASES.many)], stalls);
    const limitAfter = await limit();
    const described = [PHASES.calm, PHASES.few, PHASES.many].map((name) => describePhase(of(name)));
    const [calmly, duringFew, duringMany] = described;
    return {
      unit: 'quiet trigger due to socket event, 200 accounts at 100/s together',
      calm_p50_ms: calmly?.p50_ms ?? Number.NaN,
      calm_p99_ms: calmly?.p99_ms ?? Number.NaN,
      few_large_p50_ms: duringFew?.p50_ms ?? Number.NaN,
      few_large_p99_ms: duringFew?.p99_ms ?? Number.NaN,
      many_single_p50_ms: duringMany?.p50_ms ?? Number.NaN,
      many_single_p99_ms: duringMany?.p99_ms ?? Number.NaN,
      p99_ratio: ratios.ratio,
      p99_ratio_upper_95: ratios.upper95,
      worst_p99_ratio: ratios.worst ?? 'too few samples',
      p99_ratio_awake: awake.neighbours_p99_ratio_awake ?? 'not measured',
      machine_stalls: stalls?.length ?? 'not measured',
      refused: described.reduce((sum, phase) => sum + phase.refused, 0),
      flood_few_large_runs_per_s: Math.round(fewRate),
      flood_many_single_runs_per_s: Math.round(manyRate),
      flood_alone_runs_per_s: Math.round(alone),
      limit_runs_per_s: Math.round((limitBefore + limitAfter) / 2),
      drained: isDrained,
    };
  } finally {
    await stage.destroy();
  }
}
