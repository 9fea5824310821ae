import { describe, expect, test } from 'vitest';
import { createTraffic, type TrafficEvent } from '../../src/ops/traffic.ts';
import { movableClock } from '../support/clock.ts';

const start = Date.UTC(2026, 4, 1, 3, 0, 0);

function watched() {
  const clock = movableClock(start);
  const traffic = createTraffic({ clock });
  const count = (accountId: number, event: Partial<TrafficEvent> = {}): void =>
    traffic.count({
      caller: { accountId, environmentId: 10 * accountId, keyId: 100 * accountId, keyHint: 'ab12' },
      workflowKey: 'welcome',
      sourceAddress: `192.0.2.${accountId}`,
      bytes: 100,
      outcome: { runs: 1 },
      ...event,
    });
  /** Lets `seconds` pass in steps of 100 ms, with `rates` of runs per second by account. */
  const pass = (seconds: number, rates: Readonly<Record<number, number>>): void => {
    for (let step = 0; step < seconds * 10; step++) {
      for (const [account, rate] of Object.entries(rates)) {
        // Evenly spread, however few they are.
        const due = Math.floor(((step + 1) * rate) / 10) - Math.floor((step * rate) / 10);
        for (let i = 0; i < due; i++) count(Number(account));
      }
      clock.move(100);
    }
  };
  return { clock, traffic, count, pass };
}

describe('a flood', () => {
  const { clock, traffic, pass } = watched();
  pass(1_200, { 1: 5, 2: 5, 3: 5 });
  const floodStart = clock.now() + 300;
  pass(0.3, { 1: 5, 2: 5, 3: 5 });
  pass(2, { 1: 5, 2: 5, 3: 300 });

  test('is named within two seconds, with account, key and workflow', () => {
    const [first] = traffic.top('10s').callers;
    expect(first).toMatchObject({ key: '3/30/300:ab12/welcome', notable: true });
  });

  test('is told to have begun when it did, not when it was noticed', () => {
    const sinceMs = traffic.top('10s').accounts[0]?.sinceMs ?? 0;
    expect(sinceMs - floodStart).toBeGreaterThanOrEqual(0);
    expect(sinceMs - floodStart).toBeLessThanOrEqual(100);
  });

  test('is measured against the normal of before, also after ten minutes', () => {
    pass(600, { 1: 5, 2: 5, 3: 300 });
    const { accounts, total } = traffic.top('10s');
    expect(total.runs).toBeCloseTo(310, 0);
    expect(accounts[0]).toMatchObject({ key: '3', load: 300, error: 0, notable: true });
    expect(accounts[0]?.share).toBeCloseTo(300 / 310, 3);
    expect(accounts[0]?.factor).toBeGreaterThan(55);
    expect(accounts[0]?.factor).toBeLessThan(62);
    expect(accounts[0]?.sinceMs).toBeLessThan(floodStart + 101);
    expect(accounts.slice(1).map(({ sinceMs }) => sinceMs)).toEqual([undefined, undefined]);
  });

  test('is over when it is over, and the next one begins anew', () => {
    pass(60, { 1: 5, 2: 5, 3: 5 });
    expect(traffic.top('10s').accounts.some(({ sinceMs }) => sinceMs !== undefined)).toBe(false);
    const again = clock.now();
    pass(3, { 1: 5, 2: 5, 3: 300 });
    expect(traffic.top('10s').accounts[0]?.sinceMs).toBeGreaterThanOrEqual(again);
  });

  test('in the past shows in the longer windows only', () => {
    pass(20, { 1: 5, 2: 5, 3: 5 });
    expect(traffic.top('10s').accounts[0]?.load).toBeCloseTo(5, 0);
    expect(traffic.top('10m').accounts[0]).toMatchObject({ key: '3' });
    expect(traffic.top('10m').accounts[0]?.load).toBeGreaterThan(100);
  });
});

test('windows agree with exact counts', () => {
  const { traffic, pass } = watched();
  pass(700, { 1: 10, 2: 40 });
  for (const window of ['10s', '1m', '10m'] as const) {
    const { accounts } = traffic.top(window);
    expect(accounts.map(({ key, load }) => [key, Math.round(load)])).toEqual([
      ['2', 40],
      ['1', 10],
    ]);
  }
});

test('a large account at its normal stays behind a small one that surges', () => {
  const { traffic, pass } = watched();
  pass(300, { 1: 200, 2: 1 });
  pass(5, { 1: 200, 2: 100 });
  const [first, second] = traffic.top('10s').accounts;
  expect(first).toMatchObject({ key: '2', notable: true });
  expect(second).toMatchObject({ key: '1', notable: false, sinceMs: undefined });
});

test('what has no normal gets none from its own surge', () => {
  const { traffic, pass } = watched();
  pass(60, { 1: 5 });
  pass(60, { 1: 5, 2: 1_000 });
  const [first] = traffic.top('10s').accounts;
  expect(first).toMatchObject({ key: '2', factor: undefined, normal: undefined, notable: true });
});

test('in the first seconds nobody is called a surge, because nothing is known to be normal', () => {
  const { traffic, pass } = watched();
  pass(4, { 1: 100 });
  expect(traffic.top('10s').accounts[0]).toMatchObject({
    factor: undefined,
    normal: undefined,
    sinceMs: undefined,
  });
});

test('refused requests count for the load, so that refusing a flood does not hide it', () => {
  const { clock, traffic, count, pass } = watched();
  pass(60, { 1: 5 });
  for (let i = 0; i < 500; i++) count(2, { outcome: 'refused' });
  clock.move(1_000);
  const [first] = traffic.top('10s').accounts;
  expect(first).toMatchObject({ key: '2', refused: 50, runs: 0, notable: true });
});

test('requests without a valid key are counted for their address', () => {
  const { clock, traffic, count } = watched();
  count(7, { caller: undefined, outcome: 'refused' });
  clock.move(1_000);
  const top = traffic.top('10s');
  expect(top.sources[0]).toMatchObject({ key: '192.0.2.7', refused: 1 });
  expect(top.accounts).toEqual([]);
});

test('keys without number neither grow the counters nor hide who is most', () => {
  const { clock, traffic, count } = watched();
  for (let second = 0; second < 30; second++) {
    for (let i = 0; i < 2_000; i++) {
      count(1, { workflowKey: `random-${second}-${i}`, outcome: 'refused' });
      if (i % 20 === 0) count(2);
    }
    clock.move(1_000);
  }
  for (const window of ['10s', '10m'] as const) {
    const { workflows } = traffic.top(window);
    expect(workflows.length).toBeLessThanOrEqual(512);
    const welcome = workflows.find(({ key }) => key === '2/20//welcome');
    expect(welcome?.runs).toBeGreaterThan(0);
    expect((welcome?.load ?? 0) - (welcome?.error ?? 0)).toBeLessThanOrEqual(100);
    expect(welcome?.load).toBeGreaterThanOrEqual(100);
  }
});
