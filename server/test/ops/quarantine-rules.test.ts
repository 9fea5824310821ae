import { describe, expect, test } from 'vitest';
import {
  type Decision,
  decide,
  isForgettable,
  newDecision,
  type Observation,
  type Transition,
} from '../../src/ops/quarantine/decide.ts';
import { type Limits, limitsFor } from '../../src/ops/quarantine/limits.ts';
import { forSeeds, integer } from '../support/random.ts';
import { must } from '../support/schedules.ts';

const limits = limitsFor({ executors: 1, backlogRuns: 1_000_000 });
const calm: Observation = {
  arrivalsPerS: 5,
  normalPerS: 5,
  queuedRuns: 0,
  oldestAgeMs: 0,
  finishedRuns: 0,
  noisy: false,
  held: false,
};
const flood = { arrivalsPerS: 5_000, queuedRuns: 50_000, oldestAgeMs: 5_000, noisy: true };

/** An account that is looked at once a second. */
function watched(rules: Limits = limits) {
  let nowMs = 1_000_000;
  let decision: Decision = newDecision(nowMs);
  let finishedRuns = 1;
  const changes: Transition[] = [];
  return {
    now: () => nowMs,
    decision: () => decision,
    changes,
    path: () => changes.map(({ to }) => to),
    see: (
      seconds: number,
      seen: Partial<Observation> | ((second: number) => Partial<Observation>),
    ) => {
      for (let second = 0; second < seconds; second++) {
        nowMs += 1_000;
        const part = typeof seen === 'function' ? seen(second) : seen;
        finishedRuns += 100_000;
        const result = decide(decision, { ...calm, finishedRuns, ...part }, nowMs, rules);
        decision = result.decision;
        changes.push(...result.transitions);
      }
    },
  };
}

describe('a surge', () => {
  test('begins with loud arrivals whose work grows older than 2 seconds, and ends when that is drained', () => {
    const account = watched();
    account.see(60, {});
    account.see(2, { ...flood, oldestAgeMs: 1_900, noisy: false });
    expect(account.path()).toEqual([]);
    account.see(60, flood);
    expect(account.changes).toMatchObject([
      { from: 'normal', to: 'surge', because: 'arrivals and age' },
    ]);
    account.see(30, { queuedRuns: 10_000, oldestAgeMs: 20_000, noisy: true });
    expect(account.path()).toEqual(['surge']);
    account.see(20, { noisy: true });
    account.see(20, {});
    expect(account.changes).toMatchObject([
      { to: 'surge' },
      { to: 'noisy', because: 'drained' },
      { to: 'normal', because: 'quiet again' },
    ]);
  });

  test('is no matter of one loud second whose work is done at once', () => {
    const account = watched();
    account.see(300, (second) => (second % 20 === 0 ? { arrivalsPerS: 50_000 } : {}));
    expect(account.path()).toEqual([]);
  });

  test('is also one second of a hundred thousand runs that nothing follows', () => {
    const account = watched();
    account.see(60, {});
    account.see(1, { arrivalsPerS: 100_000, queuedRuns: 100_000, oldestAgeMs: 400 });
    account.see(3, (second) => ({
      arrivalsPerS: 0,
      queuedRuns: 90_000,
      oldestAgeMs: 1_400 + 1_000 * second,
    }));
    expect(account.path()).toEqual(['surge']);
  });

  test('is never what an account always does, however busy it is and however long its work waits', () => {
    const account = watched();
    account.see(600, {
      arrivalsPerS: 8_000,
      normalPerS: 8_000,
      queuedRuns: 40_000,
      oldestAgeMs: 5_000,
    });
    expect(account.path()).toEqual([]);
  });

  test('is not an account that comes back after a night of silence, nor anybody below the floor', () => {
    const account = watched();
    account.see(600, { arrivalsPerS: 0, normalPerS: 0.001 });
    account.see(600, { arrivalsPerS: 5, normalPerS: 0.001, queuedRuns: 100, oldestAgeMs: 30_000 });
    account.see(600, {
      arrivalsPerS: 250,
      normalPerS: 0.001,
      queuedRuns: 100,
      oldestAgeMs: 30_000,
    });
    expect(account.path()).toEqual([]);
  });

  test('is told without any history by the floor alone', () => {
    const account = watched();
    account.see(3, { ...flood, normalPerS: undefined });
    expect(account.path()).toEqual(['surge']);
  });

  test('is measured against the normal of before it, which its own arrivals do not move', () => {
    const account = watched();
    account.see(10, {});
    account.see(100, (second) => ({ ...flood, normalPerS: 5 + 100 * second }));
    account.see(60, { arrivalsPerS: 4_000, normalPerS: 4_000 });
    expect(account.path()).toEqual(['surge']);
    expect(account.decision().surge?.normalPerS).toBe(5);
  });

  test('ends after five minutes of silence, though something of it still waits', () => {
    const account = watched();
    account.see(10, flood);
    account.see(299, { ...flood, arrivalsPerS: 0 });
    expect(account.path()).toEqual(['surge']);
    account.see(2, { ...flood, arrivalsPerS: 0 });
    expect(account.changes.at(-1)).toMatchObject({ to: 'noisy', because: 'silent' });
  });

  test('ends after five minutes in which all was done at once, however much came', () => {
    const account = watched();
    account.see(10, flood);
    account.see(301, { arrivalsPerS: 5_000, queuedRuns: 10, oldestAgeMs: 20 });
    expect(account.path()).toEqual(['surge', 'normal']);
  });

  test('begins with half of the backlog that is too much, whatever arrives', () => {
    const account = watched();
    account.see(2, { arrivalsPerS: 0, queuedRuns: 500_000, oldestAgeMs: 1 });
    expect(account.changes).toMatchObject([{ to: 'surge', because: 'backlog' }]);
    account.see(600, { arrivalsPerS: 0, queuedRuns: 410_000, oldestAgeMs: 1 });
    expect(account.path()).toEqual(['surge']);
    account.see(20, { arrivalsPerS: 0, queuedRuns: 390_000, oldestAgeMs: 1 });
    expect(account.path()).toEqual(['surge', 'normal']);
  });
});

describe('a pause', () => {
  const behind = (second: number) => ({
    ...flood,
    queuedRuns: 300_000,
    finishedRuns: 1 + 100 * second,
  });

  test('comes when ten minutes of the rate in quarantine wait, and not before that rate is known', () => {
    const account = watched();
    account.see(29, behind);
    expect(account.path()).toEqual(['surge']);
    account.see(10, (second) => behind(second + 29));
    expect(account.changes.at(-1)).toMatchObject({ to: 'paused', because: 'backlog over rate' });
  });

  test('ends by itself after an hour, and does not come again for another', () => {
    const account = watched();
    account.see(40, behind);
    account.see(3_700, (second) => ({
      ...behind(40),
      held: second > 0,
      queuedRuns: second > 0 ? 0 : 300_000,
    }));
    const [, paused, resumed] = account.changes;
    expect(resumed).toMatchObject({ from: 'paused', because: 'pause over' });
    expect((resumed?.atMs ?? 0) - (paused?.atMs ?? 0)).toBe(3_600_000);
    account.see(3_000, (second) => behind(41 + second));
    expect(account.path()).toEqual(['surge', 'paused', 'surge']);
  });

  test('that is only recorded is over when less than five minutes wait', () => {
    const account = watched();
    account.see(40, behind);
    account.see(5, (second) => ({ ...behind(40 + second), queuedRuns: 31_000 }));
    expect(account.path().at(-1)).toBe('paused');
    account.see(5, (second) => ({ ...behind(45 + second), queuedRuns: 20_000 }));
    expect(account.path()).toEqual(['surge', 'paused', 'surge']);
  });
});

test('triggers are refused from a full queue on until it is below 80 %', () => {
  const account = watched();
  account.see(1, { queuedRuns: 1_000_000 });
  account.see(60, { queuedRuns: 800_000 });
  expect(account.path()).toEqual(['reject']);
  account.see(1, { queuedRuns: 799_999 });
  expect(account.changes).toMatchObject([
    { to: 'reject', because: 'quota full' },
    { to: 'surge', because: 'below the quota' },
  ]);
});

test('what is normal again is forgotten, and nothing else', () => {
  const account = watched();
  account.see(5, flood);
  expect(isForgettable(account.decision(), account.now(), limits)).toBe(false);
  account.see(60, {});
  expect(isForgettable(account.decision(), account.now(), limits)).toBe(true);
});

/** Arrivals, ages and backlogs at random, with steps, ramps and jitter around every limit. */
function anyAccount(random: () => number, rules: Limits): void {
  const account = watched(rules);
  const normalPerS = random() < 0.2 ? undefined : random() * 100;
  const loud = Math.max(limits.floorPerS, 10 * (normalPerS ?? 0));
  const pick = (values: readonly number[]) => values[integer(random, 0, values.length - 1)] ?? 0;
  let finishedRuns = 1;
  for (let phase = 0; phase < 20; phase++) {
    const arrivals = pick([0, 0.4, 0.5, 0.9, 1, 1.1, 20]) * loud;
    const ageMs = pick([0, 900, 1_000, 1_500, 2_000, 2_100, 60_000]);
    const backlog = pick([0, 1_000, 390_000, 400_000, 500_000, 800_000, 990_000, 1_000_000]);
    const served = pick([0, 10, 1_000, 100_000]);
    const noisy = random() < 0.5;
    account.see(integer(random, 1, 90), () => {
      const jitter = () => 0.85 + 0.3 * random();
      finishedRuns += Math.round(served * jitter());
      return {
        arrivalsPerS: arrivals * jitter(),
        normalPerS,
        queuedRuns: Math.round(backlog * (0.97 + 0.06 * random())),
        oldestAgeMs: ageMs * jitter(),
        finishedRuns,
        noisy,
      };
    });
  }
  checkPath(account.changes);
}

/** Each rule stays on for ten seconds at least, but reject, whose exit is a fifth of the quota away. */
function checkPath(changes: readonly Transition[]): void {
  let level = 'normal';
  const entered = new Map<string, number>();
  for (const { from, to, atMs, because } of changes) {
    must(from === level, 'each change begins where the one before ended');
    must(from !== to, 'a change changes something');
    if (because === 'drained' || because === 'silent') {
      must(atMs - (entered.get('surge') ?? 0) >= 10_000, 'a surge does not flap');
    }
    if (['arrivals and age', 'backlog'].includes(because)) entered.set('surge', atMs);
    level = to;
  }
}

describe('any account', () => {
  test('changes its level one step after the other and does not flap', () => {
    forSeeds(2_000, (random) => anyAccount(random, limits));
  });

  test('flaps without the ten seconds (expected to fail)', () => {
    const hasty = { ...limits, exitAfterMs: 1_000 };
    expect(() => forSeeds(200, (random) => anyAccount(random, hasty))).toThrow('flap');
  });

  /** The number of changes while everything wobbles around what trips, for ten minutes. */
  const wobbles = (rules: Limits): number => {
    let most = 0;
    forSeeds(100, (random) => {
      const account = watched(rules);
      account.see(5, flood);
      const around = (value: number) => value * (0.7 + 0.55 * random());
      account.see(600, () => ({
        arrivalsPerS: around(limits.floorPerS),
        oldestAgeMs: around(limits.surgeAgeMs),
        queuedRuns: around(100),
      }));
      most = Math.max(most, account.changes.length);
    });
    return most;
  };

  test('stays where it is while arrivals and ages wobble around what trips', () => {
    expect(wobbles(limits)).toBe(1);
  });

  test('would not if it left where it came in (expected to fail)', () => {
    const { surgeAgeMs } = limits;
    const naive = { ...limits, exitShare: 1, promptAgeMs: surgeAgeMs, exitAfterMs: 0 };
    expect(wobbles(naive)).toBeGreaterThan(10);
  });

  test('does not change twice while its backlog wobbles around a limit', () => {
    forSeeds(100, (random) => {
      const account = watched();
      const at = [500_000, 1_000_000][integer(random, 0, 1)] ?? 0;
      account.see(600, () => ({
        queuedRuns: Math.round(at * (0.9 + 0.2 * random())),
        oldestAgeMs: 10,
      }));
      must(account.changes.length <= 2, `changes: ${account.path()}`);
    });
  });
});
