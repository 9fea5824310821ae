import { Type } from 'typebox';
import { excludeFields } from '../../feed/exclude-fields.ts';
import { archivedFilters, feedStatuses } from '../../feed/feed-filter.ts';
import { requireChannel } from '../../feed/find-channel.ts';
import { listFeed, readFeedQuery } from '../../feed/list-feed.ts';
import { parseId } from '../../recipients/reference.ts';
import { environmentContext, tenantScopeOf } from '../access.ts';
import { Activity, Blocks, timeRangeQuery } from '../message-schemas.ts';
import type { App } from '../route.ts';
import {
  AnyObject,
  answers,
  Nullable,
  openObject,
  PageInfo,
  pageQuery,
  Recipient,
} from '../schemas.ts';
import type { Services } from '../services.ts';
import { narrowFeed } from '../tenant-scope.ts';

const FeedParams = Type.Object({
  user_id: Type.String({ description: 'The id of the user in your system.' }),
  id: Type.String({ description: 'The id of an in-app feed channel.' }),
});

const Texts = Type.Union([Type.Array(Type.String()), Type.String()]);

// `enum` documents; the verb checks, in each of the styles that clients use.
const FeedQuery = Type.Object(
  {
    ...pageQuery,
    status: Type.Optional(Type.String({ enum: [...feedStatuses] })),
    source: Type.Optional(Type.String({ description: 'Key of the workflow.' })),
    tenant: Type.Optional(
      Type.String({ description: 'Items of this tenant and, without `has_tenant`, of none.' }),
    ),
    has_tenant: Type.Optional(Type.String({ enum: ['true', 'false'] })),
    workflow_categories: Type.Optional(Texts),
    archived: Type.Optional(Type.String({ enum: [...archivedFilters], default: 'exclude' })),
    trigger_data: Type.Optional(
      Type.String({ description: 'Flat pairs that the data of the trigger must have, as JSON.' }),
    ),
    mode: Type.Optional(Type.String({ enum: ['compact', 'rich'], default: 'rich' })),
    exclude: Type.Optional(
      Type.String({ description: 'Paths to leave out, such as `entries.archived_at,meta`.' }),
    ),
    locale: Type.Optional(Type.String()),
    ...timeRangeQuery,
  },
  openObject,
);

const FeedItem = Type.Object(
  {
    __typename: Type.Literal('FeedItem'),
    __cursor: Type.String(),
    id: Type.String(),
    blocks: Blocks,
    actors: Type.Array(Recipient),
    total_actors: Type.Integer(),
    activities: Type.Optional(Type.Array(Activity)),
    total_activities: Type.Optional(Type.Integer()),
    data: Nullable(AnyObject),
    source: Type.Object({
      __typename: Type.Literal('Workflow'),
      key: Type.String(),
      version_id: Type.String({ format: 'uuid' }),
      categories: Type.Array(Type.String()),
    }),
    tenant: Nullable(Type.String()),
    seen_at: Nullable(Type.String({ format: 'date-time' })),
    read_at: Nullable(Type.String({ format: 'date-time' })),
    interacted_at: Nullable(Type.String({ format: 'date-time' })),
    archived_at: Nullable(Type.String({ format: 'date-time' })),
    clicked_at: Nullable(Type.String({ format: 'date-time' })),
    link_clicked_at: Nullable(Type.String({ format: 'date-time' })),
    inserted_at: Type.String({ format: 'date-time' }),
    updated_at: Type.String({ format: 'date-time' }),
  },
  { description: 'A message in a feed.' },
);

export const FeedPage = Type.Object({
  entries: Type.Array(FeedItem),
  meta: Type.Object({
    __typename: Type.Literal('FeedMetadata'),
    total_count: Type.Integer(),
    unread_count: Type.Integer(),
    unseen_count: Type.Integer(),
  }),
  page_info: PageInfo,
  vars: AnyObject,
});

export const FeedSettings = Type.Object({
  features: Type.Object({ branding_required: Type.Boolean() }),
});

export function feedRoutes(app: App, services: Services): void {
  const { linkTokens: tokens } = services;
  app.get(
    '/v1/users/:user_id/feeds/:id',
    {
      config: {
        access: 'public',
        capability: 'user/feed_read',
        errors: ['resource_missing', 'channel_invalid'],
      },
      schema: {
        summary: 'Lists the items of a feed',
        description:
          'Lists the items of a user’s in-app feed, newest first, with the counts of the whole view. The feed of an unknown user is empty.',
        tags: ['Feeds'],
        params: FeedParams,
        querystring: FeedQuery,
        response: answers({
          200: FeedPage,
        }),
      },
    },
    async (request, reply) => {
      const asked = readFeedQuery(request.query);
      const filter = narrowFeed(asked.filter, tenantScopeOf(request, 'user/feed_read'));
      const query = { ...asked, filter };
      const ctx = environmentContext(services, request);
      const page = await listFeed(ctx, {
        userId: parseId(request.params.user_id, 'user_id'),
        channelId: request.params.id,
        query,
        vars: await services.publicVars(ctx),
        tracking: tokens && { publicUrl: services.config.publicUrl, tokens },
      });
      const blocks = page.entries.map((entry) => entry.blocks);
      const masked = await services.hideSecrets(ctx, blocks);
      const entries =
        masked === blocks
          ? page.entries
          : page.entries.map((entry, i) => ({ ...entry, blocks: masked[i] ?? [] }));
      return reply.send(excludeFields({ ...page, entries }, query.exclude));
    },
  );

  app.get(
    '/v1/users/:user_id/feeds/:id/settings',
    {
      config: {
        access: 'public',
        capability: 'user/feed_read',
        errors: ['resource_missing', 'channel_invalid'],
      },
      schema: {
        description: 'What a feed must show.',
        tags: ['Feeds'],
        params: FeedParams,
        response: answers({
          200: FeedSettings,
        }),
      },
    },
    async (request, reply) => {
      const ctx = environmentContext(services, request);
      await requireChannel(ctx, request.params.id, 'in_app_feed');
      return reply.send({ features: { branding_required: false } });
    },
  );
}
