import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import type { Capability } from '../../accounts/user-token.ts';
import { deliveryStatuses } from '../../feed/delivery-status.ts';
import { listActivities } from '../../feed/list-activities.ts';
import { listMessages, readMessageQuery } from '../../feed/list-messages.ts';
import { getMessage, type MessageScope } from '../../feed/load-messages.ts';
import { getMessageContent, loadMessageContents } from '../../feed/message-content.ts';
import { engagementFilters } from '../../feed/message-filter.ts';
import { listDeliveryLogs, listMessageEvents } from '../../feed/message-history.ts';
import { readPage } from '../../feed/page.ts';
import { textsParameter } from '../../feed/query-reader.ts';
import { triggerDataParameter } from '../../feed/trigger-data.ts';
import { parseCollection, parseId, USERS } from '../../recipients/reference.ts';
import { environmentContext, tenantScopeOf } from '../access.ts';
import { DeliveryLogPage, MessageContents, MessageEventPage } from '../message-history-schemas.ts';
import { ActivityPage, Message, MessagePage, timeRangeQuery } from '../message-schemas.ts';
import type { App } from '../route.ts';
import { answers, ObjectParams, openObject, pageQuery, UserParams } from '../schemas.ts';
import type { Services } from '../services.ts';

export const MessageParams = Type.Object({
  message_id: Type.String({ description: 'The id of the message.' }),
});

const choices = (values: readonly string[]) =>
  Type.Optional(
    Type.Union([
      Type.Array(Type.String({ enum: [...values] })),
      Type.String({ enum: [...values] }),
    ]),
  );
const texts = Type.Optional(Type.Union([Type.Array(Type.String()), Type.String()]));

const MessageQuery = Type.Object(
  {
    ...pageQuery,
    tenant: Type.Optional(Type.String()),
    channel_id: Type.Optional(Type.String()),
    status: choices(deliveryStatuses),
    engagement_status: choices(engagementFilters),
    message_ids: texts,
    workflow_categories: texts,
    source: Type.Optional(Type.String({ description: 'Key of the workflow.' })),
    workflow_run_id: Type.Optional(Type.String()),
    workflow_recipient_run_id: Type.Optional(Type.String()),
    trigger_data: Type.Optional(Type.String({ description: 'Flat pairs, as JSON.' })),
    ...timeRangeQuery,
  },
  openObject,
);

/** Whose messages the key may touch: with a user token, that user's alone. */
export function messageScope(request: FastifyRequest, capability: Capability): MessageScope {
  if (request.access?.kind !== 'public') return {};
  return { userId: request.access.userId, tenants: tenantScopeOf(request, capability) };
}

export function messageRoutes(app: App, services: Services): void {
  app.get(
    '/v1/messages',
    {
      schema: {
        description: 'Lists the messages of the environment, newest first.',
        tags: ['Messages'],
        querystring: MessageQuery,
        response: answers({ 200: MessagePage }),
      },
    },
    async (request, reply) => {
      const query = readMessageQuery(request.query);
      return reply.send(await listMessages(environmentContext(services, request), { query }));
    },
  );

  app.get(
    '/v1/users/:user_id/messages',
    {
      schema: {
        description: 'Lists the messages of a user, newest first.',
        tags: ['Messages'],
        params: UserParams,
        querystring: MessageQuery,
        response: answers({ 200: MessagePage }),
      },
    },
    async (request, reply) => {
      const recipient = { collection: USERS, id: parseId(request.params.user_id, 'user_id') };
      const query = readMessageQuery(request.query);
      const ctx = environmentContext(services, request);
      return reply.send(await listMessages(ctx, { query, recipient }));
    },
  );

  app.get(
    '/v1/objects/:collection/:object_id/messages',
    {
      schema: {
        description: 'Lists the messages of an object, newest first.',
        tags: ['Messages'],
        params: ObjectParams,
        querystring: MessageQuery,
        response: answers({ 200: MessagePage }),
      },
    },
    async (request, reply) => {
      const recipient = {
        collection: parseCollection(request.params.collection, 'collection'),
        id: parseId(request.params.object_id, 'object_id'),
      };
      const query = readMessageQuery(request.query);
      const ctx = environmentContext(services, request);
      return reply.send(await listMessages(ctx, { query, recipient }));
    },
  );

  app.get(
    '/v1/messages/:message_id',
    {
      config: { access: 'public', capability: 'user/feed_read', errors: ['resource_missing'] },
      schema: {
        description: 'Reads a message.',
        tags: ['Messages'],
        params: MessageParams,
        response: answers({ 200: Message }),
      },
    },
    async (request, reply) => {
      const messageId = request.params.message_id;
      const ctx = environmentContext(services, request);
      return reply.send(
        await getMessage(ctx, { messageId, ...messageScope(request, 'user/feed_read') }),
      );
    },
  );

  app.get(
    '/v1/messages/batch/content',
    {
      config: { errors: ['message_content_unavailable', 'message_content_damaged'] },
      schema: {
        description: 'Reads what several messages say; unknown ids are left out.',
        tags: ['Messages'],
        querystring: Type.Object({ message_ids: texts }, openObject),
        response: answers({ 200: Type.Array(MessageContents) }),
      },
    },
    async (request, reply) => {
      const messageIds = textsParameter(request.query, 'message_ids') ?? [];
      const ctx = environmentContext(services, request);
      const contents = await loadMessageContents(ctx, { messageIds, bodies: services.bodies });
      return reply.send(await services.hideSecrets(ctx, contents));
    },
  );

  app.get(
    '/v1/messages/:message_id/content',
    {
      config: {
        errors: ['resource_missing', 'message_content_unavailable', 'message_content_damaged'],
      },
      schema: {
        description: 'Reads what a message says.',
        tags: ['Messages'],
        params: MessageParams,
        response: answers({ 200: MessageContents }),
      },
    },
    async (request, reply) => {
      const messageId = request.params.message_id;
      const ctx = environmentContext(services, request);
      const content = await getMessageContent(ctx, { messageId, bodies: services.bodies });
      return reply.send(await services.hideSecrets(ctx, content));
    },
  );

  app.get(
    '/v1/messages/:message_id/activities',
    {
      config: { errors: ['resource_missing'] },
      schema: {
        description:
          'Lists the triggers that are in a message, newest first: one, or all of the batch that it came out of.',
        tags: ['Messages'],
        params: MessageParams,
        querystring: Type.Object(
          {
            ...pageQuery,
            trigger_data: Type.Optional(Type.String({ description: 'Flat pairs, as JSON.' })),
          },
          openObject,
        ),
        response: answers({
          200: ActivityPage,
        }),
      },
    },
    async (request, reply) => {
      const messageId = request.params.message_id;
      const page = readPage(request.query);
      const triggerData = triggerDataParameter(request.query);
      const ctx = environmentContext(services, request);
      return reply.send(await listActivities(ctx, { messageId, page, triggerData }));
    },
  );

  app.get(
    '/v1/messages/:message_id/events',
    {
      config: { errors: ['resource_missing'] },
      schema: {
        description: 'Lists what happened to a message, newest first.',
        tags: ['Messages'],
        params: MessageParams,
        querystring: Type.Object(pageQuery, openObject),
        response: answers({
          200: MessageEventPage,
        }),
      },
    },
    async (request, reply) => {
      const messageId = request.params.message_id;
      const page = readPage(request.query);
      const ctx = environmentContext(services, request);
      return reply.send(await listMessageEvents(ctx, { messageId, page }));
    },
  );

  app.get(
    '/v1/messages/:message_id/delivery_logs',
    {
      config: { errors: ['resource_missing'] },
      schema: {
        description: 'Lists what was said to the provider and what it answered, newest first.',
        tags: ['Messages'],
        params: MessageParams,
        querystring: Type.Object(pageQuery, openObject),
        response: answers({
          200: DeliveryLogPage,
        }),
      },
    },
    async (request, reply) => {
      const messageId = request.params.message_id;
      const page = readPage(request.query);
      const ctx = environmentContext(services, request);
      const logs = await listDeliveryLogs(ctx, { messageId, page });
      return reply.send({ ...logs, items: await services.hideSecrets(ctx, logs.items) });
    },
  );
}
