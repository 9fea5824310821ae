import type { Context } from '../../src/context.ts';
import {
  createQuarantine,
  type Quarantine,
  type QuarantineActions,
  type Queues,
} from '../../src/ops/quarantine.ts';
import type { TrafficCounters } from '../../src/ops/traffic.ts';

type Parts = {
  readonly traffic: TrafficCounters;
  readonly queues?: Queues;
  readonly actions?: QuarantineActions;
  readonly options?: Partial<Parameters<typeof createQuarantine>[1]['options']>;
};

/** The quarantine of a server without queues, or with those given. */
export function testQuarantine(ctx: Context, parts: Parts): Quarantine {
  const nothing: Queues = {
    account: () => undefined,
    noisyAccounts: () => [],
    queuedRuns: () => 0,
  };
  const { traffic, queues = nothing, actions = { restrain: () => undefined }, options } = parts;
  return createQuarantine(ctx, {
    traffic,
    queues,
    actions,
    options: {
      mode: 'act',
      pause: false,
      reject: false,
      backlogRuns: 10_000_000,
      executors: 1,
      ...options,
    },
  });
}
