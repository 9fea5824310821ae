import { expect, test } from 'vitest';
import { createPace } from '../../src/broadcasts/pace.ts';
import { forSeeds, integer } from '../support/random.ts';

test('in any stretch of time a rate lets no more through than its share and half a second', () => {
  forSeeds(100, (random) => {
    const rate = integer(random, 1, 20_000);
    const pace = createPace(0);
    const sent: { atMs: number; recipients: number }[] = [];
    for (let atMs = 0; atMs < 10_000; atMs += integer(random, 1, 1_500)) {
      for (let planned = 0; ; ) {
        const recipients = pace.next(rate, atMs, planned);
        if (recipients === 0) {
          pace.spend(planned);
          break;
        }
        planned += recipients;
        sent.push({ atMs, recipients });
      }
    }
    const most = 2 * Math.max(rate / 4, Math.min(500, Math.ceil(rate / 4)));
    const excess = sent.map((first, i) => {
      let sum = 0;
      return Math.max(
        ...sent.slice(i).map(({ atMs, recipients }) => {
          sum += recipients;
          return sum - (rate * (atMs - first.atMs)) / 1_000;
        }),
      );
    });
    expect(Math.max(...excess)).toBeLessThanOrEqual(most + 1e-3);
  });
});

test('a rate is used up, whatever the rounds', () => {
  for (const rate of [1, 7, 100, 3_000]) {
    const pace = createPace(0);
    let sent = 0;
    for (let atMs = 100; atMs <= 60_000; atMs += 100) {
      const recipients = pace.next(rate, atMs, 0);
      pace.spend(recipients);
      sent += recipients;
    }
    expect(sent).toBeGreaterThanOrEqual(rate * 60 * 0.95 - 1);
  }
});

test('without a rate whole pages go, and none of it counts against a rate that is set later', () => {
  const pace = createPace(0);
  expect(pace.next(null, 0, 0)).toBe(500);
  pace.spend(500);
  expect(pace.next(100, 250, 0)).toBe(25);
});
