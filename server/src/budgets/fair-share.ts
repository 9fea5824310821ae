import { createLruCache } from '../lib/lru.ts';

/** Above this pressure somebody is limited, unless said otherwise; this much below it more is allowed again. */
const HIGH_PRESSURE = 0.7;
const HYSTERESIS = 0.1;
/** Weight of the latest measurement. */
const SMOOTHING = 0.3;
const FALL = 0.9;
const RISE = 1.02;

/** An account that asks for less is never limited: milliseconds of the event loop a second. */
const LEAST_LEVEL = 10;
/** What an account may ask for at once whatever the level: some 500 plain triggers. */
const LEAST_BURST_MS = 50;
const BURST_S = 0.1;
/** By how much an account must be above the mean to be to blame. */
const ABOVE_MEAN = 1.2;

/** Others count for so long after their latest request. */
const ACTIVE_MS = 10_000;
/** The level is lifted after so long without a refusal. */
const CALM_MS = 10_000;
const MAX_WAIT_MS = 10_000;
const ACCOUNTS = 10_000;

/**
 * Who has to wait when the process is overloaded: the heaviest. One level, in milliseconds of the event loop
 * a second, holds for all accounts that ask for more than the mean, so whoever is refused asked for more
 * than anybody who is not. The level is there only while the process is under pressure, and only while
 * another account is active. Pure: costs, pressure and time are passed in.
 */
export type FairShare = {
  /** Counts a request. 0: it may come in; else after how many milliseconds to come again. */
  readonly enter: (account: number, costMs: number, nowMs: number) => number;
  /** What a request that came in turned out to cost beyond what was counted. */
  readonly charge: (account: number, costMs: number, nowMs: number) => void;
  /** `pressure` since the last call, 0 to 1. Call it every 100 ms. */
  readonly tick: (pressure: number, nowMs: number) => void;
  /** Infinity: nobody is limited. */
  readonly level: () => number;
};

type Account = {
  /** Milliseconds of the event loop that it asked for in the last second, fading. */
  asked: number;
  /** The part of it that came in. */
  had: number;
  /** What it owes at the level. */
  owed: number;
  seenMs: number;
};

type Sighting = { readonly account: number; readonly atMs: number };

export function createFairShare(highPressure = HIGH_PRESSURE): FairShare {
  const accounts = createLruCache<Account>(ACCOUNTS, ACTIVE_MS);
  let level = Number.POSITIVE_INFINITY;
  let smooth = 0;
  /** Whoever asks for more is to blame. */
  let blame = LEAST_LEVEL;
  let refusedMs = Number.NEGATIVE_INFINITY;
  // The two accounts seen last: enough to know whether one is alone.
  let latest: Sighting | undefined;
  let other: Sighting | undefined;

  const see = (id: number, nowMs: number): Account => {
    if (latest?.account !== id) other = latest;
    latest = { account: id, atMs: nowMs };
    const key = String(id);
    const account = accounts.get(key, nowMs) ?? { asked: 0, had: 0, owed: 0, seenMs: nowMs };
    fade(account, nowMs);
    accounts.set(key, account, nowMs);
    return account;
  };

  const fade = (account: Account, nowMs: number): void => {
    const passedS = Math.max(0, nowMs - account.seenMs) / 1_000;
    if (passedS === 0) return;
    account.asked *= Math.exp(-passedS);
    account.had *= Math.exp(-passedS);
    account.owed =
      level === Number.POSITIVE_INFINITY ? 0 : Math.max(0, account.owed - passedS * level);
    account.seenMs = nowMs;
  };

  const add = (account: Account, costMs: number): void => {
    account.asked += costMs;
    account.had += costMs;
    if (level !== Number.POSITIVE_INFINITY) account.owed += costMs;
  };

  const isAlone = (nowMs: number): boolean => !other || nowMs - other.atMs >= ACTIVE_MS;

  const totals = (nowMs: number) => {
    const sum = { asked: 0, had: 0, heaviest: 0, active: 0 };
    for (const account of accounts.values(nowMs)) {
      fade(account, nowMs);
      sum.asked += account.asked;
      sum.had += account.had;
      sum.heaviest = Math.max(sum.heaviest, account.asked);
      sum.active += 1;
    }
    return sum;
  };

  return {
    enter: (id, costMs, nowMs) => {
      const account = see(id, nowMs);
      const isToBlame = account.asked + costMs > blame && !isAlone(nowMs);
      if (level === Number.POSITIVE_INFINITY || !isToBlame) {
        account.asked += costMs;
        account.had += costMs;
        return 0;
      }
      const burst = Math.max(LEAST_BURST_MS, BURST_S * level);
      const excess = account.owed + Math.min(costMs, burst) - burst;
      if (excess <= 0) {
        add(account, costMs);
        return 0;
      }
      account.asked += costMs;
      refusedMs = nowMs;
      return Math.min(MAX_WAIT_MS, Math.max(1, (excess / level) * 1_000));
    },
    charge: (id, costMs, nowMs) => add(see(id, nowMs), costMs),
    tick: (pressure, nowMs) => {
      smooth += SMOOTHING * (pressure - smooth);
      const isLimited = level !== Number.POSITIVE_INFINITY;
      if (isLimited && nowMs - refusedMs >= CALM_MS) {
        level = Number.POSITIVE_INFINITY;
        return;
      }
      if (!isLimited && (smooth <= highPressure || isAlone(nowMs))) return;
      const { asked, had, heaviest, active } = totals(nowMs);
      blame = Math.max(LEAST_LEVEL, (ABOVE_MEAN * asked) / active);
      const lowest = Math.max(LEAST_LEVEL, had / active);
      if (isLimited) {
        // From what is asked for: a level that rose above it while nobody needed it would bind too late.
        if (smooth > highPressure) level = Math.max(lowest, Math.min(level, heaviest) * FALL);
        else if (smooth < highPressure - HYSTERESIS) level *= RISE;
      } else if (active > 1 && heaviest > blame) {
        level = Math.max(lowest, heaviest / 2);
        // The burst is what came in just now: whoever made the pressure has had it.
        for (const account of accounts.values(nowMs)) account.owed = account.had;
        refusedMs = nowMs;
      }
    },
    level: () => level,
  };
}
