import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createPause, type Pause } from '../../src/budgets/pause.ts';

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

test.each([
  // Each of a few connections waits for half a second; beyond, an account has its pace whatever it opens.
  [10, 20],
  [100, 50],
  [250, 50],
  // The longest pause is five seconds.
  [900, 180],
])(
  'of an account with %i connections that never rests %i a second are refused',
  async (connections, perSecond) => {
    const pause = createPause(() => 0.5);
    const answered = comeAgainAndAgain(pause, 1, connections);
    await vi.advanceTimersByTimeAsync(10_000);
    const before = answered.count;
    await vi.advanceTimersByTimeAsync(60_000);
    expect((answered.count - before) / 60).toBeCloseTo(perSecond, -1);
  },
);

test('what one account has in the pause does not lengthen that of another', async () => {
  const pause = createPause(() => 0.5);
  comeAgainAndAgain(pause, 1, 1_000);
  await vi.advanceTimersByTimeAsync(5_000);
  let isAnswered = false;
  void pause.keepBack(2).then(() => {
    isAnswered = true;
  });
  await vi.advanceTimersByTimeAsync(499);
  expect(isAnswered).toBe(false);
  await vi.advanceTimersByTimeAsync(1);
  expect(isAnswered).toBe(true);
});

test('more than 2,000 are not kept back', async () => {
  const pause = createPause(() => 0.5);
  for (let i = 0; i < 2_000; i++) void pause.keepBack(i);
  let isAnswered = false;
  void pause.keepBack(1).then(() => {
    isAnswered = true;
  });
  await vi.advanceTimersByTimeAsync(0);
  expect(isAnswered).toBe(true);
});

test('a server that stops waits for nobody whom it refuses', async () => {
  const pause = createPause(() => 0.5);
  let answered = 0;
  const refuse = (): void => {
    void pause.keepBack(1).then(() => {
      answered += 1;
    });
  };
  for (let i = 0; i < 300; i++) refuse();
  pause.end();
  await vi.advanceTimersByTimeAsync(0);
  expect(answered).toBe(300);
  refuse();
  await vi.advanceTimersByTimeAsync(0);
  expect(answered).toBe(301);
});

/** So many connections, each of which comes again as soon as it is answered. */
function comeAgainAndAgain(pause: Pause, account: number, connections: number): { count: number } {
  const answered = { count: 0 };
  const goOn = async (): Promise<never> => {
    for (;;) {
      await pause.keepBack(account);
      answered.count += 1;
    }
  };
  for (let i = 0; i < connections; i++) void goOn();
  return answered;
}
