import { Type } from 'typebox';
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
      config: { access: 'service' },
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
}
