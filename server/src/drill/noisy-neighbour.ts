import { isJsonObject } from '../lib/json.ts';
import { compareAwake, describeStalls, type MachineStalls, stallsSentence } from './awake.ts';
import { beginBroadcast, broadcastFinished } from './broadcast.ts';
import { type ControlGroup, enterControlGroup } from './control-group.ts';
import { countBroadcast, countWork, runsStarted, type WorkCount } from './count-work.ts';
import { type FigureName, type Figures, type Goals, goalsOf, missedGoals } from './figures.ts';
import {
  beginOrdinary,
  culpritRate,
  type FloodSent,
  floodAlone,
  floodSent,
  neighbours,
  PHASES,
} from './flood.ts';
import { exportDiscarded } from './govern.ts';
import { type Incident, incident } from './incident.ts';
import type { LoadSummary, SampleRow } from './load/protocol.ts';
import { describeMachine } from './machine.ts';
import { beginMails } from './mails.ts';
import type { Stall } from './metronome/stall-watch.ts';
import { longestMoments, type Moment } from './moments.ts';
import {
  compareWithCalm,
  describePhase,
  isRefused,
  isRefusedForGood,
  type PhaseLatency,
} from './neighbours.ts';
import { listOf } from './operator.ts';
import type { Plan } from './plan.ts';
import { drained, type Stage, setStage, startFlood } from './stage.ts';
import { rounded } from './statistics.ts';
import { judgeStores, type StoreDetails, type StoresSeen } from './store-figures.ts';
import type { StoreOptions } from './stores.ts';
import { createTimeline, type TimelineEvent } from './timeline.ts';
import { wallClockMs } from './wall-clock.ts';

export type DrillReport = {
  readonly drill: 'noisy-neighbour';
  readonly machine: string;
  readonly started_at: string;
  readonly seconds: number;
  readonly figures: Figures;
  readonly goals: Goals;
  readonly missed: readonly FigureName[];
  readonly details: DrillDetails;
  readonly timeline: readonly TimelineEvent[];
};

type DescribedPhase = PhaseLatency & MachineStalls & { readonly longest: readonly Moment[] };

type DrillDetails = {
  /** The ratio is below this with 95 % confidence. */
  readonly neighbours_p99_ratio_upper_95: number;
  /** The two ratios without what met a stall of the machine; they decide nothing. Null: not measured. */
  readonly neighbours_p99_ratio_awake: number | null;
  readonly neighbours_worst_p99_ratio_awake: number | null;
  readonly phases: Readonly<Record<string, DescribedPhase>>;
  readonly neighbours: WorkCount;
  readonly culprit: WorkCount;
  readonly flood_few_runs_per_s: number;
  readonly flood_many_runs_per_s: number;
  /** Whether all processes share the processors as those of a service do. */
  readonly control_group: ControlGroup['is'];
  /** Runs in triggers that were sent, and in those of them that were refused. */
  readonly flood_few_offered_per_s: number;
  readonly flood_few_refused_per_s: number;
  readonly flood_many_offered_per_s: number;
  readonly flood_many_refused_per_s: number;
  /** By phase of the flood. */
  readonly flood_sent: Readonly<Record<string, FloodSent>>;
  readonly executor_back_s: number | null;
  readonly database_back_s: number | null;
  readonly queued_at_hold: number;
  readonly discarded_runs: number;
  readonly ledger: string;
  /** Of a drill with stores. */
  readonly stores?: StoreDetails;
};

export type DrillOptions = {
  readonly plan: Plan;
  /** Undefined: the database alone. */
  readonly stores?: StoreOptions | undefined;
  /** False where the machine is too busy, or the plan too small, for figures of speed. */
  readonly judgeSpeed: boolean;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly tell: (event: TimelineEvent) => void;
  /** Ends it at once; it rejects when everything is removed. */
  readonly signal: AbortSignal;
};

/** Replays the incident on a scratch server, which is gone afterwards, and judges what it did. */
export async function noisyNeighbour(options: DrillOptions): Promise<DrillReport> {
  const startedMs = wallClockMs();
  const timeline = createTimeline(wallClockMs, options.tell);
  timeline.note('the drill begins: a server of its own, accounts, users and workflows are made');
  const group = await enterControlGroup();
  const setting = setStage(options.plan, options.env, timeline, options.stores);
  const stage = await setting.catch(async (error) => {
    await group.leave();
    throw error;
  });
  try {
    const { figures, details } = await Promise.race([play(stage), whenAborted(options.signal)]);
    const goals = goalsOf({
      objectStore: stage.stores?.objectStore !== undefined,
      logStore: stage.stores?.logStore !== undefined,
      disk: stage.stores?.disk !== undefined || options.stores?.fullDisk === 'must',
    });
    return {
      drill: 'noisy-neighbour',
      machine: describeMachine(),
      started_at: new Date(startedMs).toISOString(),
      seconds: rounded((wallClockMs() - startedMs) / 1_000),
      figures,
      goals,
      missed: missedGoals(goals, figures, options.judgeSpeed ? 'all' : 'without speed'),
      details: { control_group: group.is, ...details },
      timeline: timeline.events,
    };
  } finally {
    await stage.destroy().finally(group.leave);
  }
}

function whenAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const abort = (): void => reject(new Error('the drill was interrupted'));
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
  });
}

type Played = {
  readonly figures: Figures;
  readonly details: Omit<DrillDetails, 'control_group'>;
};

async function play(stage: Stage): Promise<Played> {
  const { plan, timeline, operator, cast, server } = stage;
  const endOrdinary = beginOrdinary(stage, PHASES.calm);
  const endMails = beginMails(stage);
  await neighbours(stage, PHASES.warmUp, plan.seconds.warmUp);
  timeline.note(
    `calm: ${cast.quiet.length} accounts send ${plan.quietPerSecond} triggers/s together, one sends 1/s`,
    await operator.traffic(),
  );
  await beginBroadcast(stage);
  const calmMs = wallClockMs();
  await neighbours(stage, PHASES.calm, plan.seconds.calm);
  const floodMs = wallClockMs();
  await endOrdinary();

  const happened = await incident(stage);
  await endMails?.();
  await broadcastFinished(stage);
  const isDrained = await drained(server, plan.drainSeconds);
  const drainedMs = wallClockMs();
  timeline.note(isDrained ? 'the backlog is through' : 'the backlog is not through');
  await noteQuarantine(stage);
  const { heldMs, discardId } = happened.governed;
  const { environmentId } = cast.culprit;
  const startedAfterHold = await runsStarted(server.db, environmentId, heldMs, drainedMs);
  const alone = await playAlone(stage);
  const stores = await judgeStores(stage, {
    ...{ calm: { fromMs: calmMs, untilMs: floodMs }, floodMs },
    ...{ faults: happened.storeFaults, fullDisk: happened.fullDisk },
  });
  const stalls = await stage.metronome.stalls();
  timeline.note(stallsSentence(stalls));
  timeline.note('everything is counted', await ledgerState(stage));

  const quietRows = await stage.quiet.samples();
  const culpritRows = [...(await stage.flood.samples()), ...alone.samples];
  const neighbourWork = await countWork(server.db, [...quietRows, ...stores.mailRows]);
  const discarded = await exportDiscarded(stage, discardId);
  const culpritWork = await countWork(server.db, culpritRows, discarded);
  return conclude(stage, {
    ...{ happened, quietRows, culpritRows, neighbourWork, culpritWork, startedAfterHold },
    discardedRuns: [...discarded.values()].reduce((sum, runs) => sum + runs, 0),
    ...{ alone, stalls, stores },
    ledger: await ledgerState(stage),
  });
}

type Alone = {
  readonly runsPerSecond: number;
  readonly summary: LoadSummary;
  readonly samples: readonly SampleRow[];
};

/** The culprit comes back with a new key while the neighbours are idle. */
async function playAlone(stage: Stage): Promise<Alone> {
  const { server, cast, operator, timeline, plan } = stage;
  const { body } = await operator.post('/ops/v1/keys', {
    kind: 'secret',
    account: cast.culprit.account,
    environment: cast.culprit.environment,
  });
  const flood = await startFlood(server, { ...cast.culprit, secretKey: String(body.key) });
  try {
    timeline.note('the neighbours rest; the culprit sends all it can, with a new key');
    const { runsPerSecond, summary } = await floodAlone({ ...stage, flood });
    const isDrained = await drained(server, plan.drainSeconds);
    timeline.note(
      isDrained ? 'all work is done' : 'work is left undone',
      `${Math.round(runsPerSecond).toLocaleString('en')} runs/s of one account`,
    );
    const samples = await flood.samples();
    return { runsPerSecond, summary, samples };
  } finally {
    flood.end();
  }
}

/** What the server did with the culprit by itself. */
async function noteQuarantine(stage: Stage): Promise<void> {
  const { body } = await stage.operator.get('/ops/v1/quarantine?events=200');
  for (const event of listOf(body.events).filter(isJsonObject)) {
    if (!isJsonObject(event.account) || event.account.name !== stage.cast.culprit.account) continue;
    const shadow = event.shadow === true ? ' (in shadow: recorded, not done)' : '';
    stage.timeline.noteAt(
      Date.parse(String(event.at)),
      `quarantine puts the culprit from ${String(event.from)} to ${String(event.to)}${shadow}`,
      String(event.line),
    );
  }
}

async function ledgerState(stage: Stage): Promise<string> {
  const { body } = await stage.operator.get('/ops/v1/ledger?minutes=60');
  return `ledger ${String(body.state)}, gap ${String(body.gap_runs)} runs`;
}

async function conclude(
  stage: Stage,
  seen: {
    readonly happened: Incident;
    readonly quietRows: readonly SampleRow[];
    readonly culpritRows: readonly SampleRow[];
    readonly neighbourWork: WorkCount;
    readonly culpritWork: WorkCount;
    readonly startedAfterHold: number;
    readonly discardedRuns: number;
    readonly alone: Alone;
    readonly stalls: readonly Stall[] | null;
    readonly stores: StoresSeen;
    readonly ledger: string;
  },
): Promise<Played> {
  const { happened, neighbourWork, culpritWork, alone, stalls } = seen;
  const { few, many, again, governed } = happened;
  const byPhase = Map.groupBy(seen.quietRows, ([phase]) => phase);
  const rows = (phase: string): readonly SampleRow[] => byPhase.get(phase) ?? [];
  const floods = [rows(PHASES.few), rows(PHASES.many)];
  const ratios = compareWithCalm(rows(PHASES.calm), floods);
  const refused = [...seen.quietRows, ...seen.stores.mailRows].filter(isRefusedForGood).length;
  const undelivered = seen.quietRows.filter(([, , , , , delivered]) => delivered === null).length;
  const fewRate = await culpritRate(stage, few.startedMs, few.endedMs);
  const manyRate = await culpritRate(stage, many.startedMs, many.endedMs);
  const seconds = ({ startedMs, endedMs }: { startedMs: number; endedMs: number }): number =>
    (endedMs - startedMs) / 1_000;
  const broadcast = await countBroadcast(stage.server.db, stage.cast.broadcaster.environmentId);
  const refusedRuns = (name: string): number =>
    seen.culpritRows
      .filter((row) => row[0] === name && isRefused(row))
      .reduce((sum, [, , , , , , , , runs]) => sum + runs, 0);
  const figures: Figures = {
    neighbours_p99_ratio: ratios.ratio,
    neighbours_worst_p99_ratio: ratios.worst,
    neighbours_lost:
      refused + Math.max(undelivered, neighbourWork.lost + neighbourWork.withoutMessage),
    acknowledged_lost: neighbourWork.lost + culpritWork.lost,
    flood_runs_per_s: Math.round(fewRate),
    flood_alone_runs_per_s: Math.round(alone.runsPerSecond),
    culprit_named_s: roundedOrNull(happened.culpritNamedSeconds, 2),
    hold_answer_s: rounded(Math.max(governed.holdAnswerSeconds, governed.discardAnswerSeconds), 3),
    started_after_hold: seen.startedAfterHold,
    broadcast_duplicates: broadcast.duplicates,
    broadcast_missing: broadcast.missing,
    ...seen.stores.figures,
  };
  const details: Played['details'] = {
    neighbours_p99_ratio_upper_95: ratios.upper95,
    ...compareAwake(rows(PHASES.calm), floods, stalls),
    phases: Object.fromEntries(
      [...byPhase].map(([name, some]) => [
        name,
        {
          ...describePhase(some),
          ...describeStalls(some, stalls),
          longest: longestMoments(some),
        },
      ]),
    ),
    neighbours: neighbourWork,
    culprit: culpritWork,
    flood_few_runs_per_s: Math.round(fewRate),
    flood_many_runs_per_s: Math.round(manyRate),
    flood_few_offered_per_s: Math.round((few.sent * stage.plan.few.runs) / seconds(few)),
    flood_few_refused_per_s: Math.round(refusedRuns(PHASES.few) / seconds(few)),
    flood_many_offered_per_s: Math.round(many.sent / seconds(many)),
    flood_many_refused_per_s: Math.round(refusedRuns(PHASES.many) / seconds(many)),
    flood_sent: floodSent([few, many, again, alone.summary]),
    executor_back_s: roundedOrNull(happened.executorBackSeconds, 2),
    database_back_s: roundedOrNull(happened.databaseBackSeconds, 2),
    queued_at_hold: governed.depth,
    discarded_runs: seen.discardedRuns,
    ledger: seen.ledger,
    ...(stage.stores && { stores: seen.stores.details }),
  };
  return { figures, details };
}

function roundedOrNull(value: number | undefined, digits: number): number | null {
  return value === undefined ? null : rounded(value, digits);
}
