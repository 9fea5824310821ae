import { createLruCache } from '../lib/lru.ts';

const ACCOUNTS = 1_000;

/** What was refused since the start, by account and by which budget. The accounts refused last are kept. */
export type Refusals = {
  readonly count: (accountId: number, budget: string, nowMs: number) => void;
  readonly of: (accountId: number, nowMs: number) => Readonly<Record<string, number>>;
  readonly all: () => readonly {
    readonly accountId: number;
    readonly counts: Readonly<Record<string, number>>;
  }[];
};

type Entry = { readonly accountId: number; readonly counts: Record<string, number> };

export function createRefusals(): Refusals {
  const entries = createLruCache<Entry>(ACCOUNTS, Number.POSITIVE_INFINITY);
  return {
    count: (accountId, budget, nowMs) => {
      const key = String(accountId);
      const entry = entries.get(key, nowMs) ?? { accountId, counts: {} };
      entry.counts[budget] = (entry.counts[budget] ?? 0) + 1;
      entries.set(key, entry, nowMs);
    },
    of: (accountId, nowMs) => entries.get(String(accountId), nowMs)?.counts ?? {},
    all: () => [...entries.values(0)],
  };
}
