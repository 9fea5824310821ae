import type { Config } from './config.ts';
import type { Context } from './context.ts';
import type { Order, Orders } from './engine/engine.ts';
import type { RunningEngine } from './engine/start.ts';
import { BelfryError } from './lib/errors.ts';
import {
  createQuarantine,
  type Hold,
  type Quarantine,
  type QuarantineActions,
} from './ops/quarantine.ts';
import type { TrafficCounters } from './ops/traffic.ts';

const LOOK_MS = 1_000;
/** Assignments with work of an account in quarantine while others have work. */
const SLOTS = 1;

/** The author of its holds, alone or after the operator who set the level; no operator token has such a name. */
const AUTHOR = 'quarantine';
const BY_HAND = ` (${AUTHOR})`;
/** 100 orders may be in force: half of them are the operators'. */
const MOST_PAUSES = 50;
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

/**
 * Holds an account by one order of the quarantine's own; those that are there already are taken for it. Throws
 * `conflict` when its holds that nobody asked for are half of all the orders that may be in force.
 */
export function holdWith(orders: Orders): NonNullable<QuarantineActions['hold']> {
  const own = async (): Promise<Order[]> => {
    const active = await orders.list({ active: true, limit: LISTED });
    return active.filter(
      ({ verb, author }) => verb === 'hold' && (author === AUTHOR || author.endsWith(BY_HAND)),
    );
  };
  let beginning = 0;
  const begin = async (accountId: number, { author, reason, untilMs }: Hold): Promise<void> => {
    const given = await own();
    if (given.some(({ scope }) => scope.accountId === accountId)) return;
    const automatic = given.filter((order) => order.author === AUTHOR).length;
    if (author === undefined && automatic + beginning > MOST_PAUSES) {
      throw new BelfryError(
        'conflict',
        `${automatic} accounts are paused by the quarantine, which leaves the other orders to operators`,
      );
    }
    await orders.give({
      ...{ verb: 'hold', scope: { accountId }, reason, expiresAt: new Date(untilMs) },
      author: author === undefined ? AUTHOR : author + BY_HAND,
    });
  };
  return async (accountId, on, input) => {
    if (on) {
      // Counted before it looks: of those that begin together none overlooks another.
      beginning += 1;
      await begin(accountId, input).finally(() => {
        beginning -= 1;
      });
      return;
    }
    for (const { id, scope } of await own()) {
      if (scope.accountId !== accountId) continue;
      await orders.end(id, { author: AUTHOR, reason: input.reason });
    }
  };
}
