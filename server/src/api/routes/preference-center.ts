import { Type } from 'typebox';
import { updateEnvironment } from '../../accounts/environments.ts';
import { type AccountFace, readAccountFace } from '../../control/branding.ts';
import {
  centerAsSet,
  centerAsShown,
  changedCenter,
  PREFERENCES_PATH,
} from '../../recipients/preference-center.ts';
import { getRecipient } from '../../recipients/recipient.ts';
import { parseId, USERS } from '../../recipients/reference.ts';
import { environmentContext, requireEnvironment } from '../access.ts';
import {
  CenterConfigSchema,
  CenterSettings,
  PreferenceCenterConfig,
  PreferenceCenterLink,
} from '../preference-center-schemas.ts';
import type { App } from '../route.ts';
import { answers, Nullable, UserParams } from '../schemas.ts';
import type { Services } from '../services.ts';

/** The page where users change their preferences: what it shows, links to it, its settings. */
export function preferenceCenterRoutes(app: App, services: Services): void {
  userRoutes(app, services);
  settingsRoutes(app, services);
}

function userRoutes(app: App, services: Services): void {
  const tags = ['Users', 'Preferences'];

  app.get(
    '/v1/users/:user_id/preference_center/config',
    {
      config: { access: 'public', capability: 'preferences/read', errors: ['resource_missing'] },
      schema: {
        description:
          'Reads what the preference center shows to a user: its rows, the branding, whose it is. A center that is not enabled has the row of commercial messages alone.',
        tags,
        params: UserParams,
        response: answers({ 200: PreferenceCenterConfig }),
      },
    },
    async (request, reply) => {
      const ctx = environmentContext(services, request);
      const key = { collection: USERS, id: parseId(request.params.user_id, 'user_id') };
      const [{ id, properties }, face] = await Promise.all([
        getRecipient(ctx, key),
        readAccountFace(ctx.db, ctx.environment.accountId),
      ]);
      return reply.send({
        ...centerAsShown(ctx.environment.settings),
        branding: brandingOf(face),
        account_name: face.name,
        user_email: typeof properties.email === 'string' ? properties.email : id,
        knock_branding_required: false,
      });
    },
  );

  app.post(
    '/v1/users/:user_id/preference_center/signed_url',
    {
      config: { errors: ['resource_missing'] },
      schema: {
        description:
          'Makes the link to the preference center of a user. Whoever has it may change the default preferences of this user; it does not expire. Templates have it as `vars.manage_preferences_url`.',
        tags,
        params: UserParams,
        response: answers({ 200: PreferenceCenterLink }),
      },
    },
    async (request, reply) => {
      const ctx = environmentContext(services, request);
      const key = { collection: USERS, id: parseId(request.params.user_id, 'user_id') };
      await getRecipient(ctx, key);
      const { preferenceTokens } = services;
      if (!preferenceTokens) throw new Error('this server signs no links to preferences');
      const token = preferenceTokens.sign({ ...key, environmentId: ctx.environment.id });
      return reply.send({ url: `${services.config.publicUrl}${PREFERENCES_PATH}/${token}`, token });
    },
  );
}

function settingsRoutes(app: App, services: Services): void {
  const tags = ['Control'];
  const path = '/control/v1/preference_center';
  const querystring = Type.Object({
    environment: Type.Optional(Type.String({ description: 'Default: development' })),
  });

  app.get(
    path,
    {
      config: { access: 'service' },
      schema: {
        description: 'Reads the settings of an environment’s preference center.',
        tags,
        querystring,
        response: answers({ 200: CenterSettings }),
      },
    },
    async (request, reply) => {
      const environment = await requireEnvironment(services, request, request.query.environment);
      return reply.send(centerAsSet(environment.settings));
    },
  );

  app.put(
    path,
    {
      config: { access: 'service' },
      schema: {
        description:
          'Changes the settings of an environment’s preference center; what is absent stays, a `config` of null is the default one again.',
        tags,
        querystring,
        body: Type.Object(
          {
            enabled: Type.Optional(Type.Boolean()),
            config: Type.Optional(Nullable(CenterConfigSchema)),
          },
          { additionalProperties: false },
        ),
        response: answers({ 200: CenterSettings }),
      },
    },
    async (request, reply) => {
      const { publicId, settings } = await requireEnvironment(
        services,
        request,
        request.query.environment,
      );
      const changed = await updateEnvironment(
        services,
        {
          reference: publicId,
          settings: { preference_center: changedCenter(settings, request.body) },
        },
        { author: 'service token', reason: '' },
      );
      services.authentication.forget();
      return reply.send(centerAsSet(changed.settings));
    },
  );
}

/** In the form of the wire: dark fields in an object of their own. */
function brandingOf({ branding }: AccountFace): object {
  const dark = new Map<string, string>();
  const light = new Map<string, string>();
  for (const [field, value] of Object.entries(branding)) {
    if (!value) continue;
    if (field.startsWith('dark_')) dark.set(field.slice('dark_'.length), value);
    else light.set(field, value);
  }
  return {
    ...Object.fromEntries(light),
    ...(dark.size > 0 && { dark: Object.fromEntries(dark) }),
  };
}
