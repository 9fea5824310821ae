import type { UserToken } from '../accounts/user-token.ts';
import type { EnvironmentContext } from '../context.ts';
import type { FeedHub } from '../feed/feed-hub.ts';
import type { GuideHub } from '../guides/guide-hub.ts';
import { readFeedJoin } from './feed-join.ts';
import { readGuideJoin } from './guide-join.ts';

/** Who tells sockets what they listen to. */
export type Hubs = { readonly feeds: FeedHub; readonly guides: GuideHub };

export type Subscription = { readonly leave: () => void };

/** Joins `feeds:...` or `guides:...`, after every check of what was asked for. Throws. */
export async function joinTopic(
  ctx: EnvironmentContext,
  hubs: Hubs,
  input: {
    readonly topic: string;
    readonly payload: unknown;
    /** What the socket's token proved; absent: the key may act for any user. */
    readonly token: UserToken | undefined;
    /** The subscription of the same topic that this one takes the place of. */
    readonly replaces: Subscription | undefined;
    readonly push: (event: string, payload: object) => void;
  },
): Promise<Subscription> {
  const { topic, push } = input;
  if (topic.startsWith('guides:')) {
    const wanted = readGuideJoin(input);
    return hubs.guides.join(ctx, {
      ...wanted,
      push: ({ event, data }) => push(event, { topic, event, data }),
    });
  }
  const wanted = await readFeedJoin(ctx, input);
  return hubs.feeds.join({
    ...wanted,
    accountId: ctx.environment.accountId,
    replaces: input.replaces,
    push: (event) => push(event.event, event),
  });
}
