import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import {
  createTeamsApi,
  createTeamsTokens,
  GRAPH_URL,
  LOGIN_URL,
  type TeamsApi,
} from '../../channels/teams-api.ts';
import { openBotPassword } from '../../control/channel-provider.ts';
import { BelfryError, invalidField } from '../../lib/errors.ts';
import { dropChannelDataField } from '../../recipients/channel-data.ts';
import {
  createProviderPlaces,
  createProviderRequests,
  objectParameter,
  type ProviderConnection,
  providerConnection,
  Revoked,
  requireAnswer,
  revokedAnswer,
} from '../provider-connection.ts';
import type { App } from '../route.ts';
import { answers, Nullable, openObject } from '../schemas.ts';
import type { Services } from '../services.ts';

const tags = ['Providers', 'Microsoft Teams'];
const config = {
  access: 'granted',
  capability: 'ms_teams/channels_read',
  errors: ['resource_missing', 'channel_invalid', 'provider_unavailable'],
} as const;
const params = Type.Object({ channel_id: Type.String({ description: 'The id of the channel.' }) });
const ownerQuery = {
  ms_teams_tenant_object: Type.Any({
    description:
      'The object, mostly a tenant, that has `ms_teams_tenant_id` in its channel data: `{"collection": "$tenants", "object_id": "acme"}`, or the same in brackets.',
  }),
};
const optionsQuery = {
  query_options: Type.Optional(
    Type.Any({ description: '`$filter`, `$select`, `$top` and `$skiptoken` for Microsoft Graph.' }),
  ),
};

export const TeamsConnection = Type.Object({
  connection: Type.Object({
    ok: Type.Boolean(),
    ms_teams_tenant_id: Type.Optional(Nullable(Type.String())),
    reason: Type.Optional(Nullable(Type.String())),
  }),
});

const team = {
  id: Type.String(),
  displayName: Type.String(),
  description: Type.Optional(Nullable(Type.String())),
};

export const TeamsTeams = Type.Object({
  ms_teams_teams: Type.Array(Type.Object(team)),
  skip_token: Nullable(Type.String()),
});

export const TeamsChannels = Type.Object({
  ms_teams_channels: Type.Array(
    Type.Object({
      ...team,
      membershipType: Type.Optional(Type.String()),
      isArchived: Type.Optional(Type.Boolean()),
      createdDateTime: Type.Optional(Type.String()),
    }),
  ),
});

const MAX_TOP = 999;
const TENANT_ID = /^[\da-z][\da-z.-]{0,99}$/i;

type Connected = ProviderConnection & { readonly tenantId: string };

/** What the components for Microsoft Teams in the browser ask for: with the channel's bot, in an object's tenant. */
export function teamsProviderRoutes(app: App, services: Services): void {
  const requests = createProviderRequests(app, services);
  const inPlace = createProviderPlaces();
  const tokens = createTeamsTokens(() => services.clock.now());

  const connect = async (request: FastifyRequest): Promise<Connected> => {
    const connection = await providerConnection(services, request, {
      parameter: 'ms_teams_tenant_object',
      capability: config.capability,
      provider: 'chat_ms_teams',
    });
    const tenantId = connection.data?.ms_teams_tenant_id;
    if (typeof tenantId !== 'string' || !TENANT_ID.test(tenantId)) {
      // Components recognise what is not connected by these very words.
      throw new BelfryError('authorization', 'Microsoft Teams tenant ID not set.');
    }
    return { ...connection, tenantId };
  };

  const apiOf = (request: FastifyRequest, { ctx, channel, tenantId }: Connected): TeamsApi => {
    const { settings, key } = channel;
    const botPassword = openBotPassword(services.secrets, ctx.environment, channel);
    if (settings.bot_id === null || botPassword === undefined) {
      throw new BelfryError(
        'channel_invalid',
        `Channel ${key} has no bot_id and bot_password in this environment; set them with PUT /control/v1/channels/${key}/provider`,
      );
    }
    return createTeamsApi(requests, {
      bot: {
        graphUrl: settings.api_url ?? GRAPH_URL,
        loginUrl: settings.login_url ?? LOGIN_URL,
        botId: settings.bot_id,
        botPassword,
      },
      tenantId,
      requestId: request.id,
      tokens,
    });
  };

  app.get(
    '/v1/providers/ms-teams/:channel_id/auth_check',
    {
      config,
      schema: {
        description:
          'Whether an object is connected to a Microsoft Teams tenant that lets the bot in.',
        tags,
        params,
        querystring: Type.Object(ownerQuery, openObject),
        response: answers({ 200: TeamsConnection }),
      },
    },
    async (request, reply) => {
      const connected = await connect(request);
      const { tenantId, ctx } = connected;
      const answer = await inPlace(ctx.environment.accountId, apiOf(request, connected).test);
      if (answer.kind === 'refused') {
        return reply.send({ connection: { ok: false, reason: answer.reason } });
      }
      requireAnswer('Microsoft', answer);
      return reply.send({ connection: { ok: true, ms_teams_tenant_id: tenantId } });
    },
  );

  app.get(
    '/v1/providers/ms-teams/:channel_id/teams',
    {
      config,
      schema: {
        description: 'Lists the teams of the Microsoft tenant that an object is connected to.',
        tags,
        params,
        querystring: Type.Object({ ...ownerQuery, ...optionsQuery }, openObject),
        response: answers({ 200: TeamsTeams }),
      },
    },
    async (request, reply) => {
      const odata = odataOf(request, ['$filter', '$select', '$top', '$skiptoken']);
      const connected = await connect(request);
      const api = apiOf(request, connected);
      const { accountId } = connected.ctx.environment;
      const answer = await inPlace(accountId, () => api.listTeams({ odata }));
      return reply.send(requireAnswer('Microsoft', answer));
    },
  );

  app.get(
    '/v1/providers/ms-teams/:channel_id/channels',
    {
      config,
      schema: {
        description:
          'Lists the channels of a team; without those that are archived or private, unless there is a `$filter`.',
        tags,
        params,
        querystring: Type.Object(
          {
            ...ownerQuery,
            ...optionsQuery,
            team_id: Type.String({ minLength: 1, maxLength: 200 }),
          },
          openObject,
        ),
        response: answers({ 200: TeamsChannels }),
      },
    },
    async (request, reply) => {
      const odata = odataOf(request, ['$filter', '$select']);
      const teamId = teamIdOf(request.query.team_id);
      const connected = await connect(request);
      const api = apiOf(request, connected);
      const { accountId } = connected.ctx.environment;
      const answer = await inPlace(accountId, () => api.listChannels({ odata, teamId }));
      return reply.send(requireAnswer('Microsoft', answer));
    },
  );

  app.put(
    '/v1/providers/ms-teams/:channel_id/revoke_access',
    {
      config,
      schema: {
        description: 'Takes the Microsoft tenant out of an object’s channel data.',
        tags,
        params,
        querystring: Type.Object(ownerQuery, openObject),
        response: answers({ 200: Revoked }),
      },
    },
    async (request, reply) => {
      const { ctx, owner, channel, tenantId } = await connect(request);
      const channelId = channel.id;
      const field = 'ms_teams_tenant_id';
      await dropChannelDataField(ctx, { ...owner, channelId, field, was: tenantId });
      return reply.type('application/json; charset=utf-8').send(revokedAnswer(request) as never);
    },
  );
}

/** OData parameters, each a text; others are left out. */
function odataOf(request: FastifyRequest, names: readonly string[]): Record<string, string> {
  const options = objectParameter(request, 'query_options') ?? {};
  const odata: Record<string, string> = {};
  for (const name of names) {
    const value = options[name] ?? '';
    if (value === '') continue;
    const field = `query_options.${name}`;
    if (name === '$top') {
      const top = Number(value);
      if (!Number.isInteger(top) || top < 1 || top > MAX_TOP) {
        throw invalidField(field, `must be an integer from 1 to ${MAX_TOP}`);
      }
      odata[name] = String(top);
      continue;
    }
    if (typeof value !== 'string' || value.length > 4_000) {
      throw invalidField(field, 'must be a string of at most 4,000 characters');
    }
    odata[name] = value;
  }
  return odata;
}

/** One segment of a path, so no dots alone. */
function teamIdOf(teamId: string): string {
  if (/^[\w@:-][\w@.:-]*$/.test(teamId)) return teamId;
  throw invalidField('team_id', 'must be the id of a team');
}
