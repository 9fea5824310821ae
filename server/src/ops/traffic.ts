import type { Clock } from '../lib/clock.ts';
import {
  createDimension,
  type Dimension,
  type LastSecond,
  type Past,
  type Talker,
  type Traffic,
  type Window,
} from './dimension.ts';

/** A request to trigger, accepted or refused. */
export type TrafficEvent = {
  /** Absent: refused before it was known whose it is. */
  readonly caller:
    | {
        readonly accountId: number;
        readonly environmentId: number;
        readonly keyId: number;
        /** The key's last four characters. */
        readonly keyHint: string;
      }
    | undefined;
  /** Absent: there is no such workflow. */
  readonly workflowKey: string | undefined;
  readonly sourceAddress: string;
  readonly bytes: number;
  readonly outcome: { readonly runs: number } | 'refused';
};

/**
 * Keys of callers, accounts, environments, keys and workflows have the form
 * `account/environment/key:hint/workflow`, cut off or empty where a part is none of theirs.
 */
export type TopTraffic = {
  readonly atMs: number;
  readonly watchedSinceMs: number;
  readonly total: Traffic;
  readonly callers: readonly Talker[];
  readonly accounts: readonly Talker[];
  readonly environments: readonly Talker[];
  readonly keys: readonly Talker[];
  readonly workflows: readonly Talker[];
  readonly sources: readonly Talker[];
};

/**
 * Who it is: the traffic of this process by account, environment, API key, workflow, source address, and by
 * account, key and workflow together. In memory only, so it answers whatever is wrong with the database.
 */
export type TrafficCounters = {
  /** On the path of every trigger: some microseconds, no I/O. */
  readonly count: (event: TrafficEvent) => void;
  readonly top: (window: Window) => TopTraffic;
  /** The accounts that sent in the last whole second. */
  readonly lastSecond: () => AccountSecond[];
  /** Who and what makes the traffic of accounts, of the last ten seconds or, without any, of ten minutes. */
  readonly culprits: () => (accountId: number) => Culprit;
};

export type AccountSecond = Omit<LastSecond, 'key'> & { readonly accountId: number };

export type Culprit = {
  /** Its environment, key and workflow together. */
  readonly caller: Talker | undefined;
  /** The address that most of it comes from. */
  readonly source: string | undefined;
};

/** `past` is what is known of accounts, by their numbers, from before this process. */
export function createTraffic({
  clock,
  past,
}: {
  readonly clock: Clock;
  readonly past?: Past | undefined;
}): TrafficCounters {
  const watchedSinceMs = clock.now();
  const dimension = () => createDimension(watchedSinceMs);
  const all = dimension();
  const callers = dimension();
  const accounts = createDimension(watchedSinceMs, past);
  const environments = dimension();
  const keys = dimension();
  const workflows = dimension();
  const sources = dimension();
  const senders = dimension();

  return {
    count: ({ caller, workflowKey, sourceAddress, bytes, outcome }) => {
      const nowMs = clock.now();
      const traffic: Traffic =
        outcome === 'refused'
          ? { runs: 0, triggers: 0, refused: 1, bytes }
          : { runs: outcome.runs, triggers: 1, refused: 0, bytes };
      all.count('', nowMs, traffic);
      sources.count(sourceAddress, nowMs, traffic);
      if (!caller) return;
      const { accountId, environmentId, keyId, keyHint } = caller;
      const key = `${environmentId}/${keyId}:${keyHint}`;
      accounts.count(String(accountId), nowMs, traffic);
      senders.count(`${accountId}/${sourceAddress}`, nowMs, traffic);
      environments.count(`${accountId}/${environmentId}`, nowMs, traffic);
      keys.count(`${accountId}/${key}`, nowMs, traffic);
      callers.count(`${accountId}/${key}/${workflowKey ?? ''}`, nowMs, traffic);
      if (workflowKey !== undefined) {
        workflows.count(`${accountId}/${environmentId}//${workflowKey}`, nowMs, traffic);
      }
    },
    top: (window) => {
      const nowMs = clock.now();
      const [total] = all.talkers(window, nowMs);
      const { runs = 0, triggers = 0, refused = 0, bytes = 0 } = total ?? {};
      return {
        atMs: nowMs,
        watchedSinceMs,
        total: { runs, triggers, refused, bytes },
        callers: callers.talkers(window, nowMs),
        accounts: accounts.talkers(window, nowMs),
        environments: environments.talkers(window, nowMs),
        keys: keys.talkers(window, nowMs),
        workflows: workflows.talkers(window, nowMs),
        sources: sources.talkers(window, nowMs),
      };
    },
    lastSecond: () =>
      accounts
        .lastSecond(clock.now())
        .map(({ key, ...second }) => ({ ...second, accountId: Number(key) })),
    culprits: () => {
      const nowMs = clock.now();
      const most = (of: Dimension) => {
        const short = lazy(() => largestByAccount(of.talkers('10s', nowMs)));
        const long = lazy(() => largestByAccount(of.talkers('10m', nowMs)));
        return (accountId: number) => short().get(accountId) ?? long().get(accountId);
      };
      const caller = most(callers);
      const sender = most(senders);
      return (accountId) => ({
        caller: caller(accountId),
        source: sender(accountId)?.key.slice(`${accountId}/`.length),
      });
    },
  };
}

function largestByAccount(talkers: readonly Talker[]): ReadonlyMap<number, Talker> {
  const largest = new Map<number, Talker>();
  for (const talker of talkers) {
    const accountId = Number.parseInt(talker.key, 10);
    if (talker.load > (largest.get(accountId)?.load ?? 0)) largest.set(accountId, talker);
  }
  return largest;
}

function lazy<Value>(make: () => Value): () => Value {
  let value: Value | undefined;
  return () => {
    value ??= make();
    return value;
  };
}
