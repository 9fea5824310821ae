import { describe, expect, it } from 'vitest';
import { createBreaker } from '../../src/bodies/breaker.ts';
import { guardStore } from '../../src/bodies/guarded-store.ts';
import { type ObjectStore, StoreError } from '../../src/bodies/object-store.ts';
import { createRequestBudgets } from '../../src/bodies/request-budgets.ts';
import { createThrottle } from '../../src/bodies/throttle.ts';
import { movableClock } from '../support/clock.ts';
import { seededRandom } from '../support/random.ts';

describe('the throttle', () => {
  const start = () => {
    const clock = movableClock();
    const throttle = createThrottle({ nowMs: clock.now, random: seededRandom(1) });
    return { clock, throttle };
  };

  it('refuses nothing while at least half of the requests are accepted', () => {
    const { throttle } = start();
    for (let i = 0; i < 1_000; i++) {
      expect(throttle.allows()).toBe(true);
      throttle.answered(i % 2 === 0);
    }
  });

  it('refuses nothing because many requests are under way at once', () => {
    const { throttle } = start();
    for (let i = 0; i < 1_000; i++) expect(throttle.allows()).toBe(true);
  });

  it('refuses with the probability of the formula, once there are ten requests', () => {
    const { throttle } = start();
    for (let i = 0; i < 9; i++) throttle.answered(false);
    expect(throttle.refusing()).toBe(0);
    throttle.answered(false);
    expect(throttle.refusing()).toBeCloseTo(10 / 11);
    throttle.answered(true);
    expect(throttle.refusing()).toBeCloseTo((11 - 2) / 12);
  });

  it('forgets what is older than two minutes', () => {
    const { clock, throttle } = start();
    for (let i = 0; i < 100; i++) throttle.answered(false);
    expect(throttle.refusing()).toBeGreaterThan(0.9);
    clock.move(125_000);
    expect(throttle.refusing()).toBe(0);
  });

  it('counts what it refuses, but not again whoever waits for his turn', () => {
    const { throttle } = start();
    for (let i = 0; i < 20; i++) throttle.answered(false);
    const before = throttle.refusing();
    for (let i = 0; i < 1_000; i++) throttle.allows(true);
    expect(throttle.refusing()).toBe(before);
    for (let i = 0; i < 100; i++) throttle.allows();
    expect(throttle.refusing()).toBeGreaterThan(before);
  });
});

describe('the breaker', () => {
  it('opens after five failures in a row, and one success closes it', () => {
    const clock = movableClock();
    const breaker = createBreaker(clock.now);
    for (let i = 0; i < 4; i++) breaker.failed();
    expect(breaker.allows()).toBe(true);
    breaker.failed();
    expect(breaker.allows()).toBe(false);
    clock.move(1_000);
    expect(breaker.state()).toBe('half_open');
    breaker.succeeded();
    expect(breaker.state()).toBe('closed');
  });

  it('lets one trial through at a time, and waits twice as long after each that fails, up to 30 s', () => {
    const clock = movableClock();
    const breaker = createBreaker(clock.now);
    for (let i = 0; i < 5; i++) breaker.failed();
    for (const pauseMs of [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]) {
      clock.move(pauseMs - 1);
      expect(breaker.allows()).toBe(false);
      clock.move(1);
      expect(breaker.allows()).toBe(true);
      expect(breaker.allows()).toBe(false);
      breaker.failed();
    }
  });
});

describe('budgets of requests', () => {
  it('let a spender burst, then keep it to its rate, and say when its turn is', () => {
    const clock = movableClock();
    const budgets = createRequestBudgets({ perSecond: 2, burst: 3, nowMs: clock.now });
    for (let i = 0; i < 3; i++) {
      expect(budgets.waitMs(1)).toBe(0);
      budgets.spend(1);
    }
    expect(budgets.waitMs(1)).toBe(500);
    expect(budgets.waitMs(2)).toBe(0);
    clock.move(500);
    expect(budgets.waitMs(1)).toBe(0);
  });
});

describe('a guarded store', () => {
  const failing: ObjectStore = {
    put: () => Promise.reject(new StoreError('unavailable', 'timeout', 'gone')),
    get: () => Promise.reject(new StoreError('missing', 'NoSuchKey', 'no such key')),
    delete: async () => undefined,
    check: async () => undefined,
    placeOf: (key) => key,
    close: () => undefined,
  };

  it('is hardly asked while it fails, and goes on within half a minute after it came back', async () => {
    const clock = movableClock();
    let isBack = false;
    let asked = 0;
    const store = guardStore(
      {
        ...failing,
        put: async () => {
          asked += 1;
          if (!isBack) throw new StoreError('unavailable', 'timeout', 'gone');
        },
      },
      { nowMs: clock.now, random: seededRandom(7) },
    );
    for (let i = 0; i < 600; i++) {
      await store.put('a', Buffer.alloc(1)).catch(() => undefined);
      clock.move(1_000);
    }
    expect(asked).toBeLessThan(40);
    expect(store.stats().breaker).not.toBe('closed');
    isBack = true;
    let done = 0;
    for (let i = 0; i < 60; i++) {
      for (const key of ['a', 'b', 'c', 'd']) {
        await store.put(`${key}${i}`, Buffer.alloc(1)).then(
          () => (done += 1),
          () => undefined,
        );
      }
      clock.move(1_000);
    }
    expect(done).toBeGreaterThan(100);
    expect(store.stats()).toMatchObject({ breaker: 'closed', throttled: 0 });
  });

  it('does not count a missing object against the store', async () => {
    const clock = movableClock();
    const store = guardStore(failing, { nowMs: clock.now, random: seededRandom(1) });
    for (let i = 0; i < 50; i++) {
      await expect(store.get('a')).rejects.toMatchObject({ kind: 'missing' });
    }
    expect(store.stats()).toMatchObject({ breaker: 'closed', throttled: 0 });
  });
});
