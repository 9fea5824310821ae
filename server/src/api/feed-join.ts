import {
  permitsOwn,
  type TenantScope,
  tenantScope,
  type UserToken,
} from '../accounts/user-token.ts';
import type { EnvironmentContext } from '../context.ts';
import { type FeedFilter, readFeedFilter } from '../feed/feed-filter.ts';
import type { FeedTopic } from '../feed/feed-topic.ts';
import { requireChannel } from '../feed/find-channel.ts';
import { BelfryError, invalidField } from '../lib/errors.ts';
import { isJsonObject } from '../lib/json.ts';
import { notGranted } from './access.ts';
import { narrowFeed } from './tenant-scope.ts';

const MAX_REFERENCES = 64;
const MAX_REFERENCE_LENGTH = 100;
const MAX_USER_LENGTH = 256;

/** What a join of `feeds:<channel id>:<user id>` asks for, after every check of it. Throws. */
export async function readFeedJoin(
  ctx: EnvironmentContext,
  input: {
    readonly topic: string;
    readonly payload: unknown;
    /** What the socket's token proved; absent: the key may act for any user. */
    readonly token: UserToken | undefined;
  },
): Promise<{ readonly topic: FeedTopic; readonly references: Map<string, FeedFilter> }> {
  const match = /^feeds:([^:]+):(.+)$/s.exec(input.topic);
  const [, channelId, userId] = match ?? [];
  if (!channelId || !userId || userId.length > MAX_USER_LENGTH || userId.includes('\0')) {
    throw new BelfryError('resource_missing', 'unmatched topic');
  }
  const { token } = input;
  if (token && token.userId !== userId) {
    throw new BelfryError('invalid_user_token', 'The user token is for another user');
  }
  if (token && !permitsOwn(token, 'user/feed_read')) throw notGranted('user/feed_read');
  const scope = token && tenantScope(token, 'user/feed_read');
  const references = readReferences(input.payload, scope);
  await requireChannel(ctx, channelId, 'in_app_feed');
  return {
    topic: { environmentId: ctx.environment.id, channelId: channelId.toLowerCase(), userId },
    references,
  };
}

function readReferences(payload: unknown, scope: TenantScope | undefined): Map<string, FeedFilter> {
  if (!isJsonObject(payload)) throw invalidField('payload', 'must be an object');
  const entries = Object.entries(payload);
  if (entries.length > MAX_REFERENCES) {
    throw invalidField('payload', `may have at most ${MAX_REFERENCES} references`);
  }
  return new Map(
    entries.map(([reference, options]) => {
      if (reference === '' || reference.length > MAX_REFERENCE_LENGTH || !isJsonObject(options)) {
        throw invalidField('payload', 'must have the options of each view under its reference');
      }
      return [reference, narrowFeed(readFeedFilter(options), scope)];
    }),
  );
}
