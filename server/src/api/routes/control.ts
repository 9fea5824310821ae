import { Type } from 'typebox';
import { publish } from '../../control/publish.ts';
import { RESOURCE_KINDS, type ResourceKind } from '../../control/resources.ts';
import { requireEnvironment, serviceOf } from '../access.ts';
import type { App } from '../route.ts';
import type { Services } from '../services.ts';

const Thing = Type.Object({
  key: Type.String(),
  content: Type.Record(Type.String(), Type.Unknown()),
});

const Things = Type.Optional(Type.Array(Thing, { maxItems: 2000 }));

const Push = Type.Object({
  workflows: Type.Optional(Type.Array(Thing, { maxItems: 1000 })),
  layouts: Things,
  partials: Things,
  translations: Type.Optional(
    Type.Array(Thing, {
      maxItems: 2000,
      description: 'With keys such as `es`, `es/namespace`, `es/namespace~tenant` and `es~tenant`.',
    }),
  ),
  channel_groups: Things,
  guides: Type.Optional(
    Type.Array(Thing, {
      maxItems: 200,
      description:
        'In-product guides. `active`, `active_from` and `active_until` are switches: what is absent stays.',
    }),
  ),
  guide_groups: Type.Optional(
    Type.Array(Thing, { maxItems: 1, description: 'The order and pace of guides: `default`.' }),
  ),
  check: Type.Optional(
    Type.Boolean({ description: 'Only say what is wrong; nothing is published.' }),
  ),
  whole: Type.Optional(
    Type.Boolean({
      description:
        'The push names all that there is to be of the kinds that it has something of: `unnamed` says what else there is.',
    }),
  ),
});

const PushedResources = Type.Array(Type.Object({ key: Type.String(), changed: Type.Boolean() }));

const Pushed = Type.Object({
  environment: Type.String(),
  published: Type.Array(
    Type.Object({
      key: Type.String(),
      number: Type.Integer(),
      version_id: Type.Integer(),
      changed: Type.Boolean(),
    }),
  ),
  layouts: PushedResources,
  partials: PushedResources,
  translations: PushedResources,
  channel_groups: PushedResources,
  guides: PushedResources,
  guide_groups: PushedResources,
  warnings: Type.Array(Type.Object({ field: Type.String(), message: Type.String() })),
  unnamed: Type.Array(Type.String(), {
    description:
      'With `whole`: workflows and guides that are switched on, and resources, that the push does not name. They stay. 100 at most.',
  }),
});

const Whoami = Type.Object({
  type: Type.Literal('service_token'),
  account_name: Type.String(),
  account_slug: Type.String(),
  service_token_name: Type.String(),
  user_id: Type.Null(),
  account_features: Type.Object({ translations_allowed: Type.Boolean() }),
});

/** Publishing workflows and what they share, with a service token. */
export function controlRoutes(app: App, services: Services): void {
  app.post(
    '/control/v1/push',
    {
      config: { access: 'service' },
      schema: {
        description:
          'Publishes workflows and what they share to an environment, all or none. A workflow whose content is the ' +
          'published one already gets no new version. What is not named stays as it is. Channel groups are those of all ' +
          'environments. Each defect is an error with the field `<key>: <JSON path>`, for what is no workflow ' +
          '`layouts/<key>: <JSON path>` and so on; warnings refuse nothing.',
        tags: ['Control'],
        querystring: Type.Object({
          environment: Type.Optional(Type.String({ description: 'Default: development' })),
        }),
        body: Push,
        response: { 200: Pushed },
      },
    },
    async (request) => {
      const environment = await requireEnvironment(services, request, request.query.environment);
      const { db, clock, log } = services;
      const { body } = request;
      const published = await publish(
        { db, clock, log, environment },
        {
          workflows: body.workflows ?? [],
          resources: RESOURCE_KINDS.flatMap((kind) =>
            (body[`${kind}s`] ?? []).map(({ key, content }) => ({ kind, key, content })),
          ),
          check: body.check ?? false,
          isWhole: body.whole ?? false,
        },
      );
      services.workflows.invalidate(environment.id);
      services.guides.invalidate(environment.id);
      services.guideHub?.notify(environment.id);
      const changedOf = (kind: ResourceKind) =>
        published.resources
          .filter((resource) => resource.kind === kind)
          .map(({ key, changed }) => ({ key, changed }));
      return {
        environment: environment.slug,
        published: published.workflows.map(({ versionId, ...version }) => ({
          ...version,
          version_id: versionId,
        })),
        layouts: changedOf('layout'),
        partials: changedOf('partial'),
        translations: changedOf('translation'),
        channel_groups: changedOf('channel_group'),
        guides: changedOf('guide'),
        guide_groups: changedOf('guide_group'),
        warnings: [...published.warnings],
        unnamed: [...published.unnamed],
      };
    },
  );

  app.get(
    '/control/v1/whoami',
    {
      config: { access: 'service' },
      schema: {
        description: 'The account and the name of the service token.',
        tags: ['Control'],
        response: { 200: Whoami },
      },
    },
    async (request) => {
      const { accountId, name } = serviceOf(request);
      const [account] = await services.db.query<{ readonly name: string }>(
        `
        select name
        from account
        where id = $1`,
        [accountId],
      );
      const accountName = account?.name ?? '';
      return {
        type: 'service_token' as const,
        account_name: accountName,
        account_slug: accountName,
        service_token_name: name,
        user_id: null,
        account_features: { translations_allowed: true },
      };
    },
  );
}
