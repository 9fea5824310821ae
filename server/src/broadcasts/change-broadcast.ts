import type { EnvironmentContext } from '../context.ts';
import { BelfryError } from '../lib/errors.ts';
import { type Broadcast, type BroadcastState, getBroadcast } from './broadcast.ts';

type Input = { readonly id: string };

/** Nothing is sent after this has returned but what is in the log already. Again is fine. */
export async function pauseBroadcast(ctx: EnvironmentContext, input: Input): Promise<Broadcast> {
  return await change(
    ctx,
    input,
    {
      verb: 'paused',
      from: ['freezing', 'canary', 'running'],
      already: ['paused'],
      set: `state = 'paused', reason = null, changed_at = $3`,
    },
    [new Date(ctx.clock.now())],
  );
}

/** Goes on where it was paused. After a failed canary that is everybody else. */
export async function resumeBroadcast(ctx: EnvironmentContext, input: Input): Promise<Broadcast> {
  return await change(
    ctx,
    input,
    {
      verb: 'resumed',
      from: ['paused'],
      already: ['freezing', 'canary', 'running', 'finished'],
      set: `state = case
            when total is null then 'freezing'
            when canary_state = 'open' and canary_size > 0 then 'canary'
            else 'running'
          end,
          canary_state = case when canary_state = 'failed' then 'passed' else canary_state end,
          starts = true,
          reason = null,
          changed_at = $3`,
    },
    [new Date(ctx.clock.now())],
  );
}

/** Stops for good. It is cancelled when what is in the log is done: then the list of who got it is final. */
export async function cancelBroadcast(ctx: EnvironmentContext, input: Input): Promise<Broadcast> {
  return await change(
    ctx,
    input,
    {
      verb: 'cancelled',
      from: ['freezing', 'canary', 'running', 'paused'],
      already: ['cancelling', 'cancelled'],
      set: `state = 'cancelling', reason = null, changed_at = $3`,
    },
    [new Date(ctx.clock.now())],
  );
}

/** Sets how many recipients a second there may be; null: as fast as it goes. */
export async function setBroadcastRate(
  ctx: EnvironmentContext,
  input: Input & { readonly rate: number | null },
): Promise<Broadcast> {
  return await change(
    ctx,
    input,
    {
      verb: 'given another rate',
      from: ['freezing', 'canary', 'running', 'paused'],
      already: [],
      set: 'rate = $3',
    },
    [input.rate],
  );
}

type Change = {
  readonly verb: string;
  readonly from: readonly BroadcastState[];
  /** States in which there is nothing to do. */
  readonly already: readonly BroadcastState[];
  readonly set: string;
};

async function change(
  ctx: EnvironmentContext,
  input: Input,
  { verb, from, already, set }: Change,
  values: readonly unknown[] = [],
): Promise<Broadcast> {
  const { id, public_id } = await getBroadcast(ctx, input);
  const changed = await ctx.db.query(
    `update broadcast
     set ${set}
     where id = $1
       and state = any($2)
     returning 1`,
    [id, from, ...values],
  );
  const now = await getBroadcast(ctx, { id: public_id });
  if (changed.length > 0 || already.includes(now.state)) return now;
  throw new BelfryError(
    'conflict',
    `The broadcast ${public_id} is ${now.state}; it can be ${verb} only while it is ${from.join(', ')}`,
  );
}
