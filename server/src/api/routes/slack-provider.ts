import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { createSlackApi, SLACK_API_URL, type SlackApi } from '../../channels/slack-api.ts';
import { BelfryError, invalidField } from '../../lib/errors.ts';
import { isJsonObject, type JsonObject } from '../../lib/json.ts';
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

const tags = ['Providers', 'Slack'];
const config = {
  access: 'granted',
  capability: 'slack/channels_read',
  errors: ['resource_missing', 'channel_invalid', 'provider_unavailable'],
} as const;
const params = Type.Object({ channel_id: Type.String({ description: 'The id of the channel.' }) });
const Owner = Type.Any({
  description:
    'The object, mostly a tenant, that has the access token in its channel data: `{"collection": "$tenants", "object_id": "acme"}`, or the same in brackets.',
});
const query = Type.Object({ access_token_object: Owner }, openObject);

export const SlackConnection = Type.Object({
  connection: Type.Object({
    ok: Type.Boolean(),
    reason: Type.Optional(Nullable(Type.String())),
  }),
});

export const SlackChannels = Type.Object({
  slack_channels: Type.Array(
    Type.Object({
      id: Type.String(),
      name: Type.String(),
      is_private: Type.Boolean(),
      is_im: Type.Boolean(),
      context_team_id: Type.String(),
    }),
  ),
  next_cursor: Nullable(Type.String()),
});

const MAX_LIMIT = 1_000;
const DEFAULT_LIMIT = 200;

type Connected = ProviderConnection & { readonly token: string; readonly api: SlackApi };

/** What the components for Slack in the browser ask for: with the access token that an object has connected. */
export function slackProviderRoutes(app: App, services: Services): void {
  const requests = createProviderRequests(app, services);
  const inPlace = createProviderPlaces();

  const connect = async (request: FastifyRequest): Promise<Connected> => {
    const connection = await providerConnection(services, request, {
      parameter: 'access_token_object',
      capability: config.capability,
      provider: 'chat_slack',
    });
    const holder = connection.data?.token;
    const token = isJsonObject(holder) ? holder.access_token : undefined;
    if (typeof token !== 'string' || token === '') {
      // Components recognise what is not connected by these very words.
      throw new BelfryError('authorization', 'Access token not set.');
    }
    const apiUrl = connection.channel.settings.api_url ?? SLACK_API_URL;
    const api = createSlackApi(requests, { apiUrl, token, requestId: request.id });
    return { ...connection, token, api };
  };

  app.get(
    '/v1/providers/slack/:channel_id/auth_check',
    {
      config,
      schema: {
        description: 'Whether the Slack access token of an object is good.',
        tags,
        params,
        querystring: query,
        response: answers({ 200: SlackConnection }),
      },
    },
    async (request, reply) => {
      const { api, ctx } = await connect(request);
      const answer = await inPlace(ctx.environment.accountId, api.test);
      if (answer.kind === 'refused') {
        return reply.send({ connection: { ok: false, reason: answer.reason } });
      }
      requireAnswer('Slack', answer);
      return reply.send({ connection: { ok: true } });
    },
  );

  app.get(
    '/v1/providers/slack/:channel_id/channels',
    {
      config,
      schema: {
        description:
          'Lists the channels of the Slack workspace that an object is connected to, a page at a time. Public and private ones, without those that are archived, unless `query_options` says otherwise.',
        tags,
        params,
        querystring: Type.Object(
          {
            access_token_object: Owner,
            query_options: Type.Optional(
              Type.Any({
                description: '`cursor`, `limit`, `exclude_archived`, `types`, `team_id`.',
              }),
            ),
          },
          openObject,
        ),
        response: answers({ 200: SlackChannels }),
      },
    },
    async (request, reply) => {
      const options = objectParameter(request, 'query_options') ?? {};
      const channelQuery = {
        cursor: text(options, 'cursor'),
        limit: limitOf(options.limit),
        excludeArchived: String(options.exclude_archived ?? true) !== 'false',
        types: text(options, 'types') ?? 'public_channel,private_channel',
        teamId: text(options, 'team_id'),
      };
      const { api, ctx } = await connect(request);
      const answer = await inPlace(ctx.environment.accountId, () => api.listChannels(channelQuery));
      return reply.send(requireAnswer('Slack', answer));
    },
  );

  app.put(
    '/v1/providers/slack/:channel_id/revoke_access',
    {
      config,
      schema: {
        description:
          'Revokes the Slack access token of an object and takes it out of its channel data. While Slack does not answer, the token stays.',
        tags,
        params,
        querystring: query,
        response: answers({ 200: Revoked }),
      },
    },
    async (request, reply) => {
      const { api, ctx, channel, owner, data } = await connect(request);
      requireAnswer('Slack', await inPlace(ctx.environment.accountId, api.revoke));
      await dropChannelDataField(ctx, {
        ...owner,
        channelId: channel.id,
        field: 'token',
        was: data?.token ?? null,
      });
      return reply.type('application/json; charset=utf-8').send(revokedAnswer(request) as never);
    },
  );
}

function limitOf(value: unknown): number {
  if (value === undefined || value === '') return DEFAULT_LIMIT;
  const limit = Number(value);
  if (Number.isInteger(limit) && limit >= 1 && limit <= MAX_LIMIT) return limit;
  throw invalidField('query_options.limit', `must be an integer from 1 to ${MAX_LIMIT}`);
}

function text(options: JsonObject, name: string): string | undefined {
  const value = options[name] ?? '';
  if (value === '') return undefined;
  if (typeof value === 'string' && value.length <= 1_000) return value;
  throw invalidField(`query_options.${name}`, 'must be a string of at most 1,000 characters');
}
