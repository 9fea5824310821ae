import type { EnvironmentContext } from '../context.ts';
import {
  changeMessagesAfter,
  MESSAGES_OF_A_TURN,
  parseBulkAction,
  readBulkFilter,
} from '../feed/bulk-message-status.ts';
import { requireChannel } from '../feed/find-channel.ts';
import type { MessageScope } from '../feed/load-messages.ts';
import { isJsonObject, type JsonObject } from '../lib/json.ts';
import { type NewOperation, newOperation } from './new-operation.ts';
import type { Operation } from './operation.ts';

const PREFIX = 'messages.';

/** An operation on all messages of a channel that match. Throws what is wrong with the request. */
export async function messageOperation(
  ctx: EnvironmentContext,
  input: {
    readonly channelId: string;
    readonly action: string;
    /** The filters as they were sent. */
    readonly body: JsonObject;
    readonly scope: MessageScope;
  },
): Promise<NewOperation> {
  const { channelId, action, body, scope } = input;
  readBulkFilter(body);
  parseBulkAction(action);
  await requireChannel(ctx, channelId);
  return newOperation(ctx, {
    name: `${PREFIX}${action}`,
    input: {
      channel_id: channelId,
      filter: body,
      user_id: scope.userId ?? null,
      tenants: scope.tenants ? { ...scope.tenants } : null,
    },
  });
}

export function isOnMessages({ name }: Operation): boolean {
  return name.startsWith(PREFIX);
}

/** Changes the next messages behind the last one; those that came after the request stay as they are. */
export async function changeNextMessages(
  ctx: EnvironmentContext,
  operation: Operation,
): Promise<{ readonly count: number; readonly afterId: string | null; readonly isLast: boolean }> {
  const { filter, channel_id: channelId } = operation.input;
  const ids = await changeMessagesAfter(ctx, {
    channelId: String(channelId),
    filter: readBulkFilter(isJsonObject(filter) ? filter : {}),
    status: parseBulkAction(operation.name.slice(PREFIX.length)),
    after: operation.after_id,
    until: operation.inserted_at,
    ...scopeOf(operation.input),
  });
  const afterId = ids.at(-1) ?? null;
  return { count: ids.length, afterId, isLast: ids.length < MESSAGES_OF_A_TURN };
}

/** What `messageOperation` wrote down. */
function scopeOf({ user_id: userId, tenants }: JsonObject): MessageScope {
  return {
    ...(userId === null ? {} : { userId: String(userId) }),
    ...(isJsonObject(tenants)
      ? {
          tenants: {
            tenants: Array.isArray(tenants.tenants) ? tenants.tenants.map(String) : [],
            untagged: tenants.untagged === true,
          },
        }
      : {}),
  };
}
