import { type Database, openDatabase } from '../db/database.ts';
import { ensurePartitions } from '../db/partitions.ts';
import { createAlarm } from '../lib/alarm.ts';
import type { Clock } from '../lib/clock.ts';
import { faultPoint } from '../lib/fault-point.ts';
import type { Logger } from '../lib/log.ts';
import { forgetOperations } from '../operations/get-operation.ts';
import { type BulkStream, openBulkStream } from './bulk-stream.ts';
import { recordCancellation } from './cancel.ts';
import type { Engine, FeedChange, OrderVerb } from './engine.ts';
import { type ExecutorPoolStats, startExecutorPool } from './executor-pool.ts';
import { createLedger, type LedgerCheck } from './ledger/ledger.ts';
import { forgetLedger } from './ledger/lists.ts';
import { type AppenderStats, openAppender } from './log/appender.ts';
import {
  CALLS,
  type ChunkRef,
  DELIVERIES,
  QUEUES,
  type QueueKind,
  queueOf,
  RUNS,
  SLICE_RUNS,
} from './log/chunk.ts';
import {
  bringTimersNear,
  forgetCancellations,
  forgetFanOuts,
  forgetIdempotencyKeys,
  truncateSlot,
} from './log/maintain.ts';
import { highestSequences, openChunksOfSlot } from './log/read-refs.ts';
import { FIRST_ASIDE_SLOT, isOpenSlot } from './log/slots.ts';
import { createLogFollower } from './log-follower.ts';
import { noisyKeepMs } from './noisy-standby.ts';
import { createOperationAppender } from './operation-appender.ts';
import { createOrders } from './orders/orders.ts';
import { acquireOwnership } from './owner.ts';
import type { ExecutorOptions } from './protocol.ts';
import { isRestrained, noisyWakesMs } from './scheduler/dispatch.ts';
import { CLASS_WEIGHTS, NOISY } from './scheduler/options.ts';
import {
  type AccountQueue,
  noisyAccounts,
  reportAccount,
  reportScheduler,
  type SchedulerReport,
} from './scheduler/report.ts';
import { type SchedulerEvent, schedule } from './scheduler/scheduler.ts';
import { createSchedulerState, type SchedulerState } from './scheduler/state.ts';
import { createShares } from './shares.ts';
import { createTimers } from './timers.ts';
import { createSignals } from './waits/signals.ts';
import { sweepWindows } from './windows/sweep.ts';

/** Run assignments an executor holds: one more than it executes at once, so that it never waits. */
const CONCURRENCY = 5;
const RUN_SLOTS = CONCURRENCY + 1;
/** Runs in an assignment while a single lane has work. */
const LONE_RUNS = 400;
/** Deliveries and calls are waits for others: many small assignments at once. */
const WAITING_SLOTS = 50;
const WAITING_RUNS = 10;

/** From so many queued runs on, the tenants of a lane take turns. */
const CROWDED_RUNS = 1_000;

const RECOVERY_HORIZON_MS = 60_000;
const CATCH_UP_MS = 5_000;
const LOAD_TIMERS_MS = 10_000;
const TRUNCATE_MS = 1_000;
const SCHEDULE_MS = 100;
const ORDERS_MS = 500;
const LOAD_SHARES_MS = 10_000;
const HOUSEKEEPING_MS = 600_000;
const MAX_TIMER_SLEEP_MS = 1_000;
const LEDGER_MS = 15_000;
const SIGNALS_MS = 500;
/** Checks of the ledger take a fiftieth of the time, however much there is to count. */
const LEDGER_REST = 50;

export type EngineOptions = {
  readonly databaseUrl: string;
  readonly db: Database;
  /** For what operators ask of the queue; `db` when there is none. */
  readonly readDb?: Database;
  readonly clock: Clock;
  readonly log: Logger;
  readonly executors: number;
  /** The database runs on this machine for us alone. */
  readonly ownsDatabase?: boolean;
  readonly executor: Omit<ExecutorOptions, 'name' | 'databaseUrl' | 'concurrency'>;
  readonly onFeeds: (feeds: readonly FeedChange[]) => void;
  readonly onStandby: (sentence: string) => void;
  /** While this is true nothing that waits is started; asked ten times a second. */
  readonly isOutOfRoom?: () => boolean;
  /** Gives up waiting for ownership. */
  readonly signal: AbortSignal;
};

export type EngineStats = {
  readonly appender: AppenderStats;
  readonly executors: ExecutorPoolStats;
  readonly queuedRuns: number;
  readonly queuedDeliveries: number;
  readonly queuedCalls: number;
  readonly assignments: number;
  readonly timers: number;
  readonly lanes: number;
  /** Milliseconds by which the oldest due timer is late; 0 when none is. */
  readonly timerLatenessMs: number;
  readonly owner: boolean;
  /** What the ledger's latest check in this server found. */
  readonly ledger: LedgerCheck | undefined;
  /** Orders in force by verb; empty while this server does not own the database. */
  readonly orders: ReadonlyMap<OrderVerb, number>;
};

export type RunningEngine = Engine & {
  /** Resolves when work is being done. */
  readonly started: Promise<void>;
  readonly watchFeeds: (add: readonly string[], remove: readonly string[]) => Promise<void>;
  readonly stats: () => EngineStats;
  /** The lanes with the most work, what makes some of them noisy, and since when. */
  readonly lanes: (limit: number) => SchedulerReport;
  /** What waits and runs of an account; undefined when it never had work. */
  readonly accountQueue: (accountId: number) => AccountQueue | undefined;
  /** Accounts with noisy lanes. */
  readonly noisyAccounts: () => number[];
  /**
   * While quiet lanes of others are active, at most `slots` assignments hold runs of the account, and all
   * of it is noisy; undefined: like everybody. Acts on what waits already.
   */
  readonly restrainAccount: (accountId: number, slots: number | undefined) => void;
  /** The account's runs restrain nobody: those of the canary, which has no neighbours. */
  readonly overlookAccount: (accountId: number) => void;
  /** A session that appends to the bulk lanes; whoever opens it closes it before the engine stops. */
  readonly openBulkStream: () => Promise<BulkStream>;
  readonly processIds: () => number[];
  /** Answers what was accepted, lets work under way finish, gives the database up. */
  readonly stop: () => Promise<void>;
};

function waitsForOthers(): SchedulerState {
  return createSchedulerState({
    assignmentRuns: WAITING_RUNS,
    reserveSlots: true,
    classWeights: CLASS_WEIGHTS,
  });
}

/** Becomes the owner of the database, recovers what was left, and starts to work. */
export async function startEngine(options: EngineOptions): Promise<RunningEngine> {
  const { db, clock, log } = options;
  const own = () =>
    acquireOwnership({
      url: options.databaseUrl,
      log,
      signal: options.signal,
      onStandby: options.onStandby,
    });
  let ownership = await own();
  let owner = true;
  let stopping = false;

  const states: Record<QueueKind, SchedulerState> = {
    [RUNS]: createSchedulerState({
      assignmentRuns: SLICE_RUNS,
      loneAssignmentRuns: LONE_RUNS,
      noisy: NOISY,
      classWeights: CLASS_WEIGHTS,
    }),
    [DELIVERIES]: waitsForOthers(),
    [CALLS]: waitsForOthers(),
  };
  const timers = createTimers(clock.now() + RECOVERY_HORIZON_MS);
  const usedSlots = new Set<number>();
  const shares = createShares({
    states: QUEUES.map((kind) => states[kind]),
    send: (state, event) => pump(QUEUES.find((kind) => states[kind] === state) ?? RUNS, event),
  });
  const refusedTruncations = new Map<number, number>();
  // Of its own and at a lower priority: counting half a million rows must not be felt.
  const ledgerDb = openDatabase({
    url: options.databaseUrl,
    max: 1,
    applicationName: 'belfry ledger',
    log,
    background: { lowersSessionsTo: options.ownsDatabase ? 'low' : undefined },
  });
  const ledger = createLedger({ db: ledgerDb, clock, log });
  let ledgerRestMs = 0;
  let timerLatenessMs = 0;
  let timerSleep: NodeJS.Timeout | undefined;

  // The rest of noisy lanes is shorter than the time between two ticks.
  const noisyAlarm = createAlarm(() => pump(RUNS, { type: 'tick' }));
  const follower = createLogFollower({ take, onGap: () => void catchUp() });
  await recover();

  const pool = startExecutorPool({
    count: options.executors,
    executor: {
      ...options.executor,
      databaseUrl: options.databaseUrl,
      concurrency: CONCURRENCY,
    },
    ownsDatabase: options.ownsDatabase ?? false,
    noisyKeepMs: noisyKeepMs(),
    log,
    events: {
      finished: (kind, assignmentId, serviceMs) =>
        pump(kind, { type: 'finished', assignmentId, serviceMs }),
      returned: (kind, assignmentId, careful, poisoned) =>
        pump(kind, { type: 'returned', assignmentId, careful, ...(poisoned ? { poisoned } : {}) }),
      appended: (refs) => follower.report(refs),
      feedsChanged: options.onFeeds,
      lost: () => {
        void catchUp();
        tick();
      },
    },
  });
  const isCrowded = (laneId: number): boolean =>
    (states[RUNS].lanes.get(laneId)?.queuedRuns ?? 0) >= CROWDED_RUNS;
  const isPatient = (laneId: number): boolean =>
    states[RUNS].lanes.get(laneId)?.level === 'noisy' && isRestrained(states[RUNS]);
  const appender = await openAppender({
    url: options.databaseUrl,
    clock,
    log,
    isCrowded,
    isPatient,
    onAppended: (refs) => follower.report(refs),
  });

  const openStream = (): Promise<BulkStream> =>
    openBulkStream({
      url: options.databaseUrl,
      clock,
      log,
      isCrowded,
      onAppended: (refs) => follower.report(refs),
    });
  const operations = createOperationAppender({ openStream, log });

  const orders = createOrders({
    db,
    readDb: options.readDb ?? db,
    clock,
    log,
    states,
    govern: pool.govern,
    queue: (ref, receipted) =>
      pump(queueOf(ref.kind), { type: 'appended', refs: [ref], receipted }),
  });

  const signals = createSignals({
    db,
    url: options.databaseUrl,
    clock,
    log,
    onAppended: (refs) => follower.report(refs),
  });

  const loops = [
    every(CATCH_UP_MS, catchUp),
    every(LOAD_TIMERS_MS, () => timers.load(db, clock.now())),
    every(TRUNCATE_MS, truncateFinished),
    every(SCHEDULE_MS, async () => {
      tick();
      pool.setNoisy(states[RUNS].noisy.size > 0);
    }),
    every(LOAD_SHARES_MS, () => shares.load(db)),
    every(HOUSEKEEPING_MS, housekeeping),
    every(LEDGER_MS, checkLedger),
    every(ORDERS_MS, orders.work),
    every(SIGNALS_MS, signals.work),
  ];
  await shares.load(db);
  void watchOwnership();
  wakeTimers();

  function pump(kind: QueueKind, event: SchedulerEvent): void {
    const state = states[kind];
    if (event.type === 'appended') {
      for (const { laneId } of event.refs) shares.introduce(state, laneId);
    }
    const perExecutor = kind === RUNS ? RUN_SLOTS : WAITING_SLOTS;
    const mayStart = owner && !stopping && options.isOutOfRoom?.() !== true;
    state.slots = mayStart ? pool.readyCount() * perExecutor : 0;
    for (const assignment of schedule(state, event, performance.now()))
      pool.assign(kind, assignment);
    const noisyMs = kind === RUNS ? noisyWakesMs(state) : undefined;
    if (noisyMs !== undefined && !stopping) {
      noisyAlarm.set(Math.max(0, noisyMs - performance.now()));
    }
  }

  function tick(): void {
    for (const kind of QUEUES) pump(kind, { type: 'tick' });
  }

  function take(refs: readonly ChunkRef[]): void {
    const now: Record<QueueKind, ChunkRef[]> = { [RUNS]: [], [DELIVERIES]: [], [CALLS]: [] };
    for (const ref of refs) {
      usedSlots.add(ref.slot);
      if (ref.orderId !== undefined) continue;
      if (ref.dueMs !== undefined && ref.dueMs > clock.now()) timers.add(ref);
      else now[queueOf(ref.kind)].push(ref);
    }
    for (const kind of QUEUES) {
      if (now[kind].length > 0) pump(kind, { type: 'appended', refs: now[kind] });
    }
    wakeTimers();
  }

  /** Work that is due goes to the scheduler; then sleep until the next timer. */
  function wakeTimers(): void {
    clearTimeout(timerSleep);
    if (stopping) return;
    const nowMs = clock.now();
    timerLatenessMs = Math.max(0, nowMs - (timers.nextDueMs() ?? nowMs));
    const due = timers.due(nowMs);
    if (due.length > 0) faultPoint('timers.due');
    for (const kind of QUEUES) {
      const refs = due.filter((ref) => queueOf(ref.kind) === kind);
      if (refs.length > 0) pump(kind, { type: 'appended', refs });
    }
    const sleepMs = (timers.nextDueMs() ?? Number.POSITIVE_INFINITY) - nowMs;
    timerSleep = setTimeout(wakeTimers, Math.max(1, Math.min(sleepMs, MAX_TIMER_SLEEP_MS)));
  }

  /** Before anything else runs: everything without a receipt is queued again. */
  async function recover(): Promise<void> {
    const nowMs = clock.now();
    await ensurePartitions(db, nowMs);
    await forgetIdempotencyKeys(db, nowMs);
    await bringTimersNear(db, nowMs);
    follower.startFrom(await highestSequences(db));
    for (let slot = 0; slot < FIRST_ASIDE_SLOT; slot++)
      await requeue(slot, nowMs + RECOVERY_HORIZON_MS);
    faultPoint('recovery.after-read');
    const queued = states[RUNS].queuedRuns;
    if (queued > 0) log.info({ queuedRuns: queued }, 'queued work recovered');
  }

  async function requeue(slot: number, dueBeforeMs: number): Promise<void> {
    const [row] = await db.query<{ used: boolean }>(
      `select exists (select from chunk_${slot}) as used`,
    );
    if (!row?.used) return;
    usedSlots.add(slot);
    for (const { ref, receipted } of await openChunksOfSlot(db, slot, new Date(dueBeforeMs))) {
      if (ref.dueMs !== undefined && ref.dueMs > clock.now()) {
        timers.add(ref);
      } else {
        // Whatever may start does so with the next tick.
        states[queueOf(ref.kind)].slots = 0;
        schedule(
          states[queueOf(ref.kind)],
          { type: 'appended', refs: [ref], receipted },
          performance.now(),
        );
      }
    }
  }

  async function catchUp(): Promise<void> {
    if (!owner || stopping) return;
    await follower.catchUp(db).catch((error) => log.warn({ err: error }, 'catching up failed'));
  }

  async function truncateFinished(): Promise<void> {
    const nowMs = clock.now();
    for (const slot of usedSlots) {
      const isBusy = QUEUES.some((kind) => (states[kind].openSlices.get(slot) ?? 0) > 0);
      if (isBusy || isOpenSlot(slot, nowMs) || !owner) continue;
      if (await truncateSlot(db, slot)) {
        usedSlots.delete(slot);
        refusedTruncations.delete(slot);
        continue;
      }
      // Nothing is known to be open, yet something is: after a while, look for it.
      const refused = (refusedTruncations.get(slot) ?? 0) + 1;
      refusedTruncations.set(slot, refused % 10);
      if (refused === 10) await requeue(slot, nowMs);
    }
  }

  async function housekeeping(): Promise<void> {
    const nowMs = clock.now();
    await ensurePartitions(db, nowMs);
    await bringTimersNear(db, nowMs);
    await forgetIdempotencyKeys(db, nowMs);
    await forgetCancellations(db, nowMs);
    await forgetFanOuts(db, nowMs);
    await forgetOperations(db, nowMs);
    await sweepWindows(db, nowMs);
    await forgetLedger(db, nowMs);
  }

  async function checkLedger(): Promise<void> {
    if (performance.now() < ledgerRestMs) return;
    const startedMs = performance.now();
    await ledger.check();
    const endedMs = performance.now();
    ledgerRestMs = endedMs + LEDGER_REST * (endedMs - startedMs);
  }

  async function watchOwnership(): Promise<void> {
    while (!stopping) {
      await ownership.lost;
      if (stopping) return;
      owner = false;
      log.warn('the owner’s session ended; asking for ownership again');
      while (!stopping && !owner) {
        try {
          ownership = await own();
          owner = true;
        } catch (error) {
          if (options.signal.aborted) return;
          log.warn({ err: error }, 'ownership cannot be had; trying again');
          await new Promise((resolve) => setTimeout(resolve, 500));
        }
      }
      await catchUp();
      tick();
    }
  }

  /** Runs `task` again and again, `intervalMs` after it ended; its failures are logged. */
  function every(intervalMs: number, task: () => Promise<void>): { stop: () => void } {
    let timer: NodeJS.Timeout;
    const run = async (): Promise<void> => {
      try {
        if (owner) await task();
      } catch (error) {
        log.warn({ err: error }, `${task.name} failed; it will be tried again`);
      }
      if (!stopping) timer = setTimeout(run, intervalMs);
    };
    timer = setTimeout(run, intervalMs);
    return { stop: () => clearTimeout(timer) };
  }

  return {
    started: pool.started,
    trigger: (request) => appender.append(request),
    cancel: (request) => recordCancellation(db, clock.now(), request),
    operate: operations.append,
    preview: async (request) => {
      const answer = await pool.preview(request);
      return answer ?? { kind: 'error', reason: 'no executor could render it; look at the log' };
    },
    ledger: ledger.latest,
    orders,
    reloadShares: () => shares.load(db),
    watchFeeds: (add, remove) => pool.watch(add, remove),
    openBulkStream: openStream,
    processIds: () => pool.processIds(),
    lanes: (limit) => reportScheduler(states[RUNS], limit),
    accountQueue: (accountId) => reportAccount(states[RUNS], accountId),
    noisyAccounts: () => noisyAccounts(states[RUNS]),
    restrainAccount: (accountId, slots = Number.POSITIVE_INFINITY) =>
      pump(RUNS, { type: 'accountRestrained', accountId, slots }),
    overlookAccount: (accountId) => pump(RUNS, { type: 'accountOverlooked', accountId }),
    stats: () => ({
      appender: appender.stats(),
      executors: pool.stats(),
      queuedRuns: states[RUNS].queuedRuns,
      queuedDeliveries: states[DELIVERIES].queuedRuns,
      queuedCalls: states[CALLS].queuedRuns,
      assignments: QUEUES.reduce<number>((sum, kind) => sum + states[kind].assigned.size, 0),
      timers: timers.size(),
      lanes: states[RUNS].lanes.size,
      timerLatenessMs,
      owner,
      ledger: ledger.latest(),
      orders: owner ? orders.inForce() : new Map(),
    }),
    stop: async () => {
      await appender.close();
      await operations.close();
      stopping = true;
      for (const loop of loops) loop.stop();
      clearTimeout(timerSleep);
      noisyAlarm.clear();
      await pool.drain();
      await signals.close();
      await ledgerDb.close();
      await ownership.release();
    },
  };
}
