import type { EnvironmentContext } from '../context.ts';
import type { Database } from '../db/database.ts';
import { BelfryError } from '../lib/errors.ts';
import { createLruCache, type LruCache } from '../lib/lru.ts';
import { isUuid } from '../lib/uuid.ts';

/** Throws unless the account has this channel (of this type, where given). */
export async function requireChannel(
  ctx: EnvironmentContext,
  channelId: string,
  type?: 'in_app_feed' | 'in_app_guide',
): Promise<void> {
  const found = await findChannelType(ctx, channelId);
  if (found === undefined) {
    throw new BelfryError(
      'resource_missing',
      `No channel ${JSON.stringify(channelId.slice(0, 100))} in this account; use the id of one of its channels`,
    );
  }
  if (type && found !== type) {
    throw new BelfryError(
      'channel_invalid',
      `Channel ${channelId} is of type ${found}; use the id of a channel of type ${type}`,
    );
  }
}

const REMEMBERED = 10_000;
const REMEMBERED_MS = 60_000;

// Every look at a feed asks, and a channel never changes its account or type.
const channelTypes = new WeakMap<Database, LruCache<string>>();

async function findChannelType(
  ctx: EnvironmentContext,
  channelId: string,
): Promise<string | undefined> {
  if (!isUuid(channelId)) return undefined;
  const { accountId } = ctx.environment;
  const cache = channelTypes.get(ctx.db) ?? createLruCache<string>(REMEMBERED, REMEMBERED_MS);
  channelTypes.set(ctx.db, cache);
  const key = `${accountId} ${channelId}`;
  const known = cache.get(key, ctx.clock.now());
  if (known !== undefined) return known;
  const [row] = await ctx.db.query<{ readonly type: string }>(
    {
      name: 'find_channel_type',
      text: `
        select type
        from channel
        where account_id = $1
          and id = $2`,
    },
    [accountId, channelId],
  );
  if (row) cache.set(key, row.type, ctx.clock.now());
  return row?.type;
}
