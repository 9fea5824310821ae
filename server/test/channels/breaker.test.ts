import { expect, test } from 'vitest';
import {
  abandoned,
  admit,
  type Breaker,
  closedBreaker,
  failed,
} from '../../src/channels/breaker.ts';
import type { DeliveryOutcome, Provider } from '../../src/channels/provider.ts';
import { withBreaker } from '../../src/channels/with-breaker.ts';
import { silentLog } from '../support/log.ts';
import { noAbort, outgoing } from './support.ts';

function failedTimes(times: number, nowMs: number): Breaker {
  let breaker = closedBreaker;
  for (let i = 0; i < times; i++) breaker = failed(breaker, nowMs);
  return breaker;
}

test('four failures in a row let the fifth call through, five do not', () => {
  expect(admit(failedTimes(4, 0), 1).refusedForMs).toBeUndefined();
  expect(admit(failedTimes(5, 0), 1).refusedForMs).toBe(1_999);
});

test('when its time is up an open breaker lets exactly one probe through', () => {
  const first = admit(failedTimes(5, 0), 2_000);
  expect(first.refusedForMs).toBeUndefined();
  expect(admit(first.breaker, 2_000).refusedForMs).toBeGreaterThan(0);
});

test('each failed probe doubles the pause, up to 30 s', () => {
  let breaker = failedTimes(5, 0);
  const pauses: number[] = [];
  for (let probe = 0; probe < 40; probe++) {
    const pause = admit(breaker, 0).refusedForMs ?? 0;
    pauses.push(pause);
    breaker = failed(admit({ kind: 'open', openings: probe + 1, untilMs: 0 }, 0).breaker, 0);
  }
  expect(pauses.slice(0, 6)).toEqual([2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
  expect(pauses.at(-1)).toBe(30_000);
});

test('a probe that we stopped ourselves lets the next one through', () => {
  const probing = admit(failedTimes(5, 0), 2_000).breaker;
  expect(admit(abandoned(probing, 2_500), 2_500).refusedForMs).toBeUndefined();
});

test('a dead provider is asked once a pause, and all is well after one success', async () => {
  let now = 0;
  let calls = 0;
  let outcome: DeliveryOutcome = { kind: 'retry', code: 'dead', detail: {} };
  const provider: Provider = {
    name: 'fake',
    deliver: async () => {
      calls++;
      return outcome;
    },
    close: async () => {},
  };
  const guarded = withBreaker(provider, {
    clock: { now: () => now },
    log: silentLog,
    healthOf: (it) => (it.kind === 'retry' ? 'outage' : 'answered'),
  });
  for (let i = 0; i < 100; i++) await guarded.deliver(outgoing({}), noAbort());
  expect(calls).toBe(5);
  const refused = await guarded.deliver(outgoing({}), noAbort());
  expect(refused).toMatchObject({ kind: 'retry', code: 'provider_unavailable', afterMs: 2_000 });

  now = 2_000;
  outcome = { kind: 'sent', detail: {} };
  const together = await Promise.all([1, 2, 3].map(() => guarded.deliver(outgoing({}), noAbort())));
  expect(together.map(({ kind }) => kind)).toEqual(['sent', 'retry', 'retry']);
  expect(await guarded.deliver(outgoing({}), noAbort())).toMatchObject({ kind: 'sent' });
});
