import { Type } from 'typebox';
import {
  type Audience,
  audienceKinds,
  deleteAudience,
  getAudience,
  listAudiences,
  putAudience,
} from '../../broadcasts/audience.ts';
import {
  addMembers,
  listMembers,
  type Member,
  removeMembers,
} from '../../broadcasts/audience-members.ts';
import { userAnswer } from '../../recipients/answer.ts';
import { pageRequest } from '../../recipients/page.ts';
import { environmentContext } from '../access.ts';
import type { App } from '../route.ts';
import { answers, NoContent, Nullable, openObject, PageInfo, pageQuery, User } from '../schemas.ts';
import type { Services } from '../services.ts';

const tags = ['Audiences'];
const AudienceParams = Type.Object({
  key: Type.String({ description: 'The key of the audience.' }),
});

const Kind = Type.Union(audienceKinds.map((kind) => Type.Literal(kind)));

const AudienceAnswer = Type.Object({
  __typename: Type.Literal('Audience'),
  key: Type.String(),
  name: Nullable(Type.String()),
  kind: Kind,
  conditions: Nullable(Type.Object({}, openObject)),
  created_at: Type.String({ format: 'date-time' }),
  updated_at: Type.String({ format: 'date-time' }),
});

const Members = Type.Object({
  members: Type.Array(
    Type.Object({
      user: Type.Object({ id: Type.String() }, openObject),
      tenant: Type.Optional(
        Nullable(Type.Union([Type.String(), Type.Object({ id: Type.String() }, openObject)])),
      ),
    }),
    { description: 'At most 1,000.' },
  ),
});

const MemberAnswer = Type.Object({
  __typename: Type.Literal('AudienceMember'),
  added_at: Type.String({ format: 'date-time' }),
  tenant: Nullable(Type.String()),
  user: User,
  user_id: Type.String(),
});

export const MemberPage = Type.Object({
  entries: Type.Array(MemberAnswer),
  page_info: PageInfo,
});

/** Audiences of broadcasts; the members' endpoints have the wire format of Knock. */
export function audienceRoutes(app: App, services: Services): void {
  app.put(
    '/v1/audiences/:key',
    {
      config: { errors: ['conflict'] },
      schema: {
        description:
          'Creates an audience or replaces its name and conditions: static members, all users, or the users whose properties fulfil conditions as workflows have them, over `recipient`.',
        tags,
        params: AudienceParams,
        body: Type.Object({
          name: Type.Optional(Nullable(Type.String({ maxLength: 255 }))),
          kind: Kind,
          conditions: Type.Optional(Nullable(Type.Object({}, openObject))),
        }),
        response: answers({ 200: AudienceAnswer }),
      },
    },
    async (request, reply) => {
      const ctx = environmentContext(services, request);
      const { key } = request.params;
      return reply.send(audienceAnswer(await putAudience(ctx, { ...request.body, key })));
    },
  );

  app.get(
    '/v1/audiences',
    {
      schema: {
        description: 'Lists the audiences by key, a page at a time.',
        tags,
        querystring: Type.Object(pageQuery),
        response: answers({
          200: Type.Object({ entries: Type.Array(AudienceAnswer), page_info: PageInfo }),
        }),
      },
    },
    async (request, reply) => {
      const ctx = environmentContext(services, request);
      const page = await listAudiences(ctx, pageRequest(request.query));
      return reply.send({ entries: page.entries.map(audienceAnswer), page_info: page.pageInfo });
    },
  );

  app.get(
    '/v1/audiences/:key',
    {
      config: { errors: ['resource_missing'] },
      schema: {
        description: 'Reads an audience.',
        tags,
        params: AudienceParams,
        response: answers({ 200: AudienceAnswer }),
      },
    },
    async (request, reply) => {
      const ctx = environmentContext(services, request);
      return reply.send(audienceAnswer(await getAudience(ctx, request.params.key)));
    },
  );

  app.delete(
    '/v1/audiences/:key',
    {
      config: { errors: ['conflict'] },
      schema: {
        description: 'Deletes an audience with its members. Broadcasts keep what they have frozen.',
        tags,
        params: AudienceParams,
        response: answers({ 204: NoContent }),
      },
    },
    async (request, reply) => {
      await deleteAudience(environmentContext(services, request), request.params.key);
      return reply.status(204).send();
    },
  );

  app.get(
    '/v1/audiences/:key/members',
    {
      config: { errors: ['resource_missing'] },
      schema: {
        description: 'Lists the members of a static audience by user, a page at a time.',
        tags,
        params: AudienceParams,
        querystring: Type.Object(pageQuery),
        response: answers({
          200: MemberPage,
        }),
      },
    },
    async (request, reply) => {
      const ctx = environmentContext(services, request);
      const page = await listMembers(ctx, {
        key: request.params.key,
        page: pageRequest(request.query),
      });
      return reply.send({ entries: page.entries.map(memberAnswer), page_info: page.pageInfo });
    },
  );

  app.post(
    '/v1/audiences/:key/members',
    {
      config: { errors: ['resource_missing', 'channel_invalid', 'conflict'] },
      schema: {
        description:
          'Adds up to 1,000 members to a static audience. Users and tenants that come with properties are identified.',
        tags,
        params: AudienceParams,
        querystring: Type.Object({
          create_audience: Type.Optional(
            Type.Boolean({ description: 'Create the audience if it does not exist.' }),
          ),
        }),
        body: Members,
        response: answers({ 204: NoContent }),
      },
    },
    async (request, reply) => {
      await addMembers(environmentContext(services, request), {
        key: request.params.key,
        create: request.query.create_audience === true,
        members: request.body.members,
      });
      return reply.status(204).send();
    },
  );

  app.delete(
    '/v1/audiences/:key/members',
    {
      config: { errors: ['resource_missing', 'conflict'] },
      schema: {
        description: 'Removes up to 1,000 members from a static audience.',
        tags,
        params: AudienceParams,
        body: Members,
        response: answers({ 204: NoContent }),
      },
    },
    async (request, reply) => {
      await removeMembers(environmentContext(services, request), {
        key: request.params.key,
        members: request.body.members,
      });
      return reply.status(204).send();
    },
  );
}

function audienceAnswer({ id: _, ...audience }: Audience) {
  return {
    __typename: 'Audience' as const,
    ...audience,
    created_at: audience.created_at.toISOString(),
    updated_at: audience.updated_at.toISOString(),
  };
}

function memberAnswer({ addedAt, tenant, user, userId }: Member) {
  return {
    __typename: 'AudienceMember' as const,
    added_at: addedAt.toISOString(),
    tenant: tenant === '' ? null : tenant,
    user: userAnswer(user),
    user_id: userId,
  };
}
