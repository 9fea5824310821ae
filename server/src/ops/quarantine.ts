import type { Context } from '../context.ts';
import type { Logger } from '../lib/log.ts';
import { createLruCache } from '../lib/lru.ts';
import { createNames } from './names.ts';
import {
  type Decision,
  decide,
  isForgettable,
  newDecision,
  type Observation,
  type Transition,
} from './quarantine/decide.ts';
import { createEventLog, type QuarantineEvent } from './quarantine/events.ts';
import {
  type Evidence,
  environmentOf,
  evidenceOf,
  isCulprit,
  lineOf,
  type Sight,
} from './quarantine/evidence.ts';
import { type Level, rankOf } from './quarantine/levels.ts';
import { limitsFor } from './quarantine/limits.ts';
import type { AccountSecond, Culprit, TrafficCounters } from './traffic.ts';

export { MAX_HAND_MS } from './quarantine/events.ts';

const NAMES = 1_000;

/** How much of what is decided is done: all, nothing, or nothing is decided. */
export type QuarantineMode = 'act' | 'shadow' | 'off';

export type QuarantineOptions = {
  readonly mode: QuarantineMode;
  /** Whether a pause, or a reject, by its rule is done. */
  readonly pause: boolean;
  readonly reject: boolean;
  /** Queued runs of an account that are too many. */
  readonly backlogRuns: number;
  readonly executors: number;
};

/** What the scheduler says of queues. */
export type Queues = {
  readonly account: (accountId: number) => AccountQueue | undefined;
  readonly noisyAccounts: () => readonly number[];
  readonly queuedRuns: () => number;
};

type AccountQueue = Omit<Observation, 'arrivalsPerS' | 'normalPerS' | 'held'> & {
  readonly environmentId: number | undefined;
};

/** What is done to an account; to refuse its triggers is up to who asks `refuses`. */
export type QuarantineActions = {
  /** All of its work is noisy and has one slot while others are active. */
  readonly restrain: (accountId: number, on: boolean) => void;
  /** Nothing of it starts. Tried again when it fails; absent: this server cannot. */
  readonly hold?: (accountId: number, on: boolean, input: Hold) => Promise<void>;
};

/** Why, and until when at the latest. */
export type Hold = {
  /** Who set the level by hand; absent: nobody did. */
  readonly author?: string;
  readonly reason: string;
  readonly untilMs: number;
};

type Account = { readonly id: number; readonly name: string | null };

/** An account that is not normal, as it is now. */
export type Quarantined = {
  readonly account: Account;
  readonly level: Level;
  /** The level is decided but not done; what is done instead is less. */
  readonly shadow: boolean;
  readonly since: string;
  readonly hand: Hand | null;
  readonly evidence: Evidence;
  readonly line: string;
  readonly culprit: boolean;
};

type Hand = {
  readonly level: Level;
  readonly author: string;
  readonly reason: string;
  readonly until: string;
};

export type SetByHand = {
  readonly accountId: number;
  /** For its events, should nobody else know it. */
  readonly accountName: string;
  readonly level: Level | 'automatic';
  readonly author: string;
  readonly reason: string;
  readonly untilMs: number;
};

export type Quarantine = {
  readonly mode: QuarantineMode;
  /** Looks at every account that sends, waits or is not normal. To be called once a second. */
  readonly tick: () => void;
  /** The strictest level first; then by the share of the queue. */
  readonly current: () => Promise<Quarantined[]>;
  /** The newest first, at most 200. */
  readonly events: (limit: number) => readonly QuarantineEvent[];
  /** Sets an account's level until a time, or lets the rules decide again. True: it is written down. */
  readonly set: (input: SetByHand) => Promise<boolean>;
  readonly can: (level: Level) => boolean;
  /** Whether triggers of the account are answered with 429. */
  readonly refuses: (accountId: number) => boolean;
  /** By account, those that are not normal. */
  readonly levels: () => ReadonlyMap<number, number>;
  /** Reads levels by hand and events of earlier processes; without the database, later. */
  readonly start: () => Promise<void>;
  readonly stop: () => Promise<void>;
};

type Watched = {
  decision: Decision;
  hand: Hand | undefined;
  peakPerS: number;
  normalPerS: number | undefined;
  seen: Observation;
  environmentId: number | undefined;
  readonly done: { restrained: boolean; held: boolean; refused: boolean };
  holding: Promise<void> | undefined;
};

type Input = {
  readonly traffic: Pick<TrafficCounters, 'lastSecond' | 'culprits'>;
  readonly queues: Queues;
  readonly actions: QuarantineActions;
  readonly options: QuarantineOptions;
};

/** Automatic quarantine: see README.md. */
export function createQuarantine(ctx: Context, input: Input): Quarantine {
  const { traffic, queues, actions, options } = input;
  const { clock, log } = ctx;
  const limits = limitsFor(options);
  const events = createEventLog(ctx);
  const findNames = createNames(ctx);
  const records = new Map<number, Watched>();
  /** Of accounts whose level was set by hand: they may have no traffic that tells their names. */
  const accountNames = createLruCache<string>(NAMES, Number.POSITIVE_INFINITY);
  let recalled = false;
  let telling: Promise<void> = Promise.resolve();

  const acts = (level: Level): boolean => {
    if (level === 'paused') return options.mode === 'act' && options.pause && !!actions.hold;
    if (level === 'reject') return options.mode === 'act' && options.reject;
    return level === 'surge' ? options.mode === 'act' : true;
  };

  const tick = (): void => {
    const nowMs = clock.now();
    const seconds = new Map(traffic.lastSecond().map((second) => [second.accountId, second]));
    const ids = new Set(records.keys());
    if (options.mode !== 'off') {
      for (const id of [...seconds.keys(), ...queues.noisyAccounts()]) ids.add(id);
    }
    const culprits = traffic.culprits();
    for (const id of ids) look(id, seconds.get(id), nowMs, culprits);
    void events.flush();
    if (!recalled) void start();
  };

  const look = (
    id: number,
    second: AccountSecond | undefined,
    nowMs: number,
    culprits: (id: number) => Culprit,
  ): void => {
    const record = records.get(id) ?? newWatched(nowMs);
    see(record, id, second);
    const { decision, transitions } =
      options.mode === 'off'
        ? { decision: record.decision, transitions: [] }
        : decide(record.decision, record.seen, nowMs, limits);
    record.decision = decision;
    const { arrivalsPerS } = record.seen;
    const isApart = decision.level !== 'normal' || decision.loudSinceMs !== undefined;
    record.peakPerS = isApart ? Math.max(record.peakPerS, arrivalsPerS) : arrivalsPerS;
    for (const transition of transitions) tell(id, record, transition, culprits);
    liftHand(id, record, nowMs, culprits);
    treat(id, record);
    const { restrained, held, refused } = record.done;
    const isDone = record.hand || record.holding || restrained || held || refused;
    if (isDone || !isForgettable(decision, nowMs, limits)) records.set(id, record);
    else records.delete(id);
  };

  const see = (record: Watched, id: number, second: AccountSecond | undefined): void => {
    const queue = queues.account(id) ?? NOTHING;
    record.normalPerS = second ? second.normal : record.normalPerS;
    record.environmentId = queue.environmentId ?? record.environmentId;
    record.seen = {
      arrivalsPerS: second?.load ?? 0,
      normalPerS: record.normalPerS,
      queuedRuns: queue.queuedRuns,
      oldestAgeMs: queue.oldestAgeMs,
      finishedRuns: queue.finishedRuns,
      // What is noisy by hand says nothing of its share.
      noisy: queue.noisy && !(record.hand && record.done.restrained),
      held: record.done.held,
    };
  };

  /** Does what the level by hand says, or else what the rules say and may do. */
  const treat = (id: number, record: Watched): void => {
    const { decision, hand, done } = record;
    const { surge, pausedSinceMs, rejectSinceMs } = decision;
    const isStrict = surge ?? pausedSinceMs ?? rejectSinceMs;
    const restrained = hand ? rankOf(hand.level) >= rankOf('surge') : !!isStrict && acts('surge');
    const held = hand ? hand.level === 'paused' : pausedSinceMs !== undefined && acts('paused');
    const refused = hand ? hand.level === 'reject' : rejectSinceMs !== undefined && acts('reject');
    if (restrained !== done.restrained) actions.restrain(id, restrained);
    done.restrained = restrained;
    done.refused = refused;
    if (held === done.held || record.holding) return;
    const reason = hand?.reason ?? 'backlog over rate';
    const untilMs = hand ? Date.parse(hand.until) : clock.now() + limits.pauseMs;
    const by = { ...(hand && { author: hand.author }), reason, untilMs };
    record.holding = (actions.hold?.(id, held, by) ?? Promise.resolve())
      .then(() => {
        done.held = held;
      })
      .catch((error) => log.warn({ err: error, accountId: id }, 'a pause failed; trying again'))
      .finally(() => {
        record.holding = undefined;
      });
  };

  const sightOf = (record: Watched, culprit: Culprit): Sight => ({
    seen: record.seen,
    decision: record.decision,
    peakPerS: record.peakPerS,
    totalQueuedRuns: queues.queuedRuns(),
    environmentId: record.environmentId,
    culprit,
  });

  const named = async (id: number, sight: Sight) => {
    const given = accountNames.get(String(id), 0);
    const environment = environmentOf(sight);
    const names = await findNames(new Set(environment === undefined ? [] : [environment]));
    const account = { id, name: names.account(id) ?? given ?? null };
    const evidence = evidenceOf(sight, names);
    return { account, evidence, line: lineOf(account, evidence) };
  };

  /** Writes an event, one after the other, when names are known. */
  const record = (
    id: number,
    sight: Sight,
    event: Pick<
      QuarantineEvent,
      'at' | 'from' | 'to' | 'because' | 'shadow' | 'author' | 'reason' | 'until'
    >,
  ): Promise<void> => {
    const naming = named(id, sight);
    telling = telling.then(async () => {
      const whole = { ...event, ...(await naming) };
      events.add(whole);
      announce(log, whole);
    });
    return telling;
  };

  const tell = (
    id: number,
    account: Watched,
    { atMs, from, to, because }: Transition,
    culprits: (id: number) => Culprit,
  ): void => {
    const strictest = rankOf(to) > rankOf(from) ? to : from;
    void record(id, sightOf(account, culprits(id)), {
      at: new Date(atMs).toISOString(),
      from,
      to,
      because,
      shadow: account.hand !== undefined || !acts(strictest),
      author: null,
      reason: null,
      until: null,
    });
  };

  const liftHand = (
    id: number,
    account: Watched,
    nowMs: number,
    culprits: (id: number) => Culprit,
  ): void => {
    const { hand } = account;
    if (!hand || nowMs < Date.parse(hand.until)) return;
    account.hand = undefined;
    void record(id, sightOf(account, culprits(id)), {
      at: new Date(nowMs).toISOString(),
      from: hand.level,
      to: account.decision.level,
      because: 'hand lifted',
      shadow: false,
      author: null,
      reason: null,
      until: null,
    });
  };

  const set = async ({ accountId, accountName, level, ...by }: SetByHand) => {
    const { author, reason, untilMs } = by;
    accountNames.set(String(accountId), accountName, 0);
    const nowMs = clock.now();
    const account = records.get(accountId) ?? newWatched(nowMs);
    records.set(accountId, account);
    see(account, accountId, undefined);
    const from = account.hand?.level ?? account.decision.level;
    const until = new Date(untilMs).toISOString();
    account.hand = level === 'automatic' ? undefined : { level, author, reason, until };
    treat(accountId, account);
    await record(accountId, sightOf(account, traffic.culprits()(accountId)), {
      at: new Date(nowMs).toISOString(),
      from,
      to: level === 'automatic' ? account.decision.level : level,
      because: level === 'automatic' ? 'hand lifted' : 'set by hand',
      shadow: false,
      author,
      reason,
      until: level === 'automatic' ? null : until,
    });
    await account.holding;
    return events.flush();
  };

  const start = async (): Promise<void> => {
    recalled = true;
    try {
      const nowMs = clock.now();
      for (const { account, to, author, reason, until } of await events.recall()) {
        if (author === null || until === null || Date.parse(until) <= nowMs) continue;
        const found = records.get(account.id) ?? newWatched(nowMs);
        if (account.name !== null) accountNames.set(String(account.id), account.name, 0);
        found.hand ??= { level: to, author, reason: reason ?? '', until };
        records.set(account.id, found);
      }
    } catch (error) {
      recalled = false;
      log.debug({ err: error }, 'levels set by hand cannot be read yet');
    }
  };

  const current = async (): Promise<Quarantined[]> => {
    const culprits = traffic.culprits();
    const apart = [...records].filter(
      ([, { decision, hand }]) => hand || decision.level !== 'normal',
    );
    const all = await Promise.all(
      apart.map(async ([id, record]) => {
        const { decision, hand = null } = record;
        const level = hand?.level ?? decision.level;
        const since = new Date(decision.sinceMs).toISOString();
        const facts = await named(id, sightOf(record, culprits(id)));
        const culprit = isCulprit(decision.level, facts.evidence);
        return { ...facts, level, shadow: !hand && !acts(level), since, hand, culprit };
      }),
    );
    return all.sort(
      (a, b) =>
        rankOf(b.level) - rankOf(a.level) || b.evidence.queue_share - a.evidence.queue_share,
    );
  };

  return {
    mode: options.mode,
    tick,
    current,
    events: events.latest,
    set,
    can: (level) => level !== 'paused' || !!actions.hold,
    refuses: (accountId) => records.get(accountId)?.done.refused === true,
    levels: () =>
      new Map(
        [...records]
          .map(([id, { hand, decision }]) => [id, rankOf(hand?.level ?? decision.level)] as const)
          .filter(([, rank]) => rank > 0),
      ),
    start,
    stop: async () => {
      await telling;
      await events.flush();
    },
  };
}

const NOTHING: AccountQueue = {
  queuedRuns: 0,
  oldestAgeMs: 0,
  finishedRuns: 0,
  noisy: false,
  environmentId: undefined,
};

function newWatched(nowMs: number): Watched {
  return {
    decision: newDecision(nowMs),
    hand: undefined,
    peakPerS: 0,
    normalPerS: undefined,
    seen: { ...NOTHING, arrivalsPerS: 0, normalPerS: undefined, held: false },
    environmentId: undefined,
    done: { restrained: false, held: false, refused: false },
    holding: undefined,
  };
}

function announce(log: Logger, event: Omit<QuarantineEvent, 'id'>): void {
  const { account, from, to, because, shadow, author, evidence, line } = event;
  const what = `quarantine: ${from} -> ${to}${shadow ? ' (shadow)' : ''}, ${because}: ${line}`;
  const facts = { accountId: account.id, from, to, because, shadow, author, evidence };
  if (rankOf(to) >= rankOf('surge') && rankOf(to) > rankOf(from)) log.warn(facts, what);
  else log.info(facts, what);
}
