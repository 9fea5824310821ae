import type { EnvironmentContext } from '../context.ts';
import {
  type BulkChange,
  type BulkCursor,
  FIRST_MESSAGES,
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

/** Where an operation on messages stands. */
export function messageCursor(operation: Operation): BulkCursor {
  const { after_id: afterId, after_position: position } = operation;
  return afterId === null ? FIRST_MESSAGES : { position, afterId };
}

/** What an operation on messages does to those that it reaches. */
export function messageChange({ name, input, inserted_at: until }: Operation): BulkChange {
  const { filter, channel_id: channelId } = input;
  return {
    channelId: String(channelId),
    filter: readBulkFilter(isJsonObject(filter) ? filter : {}),
    status: parseBulkAction(name.slice(PREFIX.length)),
    until,
    ...scopeOf(input),
  };
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
