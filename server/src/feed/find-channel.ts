import type { EnvironmentContext } from '../context.ts';
import { BelfryError } from '../lib/errors.ts';
import { isUuid } from '../lib/uuid.ts';

/** Throws unless the account has this channel (of this type, where given). */
export async function requireChannel(
  ctx: EnvironmentContext,
  channelId: string,
  type?: 'in_app_feed',
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

async function findChannelType(
  ctx: EnvironmentContext,
  channelId: string,
): Promise<string | undefined> {
  if (!isUuid(channelId)) return undefined;
  const [row] = await ctx.db.query<{ readonly type: string }>(
    {
      name: 'find_channel_type',
      text: `
        select type
        from channel
        where account_id = $1
          and id = $2`,
    },
    [ctx.environment.accountId, channelId],
  );
  return row?.type;
}
