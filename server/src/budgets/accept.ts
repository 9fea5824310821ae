import { type AcceptLimits, limitNames } from '../accounts/limits.ts';
import { type Debt, NO_DEBT, repaid, waitMs } from '../lib/debt.ts';
import { createLruCache } from '../lib/lru.ts';
import { createFairShare } from './fair-share.ts';

/** What a request costs the event loop, measured with `bench accept`: itself, each body byte, each run. */
const REQUEST_MS = 0.1;
const BYTE_MS = 20e-6;
const RUN_MS = 0.001;

/** What a limit allows at once: that of a second. */
const BURST_S = 1;
const BUCKETS = 20_000;
const BUCKET_MS = 3_600_000;
const LONGEST_WAIT_MS = 60_000;

/** Whose request it is. */
export type Caller = {
  readonly accountId: number;
  /** Absent: a service token. */
  readonly keyId?: number;
  readonly limits?: { readonly account: AcceptLimits; readonly key: AcceptLimits };
};

export type Refusal = {
  readonly budget: 'account limit' | 'key limit' | 'fair share';
  /** A clause for the message. */
  readonly reason: string;
  readonly retryAfterMs: number;
};

/** Which requests come in. Decides from memory and the arguments alone; nothing here waits. */
export type AcceptBudget = {
  /** Undefined: come in. `bytes` is what the request announces. */
  readonly enter: (caller: Caller, bytes: number, nowMs: number) => Refusal | undefined;
  /** What was not known before the body was read. */
  readonly charge: (
    caller: Caller,
    cost: { readonly runs?: number; readonly bytes?: number },
    nowMs: number,
  ) => void;
  /** `pressure` is the share of the last 100 ms that the event loop was busy, 0 to 1. */
  readonly tick: (pressure: number, nowMs: number) => void;
  /** Milliseconds of the event loop a second that one account may have; Infinity without pressure. */
  readonly level: () => number;
};

type LimitName = keyof AcceptLimits;
type Bucket = { [name in LimitName]?: Debt };

/** `highPressure`: how busy the event loop may be before anybody is limited, 0 to 1. */
export function createAcceptBudget(highPressure?: number): AcceptBudget {
  const buckets = createLruCache<Bucket>(BUCKETS, BUCKET_MS);
  const fairShare = createFairShare(highPressure);

  /** The wait that the limits of an account or a key ask for; counts nothing. */
  const check = (
    holder: string,
    limits: AcceptLimits,
    bytes: number,
    nowMs: number,
  ): { readonly name: LimitName; readonly waitMs: number } | undefined => {
    const bucket = buckets.get(holder, nowMs);
    if (!bucket) return undefined;
    const amounts = { requests_per_s: 1, bytes_per_s: bytes, runs_per_s: 1 };
    let worst: { readonly name: LimitName; readonly waitMs: number } | undefined;
    for (const name of limitNames) {
      const rate = limits[name];
      if (rate === undefined) continue;
      const debt = repaid(bucket[name] ?? NO_DEBT, rate, nowMs);
      const wait = waitMs(debt, rate, Math.max(1, rate * BURST_S), amounts[name]);
      if (wait > (worst?.waitMs ?? 0)) worst = { name, waitMs: wait };
    }
    return worst;
  };

  const owe = (
    holder: string,
    limits: AcceptLimits,
    amounts: Readonly<Record<LimitName, number>>,
    nowMs: number,
  ): void => {
    const bucket = buckets.get(holder, nowMs) ?? {};
    for (const name of limitNames) {
      const rate = limits[name];
      if (rate === undefined) continue;
      const { owed } = repaid(bucket[name] ?? NO_DEBT, rate, nowMs);
      bucket[name] = { owed: owed + amounts[name], atMs: nowMs };
    }
    buckets.set(holder, bucket, nowMs);
  };

  const oweAll = (
    { accountId, keyId, limits }: Caller,
    amounts: Readonly<Record<LimitName, number>>,
    nowMs: number,
  ): void => {
    if (!limits) return;
    if (hasAny(limits.account)) owe(`account ${accountId}`, limits.account, amounts, nowMs);
    if (hasAny(limits.key)) owe(`key ${keyId}`, limits.key, amounts, nowMs);
  };

  return {
    enter: (caller, bytes, nowMs) => {
      const { accountId, keyId, limits } = caller;
      if (limits && hasAny(limits.account)) {
        const found = check(`account ${accountId}`, limits.account, bytes, nowMs);
        if (found) return overLimit('account limit', limits.account, found);
      }
      if (limits && hasAny(limits.key)) {
        const found = check(`key ${keyId}`, limits.key, bytes, nowMs);
        if (found) return overLimit('key limit', limits.key, found);
      }
      const wait = fairShare.enter(accountId, REQUEST_MS + bytes * BYTE_MS, nowMs);
      if (wait > 0) {
        return {
          budget: 'fair share',
          reason: 'the server is busy and this account sends the most',
          retryAfterMs: Math.ceil(wait),
        };
      }
      oweAll(caller, { requests_per_s: 1, bytes_per_s: bytes, runs_per_s: 0 }, nowMs);
      return undefined;
    },
    charge: (caller, { runs = 0, bytes = 0 }, nowMs) => {
      fairShare.charge(caller.accountId, runs * RUN_MS + bytes * BYTE_MS, nowMs);
      oweAll(caller, { requests_per_s: 0, bytes_per_s: bytes, runs_per_s: runs }, nowMs);
    },
    tick: fairShare.tick,
    level: fairShare.level,
  };
}

const units = { requests_per_s: 'requests', runs_per_s: 'runs', bytes_per_s: 'bytes' } as const;

function hasAny(limits: AcceptLimits): boolean {
  return limitNames.some((name) => limits[name] !== undefined);
}

function overLimit(
  budget: 'account limit' | 'key limit',
  limits: AcceptLimits,
  { name, waitMs: wait }: { readonly name: LimitName; readonly waitMs: number },
): Refusal {
  const whose = budget === 'account limit' ? 'account' : 'key';
  return {
    budget,
    reason: `this ${whose} may send ${limits[name]} ${units[name]} a second`,
    retryAfterMs: Math.ceil(Math.min(wait, LONGEST_WAIT_MS)),
  };
}
