import { Type } from 'typebox';
import { findAccountEnvironment } from '../../control/find-account-environment.ts';
import { publishWorkflows } from '../../control/publish.ts';
import { BelfryError } from '../../lib/errors.ts';
import { serviceOf } from '../access.ts';
import type { App } from '../route.ts';
import type { Services } from '../services.ts';

const Push = Type.Object({
  workflows: Type.Array(
    Type.Object({ key: Type.String(), content: Type.Record(Type.String(), Type.Unknown()) }),
    { maxItems: 1000 },
  ),
});

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
});

const Whoami = Type.Object({
  type: Type.Literal('service_token'),
  account_name: Type.String(),
  account_slug: Type.String(),
  service_token_name: Type.String(),
  user_id: Type.Null(),
  account_features: Type.Object({ translations_allowed: Type.Boolean() }),
});

/** Publishing workflows with a service token. */
export function controlRoutes(app: App, services: Services): void {
  app.post(
    '/control/v1/push',
    {
      config: { access: 'service' },
      schema: {
        description:
          'Publishes workflows to an environment, all or none. A workflow whose content is the ' +
          'published one already gets no new version. Each defect is an error with the field ' +
          '`<key>: <JSON path>`.',
        tags: ['Control'],
        querystring: Type.Object({
          environment: Type.Optional(Type.String({ description: 'Default: development' })),
        }),
        body: Push,
        response: { 200: Pushed },
      },
    },
    async (request) => {
      const { accountId } = serviceOf(request);
      const slug = request.query.environment ?? 'development';
      const environment = await findAccountEnvironment(services.db, accountId, slug);
      if (!environment) {
        throw new BelfryError(
          'resource_missing',
          `The account has no environment ${JSON.stringify(slug.slice(0, 200))}`,
        );
      }
      const { db, clock, log } = services;
      const { published } = await publishWorkflows(
        { db, clock, log, environment },
        request.body.workflows,
      );
      services.workflows.invalidate(environment.id);
      return {
        environment: environment.slug,
        published: published.map(({ versionId, ...version }) => ({
          ...version,
          version_id: versionId,
        })),
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
        account_features: { translations_allowed: false },
      };
    },
  );
}
