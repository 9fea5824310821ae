import { Type } from 'typebox';
import { requireProviderSettings, setProviderSettings } from '../../control/channel-provider.ts';
import { listChannels, setChannelSettings } from '../../control/channel-settings.ts';
import type { JsonObject } from '../../lib/json.ts';
import { requireEnvironment } from '../access.ts';
import type { App } from '../route.ts';
import { Nullable, openObject } from '../schemas.ts';
import type { Services } from '../services.ts';

const Conditions = Nullable(
  Type.Object(
    {},
    {
      ...openObject,
      description:
        'A group of conditions that hold beside those of each step that uses the channel.',
    },
  ),
);

const Channel = Type.Object({
  id: Type.String({ format: 'uuid' }),
  key: Type.String(),
  name: Type.String(),
  type: Type.String(),
  provider: Type.String(),
  is_sandbox: Type.Boolean({ description: 'Messages are recorded as `not_sent`.' }),
  conditions: Conditions,
  link_tracking: Type.Boolean({
    description:
      'Links lead over the server, which counts clicks; a step may say otherwise. For e-mail, in-app feed, SMS and chat.',
  }),
  open_tracking: Type.Boolean({
    description: 'E-mails say when they are opened; a step may say otherwise.',
  }),
});

const providerSettings = {
  api_url: Nullable(
    Type.String({ description: 'Of the API; null: https://slack.com/api or Microsoft Graph.' }),
  ),
  login_url: Nullable(Type.String({ description: 'Where a Microsoft Teams bot gets its tokens.' })),
  bot_id: Nullable(Type.String({ description: 'Of a Microsoft Teams bot.' })),
};

const ProviderSettings = Type.Object({
  ...providerSettings,
  has_bot_password: Type.Boolean({ description: 'The password itself is never shown.' }),
});

const Place = Type.Object({
  environment: Type.Optional(Type.String({ description: 'Default: development' })),
});

/** The account's channels and their settings in an environment, with a service token. */
export function channelRoutes(app: App, services: Services): void {
  const { db, clock, log } = services;

  app.get(
    '/control/v1/channels',
    {
      config: { access: 'service' },
      schema: {
        description:
          'Lists the channels of the account by key, with their settings in an environment.',
        tags: ['Control'],
        querystring: Place,
        response: { 200: Type.Object({ entries: Type.Array(Channel) }) },
      },
    },
    async (request) => {
      const environment = await requireEnvironment(services, request, request.query.environment);
      return { entries: await listChannels(db, environment) };
    },
  );

  app.put(
    '/control/v1/channels/:key',
    {
      config: { access: 'service', errors: ['resource_missing'] },
      schema: {
        description:
          'Changes settings of a channel in an environment; what is absent stays. Runs follow within two seconds. ' +
          'What a sandboxed channel sends is recorded and goes to nobody; the in-app feed has no sandbox.',
        tags: ['Control'],
        params: Type.Object({ key: Type.String() }),
        querystring: Place,
        body: Type.Object(
          {
            is_sandbox: Type.Optional(Type.Boolean()),
            conditions: Type.Optional(Conditions),
            link_tracking: Type.Optional(Type.Boolean()),
            open_tracking: Type.Optional(Type.Boolean()),
          },
          { additionalProperties: false },
        ),
        response: { 200: Channel },
      },
    },
    async (request) => {
      const environment = await requireEnvironment(services, request, request.query.environment);
      const {
        is_sandbox: isSandbox,
        conditions,
        link_tracking: linkTracking,
        open_tracking: openTracking,
      } = request.body;
      return setChannelSettings(
        { db, clock, log },
        {
          environment,
          key: request.params.key,
          isSandbox,
          conditions: conditions as JsonObject | null | undefined,
          linkTracking,
          openTracking,
        },
      );
    },
  );

  app.get(
    '/control/v1/channels/:key/provider',
    {
      config: { access: 'service', errors: ['resource_missing'] },
      schema: {
        description: 'Reads how a channel reaches its provider’s API in an environment.',
        tags: ['Control'],
        params: Type.Object({ key: Type.String() }),
        querystring: Place,
        response: { 200: ProviderSettings },
      },
    },
    async (request) => {
      const environment = await requireEnvironment(services, request, request.query.environment);
      return requireProviderSettings(db, environment, request.params.key);
    },
  );

  app.put(
    '/control/v1/channels/:key/provider',
    {
      config: { access: 'service', errors: ['resource_missing'] },
      schema: {
        description:
          'Changes how a channel reaches its provider’s API in an environment; what is absent stays, null removes it. ' +
          'A URL of a private address is refused when it is used, unless BELFRY_ALLOW_PRIVATE_WEBHOOKS is set.',
        tags: ['Control'],
        params: Type.Object({ key: Type.String() }),
        querystring: Place,
        body: Type.Partial(
          Type.Object(
            {
              ...providerSettings,
              bot_password: Nullable(Type.String({ description: 'Of a Microsoft Teams bot.' })),
            },
            { additionalProperties: false },
          ),
        ),
        response: { 200: ProviderSettings },
      },
    },
    async (request) => {
      const environment = await requireEnvironment(services, request, request.query.environment);
      return setProviderSettings(
        { db, clock, log, secrets: services.secrets },
        { ...request.body, environment, key: request.params.key },
      );
    },
  );
}
