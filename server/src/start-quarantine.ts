import type { Config } from './config.ts';
import type { Context } from './context.ts';
import type { Orders } from './engine/engine.ts';
import type { RunningEngine } from './engine/start.ts';
import { createQuarantine, type Quarantine, type QuarantineActions } from './ops/quarantine.ts';
import type { TrafficCounters } from './ops/traffic.ts';

const LOOK_MS = 1_000;
/** Assignments with work of an account in quarantine while others have work. */
const SLOTS = 1;

const AUTHOR = 'quarantine';
const LISTED = 1_000;

/** The quarantine of a server: looks once a second, and acts by the scheduler and by orders. */
export function startQuarantine(
  ctx: Context,
  parts: {
    readonly config: Config;
    readonly engine: RunningEngine;
    readonly traffic: TrafficCounters;
  },
): Quarantine {
  const { config, engine, traffic } = parts;
  const quarantine = createQuarantine(ctx, {
    traffic,
    queues: {
      account: engine.accountQueue,
      noisyAccounts: engine.noisyAccounts,
      queuedRuns: () => engine.stats().queuedRuns,
    },
    actions: {
      restrain: (accountId, on) => engine.restrainAccount(accountId, on ? SLOTS : undefined),
      ...(engine.orders && { hold: holdWith(engine.orders) }),
    },
    options: { ...config.quarantine, executors: config.executors },
  });
  const timer = setInterval(() => {
    try {
      quarantine.tick();
    } catch (error) {
      ctx.log.error({ err: error }, 'the quarantine could not look; it will again');
    }
  }, LOOK_MS);
  return {
    ...quarantine,
    stop: async () => {
      clearInterval(timer);
      await quarantine.stop();
    },
  };
}

/** Holds an account by one order of the quarantine's own; those that are there already are taken for it. */
function holdWith(orders: Orders): NonNullable<QuarantineActions['hold']> {
  const own = async (accountId: number) => {
    const active = await orders.list({ active: true, limit: LISTED });
    return active.filter(
      ({ verb, author, scope }) =>
        verb === 'hold' && author === AUTHOR && scope.accountId === accountId,
    );
  };
  return async (accountId, on, { reason, untilMs }) => {
    const given = await own(accountId);
    if (on && given.length === 0) {
      const expiresAt = new Date(untilMs);
      await orders.give({ verb: 'hold', scope: { accountId }, author: AUTHOR, reason, expiresAt });
    }
    if (on) return;
    for (const { id } of given) await orders.end(id, { author: AUTHOR, reason });
  };
}
