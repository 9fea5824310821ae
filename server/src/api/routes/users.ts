import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import type { JsonObject } from '../../lib/json.ts';
import { userAnswer } from '../../recipients/answer.ts';
import { deleteRecipient } from '../../recipients/delete-recipients.ts';
import { identify } from '../../recipients/identify.ts';
import { type InlineRecipient, parseInline } from '../../recipients/inline.ts';
import { mergeUsers } from '../../recipients/merge-users.ts';
import { pageRequest } from '../../recipients/page.ts';
import { preferencesOf } from '../../recipients/preferences.ts';
import { getRecipient, listRecipients } from '../../recipients/recipient.ts';
import { parseId, USERS } from '../../recipients/reference.ts';
import { environmentContext, requireGrant, tenantScopeOf } from '../access.ts';
import type { App } from '../route.ts';
import {
  answers,
  NoContent,
  openObject,
  PageInfo,
  pageQuery,
  User,
  UserParams,
  UserProperties,
} from '../schemas.ts';
import type { Services } from '../services.ts';
import { requireSetInScope } from '../tenant-scope.ts';

export const UserPage = Type.Object({ entries: Type.Array(User), page_info: PageInfo });

export function userRoutes(app: App, services: Services): void {
  app.put(
    '/v1/users/:user_id',
    {
      config: { access: 'public', capability: 'user/write', errors: ['channel_invalid'] },
      schema: {
        summary: 'Identifies a user',
        description:
          'Creates a user or merges the given properties into it. `preferences` and `channel_data` are set beside the properties.',
        tags: ['Users'],
        params: UserParams,
        body: Type.Object(UserProperties, openObject),
        response: answers({ 200: User }),
      },
    },
    async (request, reply) => {
      const key = { collection: USERS, id: parseId(request.params.user_id, 'user_id') };
      const inline = parseInline(key, request.body as JsonObject, '');
      requireInlineGrants(request, inline);
      const row = await identify(environmentContext(services, request), inline);
      return reply.send(userAnswer(row));
    },
  );

  app.get(
    '/v1/users/:user_id',
    {
      config: { access: 'public', capability: 'user/read', errors: ['resource_missing'] },
      schema: {
        description: 'Reads a user.',
        tags: ['Users'],
        params: UserParams,
        response: answers({ 200: User }),
      },
    },
    async (request, reply) => {
      const key = { collection: USERS, id: parseId(request.params.user_id, 'user_id') };
      return reply.send(userAnswer(await getRecipient(environmentContext(services, request), key)));
    },
  );

  app.delete(
    '/v1/users/:user_id',
    {
      schema: {
        description:
          'Deletes a user, at once, and within ten minutes everything it had: preferences, channel data, subscriptions, schedules, messages; runs under way end. The id can be used afresh.',
        tags: ['Users'],
        params: UserParams,
        response: answers({ 204: NoContent }),
      },
    },
    async (request, reply) => {
      const key = { collection: USERS, id: parseId(request.params.user_id, 'user_id') };
      await deleteRecipient(environmentContext(services, request), key);
      return reply.status(204).send();
    },
  );

  app.post(
    '/v1/users/:user_id/merge',
    {
      config: { errors: ['resource_missing'] },
      schema: {
        description:
          'Merges the user `from_user_id` into this one and deletes it. Properties are deep-merged, preference sets and channel data that this user does not have are added, and messages of the last 30 days become his within minutes; where both have something, this user’s own stays. Subscriptions and schedules of the other are not taken over, and its runs under way end.',
        tags: ['Users'],
        params: UserParams,
        body: Type.Object({ from_user_id: Type.String() }),
        response: answers({ 200: User }),
      },
    },
    async (request, reply) => {
      const id = parseId(request.params.user_id, 'user_id');
      const fromId = parseId(request.body.from_user_id, 'from_user_id');
      return reply.send(
        userAnswer(await mergeUsers(environmentContext(services, request), { id, fromId })),
      );
    },
  );

  app.get(
    '/v1/users',
    {
      schema: {
        description: 'Lists the users by id, a page at a time.',
        tags: ['Users'],
        querystring: Type.Object({
          ...pageQuery,
          include: Type.Optional(Type.Array(Type.Literal('preferences'))),
        }),
        response: answers({
          200: UserPage,
        }),
      },
    },
    async (request, reply) => {
      const ctx = environmentContext(services, request);
      const page = await listRecipients(ctx, {
        collection: USERS,
        page: pageRequest(request.query),
      });
      const preferences = request.query.include?.includes('preferences')
        ? await preferencesOf(
            ctx,
            USERS,
            page.entries.map(({ id }) => id),
          )
        : undefined;
      return reply.send({
        entries: page.entries.map((row) =>
          preferences
            ? { ...userAnswer(row), preferences: preferences.get(row.id) ?? {} }
            : userAnswer(row),
        ),
        page_info: page.pageInfo,
      });
    },
  );
}

/** What comes beside the properties needs grants of its own. */
function requireInlineGrants(request: FastifyRequest, inline: InlineRecipient): void {
  const { preferences, channelData } = inline;
  if (preferences) {
    requireGrant(request, inline, 'preferences/write');
    const scope = tenantScopeOf(request, 'preferences/write');
    for (const setId of Object.keys(preferences)) requireSetInScope(setId, scope);
  }
  if (channelData) requireGrant(request, inline, 'channel_data/write');
}
