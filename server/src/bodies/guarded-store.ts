import { type BreakerState, createBreaker } from './breaker.ts';
import { type ObjectStore, StoreError, type StoreErrorKind } from './object-store.ts';
import { createThrottle } from './throttle.ts';

/** Keys that were not sent and may come again. */
const MAX_HELD = 1_000;

export type StoreCounts = Readonly<Record<'ok' | 'held_back' | StoreErrorKind, number>>;

export type GuardedStoreStats = {
  /** Requests since the start, by what became of them; `held_back`: not sent. */
  readonly requests: StoreCounts;
  readonly breaker: BreakerState;
  /** The share of requests that the throttle holds back, 0 to 1. */
  readonly throttled: number;
  /** Of the latest failure. */
  readonly lastError: { readonly code: string; readonly message: string } | undefined;
};

export type GuardedStore = ObjectStore & {
  /** Milliseconds for which the breaker lets nothing through; 0: try. */
  readonly pauseMs: () => number;
  readonly stats: () => GuardedStoreStats;
};

/**
 * A store that is not asked more than it can take: every call goes through the breaker and the adaptive throttle, and throws
 * `StoreError('throttled', 'held_back')` where they say no.
 */
export function guardStore(
  store: ObjectStore,
  options: { readonly nowMs: () => number; readonly random: () => number },
): GuardedStore {
  const breaker = createBreaker(options.nowMs);
  const throttle = createThrottle(options);
  const requests = {
    ok: 0,
    held_back: 0,
    throttled: 0,
    unavailable: 0,
    refused: 0,
    missing: 0,
    damaged: 0,
  };
  let lastError: GuardedStoreStats['lastError'];

  const held = new Set<string>();

  function mayGo(key: string): boolean {
    // In this order: what the breaker stops is no demand, and its trial is one.
    if (breaker.state() !== 'closed') return breaker.allows();
    return throttle.allows(held.has(key));
  }

  async function guarded<Result>(key: string, work: () => Promise<Result>): Promise<Result> {
    if (!mayGo(key)) {
      requests.held_back += 1;
      if (held.size < MAX_HELD) held.add(key);
      throw new StoreError(
        'throttled',
        'held_back',
        'the object store is not asked: it fails too often',
      );
    }
    held.delete(key);
    try {
      const result = await work();
      requests.ok += 1;
      breaker.succeeded();
      throttle.answered(true);
      return result;
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      requests[error.kind] += 1;
      // It answered, and about this object: that says nothing against the next request.
      if (error.kind === 'missing' || (error.kind === 'damaged' && key.startsWith('get '))) {
        breaker.succeeded();
        throttle.answered(true);
      } else {
        breaker.failed();
        throttle.answered(false);
        lastError = { code: error.code, message: error.message };
      }
      throw error;
    }
  }

  return {
    put: (key, body) => guarded(`put ${key}`, () => store.put(key, body)),
    get: (key, range) => guarded(`get ${key}`, () => store.get(key, range)),
    delete: (keys) => guarded(`delete ${keys[0]}`, () => store.delete(keys)),
    check: () => store.check(),
    placeOf: store.placeOf,
    close: store.close,
    pauseMs: () => Math.max(0, breaker.openUntilMs() - options.nowMs()),
    stats: () => ({
      requests: { ...requests },
      breaker: breaker.state(),
      throttled: throttle.refusing(),
      lastError,
    }),
  };
}
