import type { Clock } from '../lib/clock.ts';
import { createDimension, type Talker, type Traffic, type Window } from './dimension.ts';

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
};

export function createTraffic({ clock }: { readonly clock: Clock }): TrafficCounters {
  const watchedSinceMs = clock.now();
  const dimension = () => createDimension(watchedSinceMs);
  const all = dimension();
  const callers = dimension();
  const accounts = dimension();
  const environments = dimension();
  const keys = dimension();
  const workflows = dimension();
  const sources = dimension();

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
  };
}
