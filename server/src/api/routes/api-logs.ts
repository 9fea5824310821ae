import { Type } from 'typebox';
import { listApiLogs, requireApiLog } from '../../api-logs/list.ts';
import { invalidField } from '../../lib/errors.ts';
import { isUuid } from '../../lib/uuid.ts';
import { serviceContext } from '../access.ts';
import type { App } from '../route.ts';
import { answers, Nullable } from '../schemas.ts';
import type { Services } from '../services.ts';

const DEFAULT_LIMIT = 50;
const MAX_LIMIT = 200;

const Body = Nullable(
  Type.Unknown({ description: 'Cut and without secrets; null: none was kept.' }),
);

const ApiLog = Type.Object({
  __typename: Type.Literal('ApiLog'),
  id: Type.String({ format: 'uuid', description: 'The `x-request-id` of the answer.' }),
  inserted_at: Type.String({ format: 'date-time' }),
  method: Type.String(),
  route: Type.String({ description: 'As it is documented, with parameters.' }),
  path: Type.String({ description: 'As it was asked for.' }),
  status: Type.Integer(),
  duration_ms: Type.Number(),
  api_key_id: Nullable(Type.String()),
  request: Body,
  response: Body,
});

const Place = { environment: Type.Optional(Type.String({ description: 'Default: development' })) };

const Query = Type.Object({
  ...Place,
  method: Type.Optional(Type.Enum(['GET', 'POST', 'PUT', 'PATCH', 'DELETE'])),
  path: Type.Optional(
    Type.String({ maxLength: 1_024, description: 'How the path begins: `/v1/users/ada`.' }),
  ),
  status: Type.Optional(
    Type.String({
      pattern: '^(?:[1-5][0-9][0-9]|[1-5]xx|failed)$',
      description: 'A status, a class such as `4xx`, or `failed`: 400 and above.',
    }),
  ),
  api_key: Type.Optional(
    Type.String({ pattern: '^key_[0-9]{1,9}$', description: 'The id of a key: `key_12`.' }),
  ),
  before: Type.Optional(Type.String({ description: '`next` of the page before.' })),
  limit: Type.Optional(
    Type.Integer({ minimum: 1, maximum: MAX_LIMIT, description: `${DEFAULT_LIMIT} by default.` }),
  ),
});

/** What was asked of the runtime API and answered, with a service token. */
export function apiLogRoutes(app: App, services: Services): void {
  app.get(
    '/control/v1/api_logs',
    {
      config: { access: 'service' },
      schema: {
        summary: 'List API logs',
        description:
          'Requests to the runtime API of an environment, newest first. A page looks at 20,000 entries at the most, so one ' +
          'with a filter may have few and a `next`. Not every request of a busy account is recorded: `skipped` says how many ' +
          'of the hour before the page are not.',
        tags: ['Control'],
        querystring: Query,
        response: answers({
          200: Type.Object({
            entries: Type.Array(ApiLog),
            next: Nullable(Type.String({ description: 'Give it as `before` for older ones.' })),
            skipped: Type.Integer(),
          }),
        }),
      },
    },
    async (request) => {
      const { method, path, status, api_key, before, limit = DEFAULT_LIMIT } = request.query;
      if (before !== undefined && !isUuid(before)) {
        throw invalidField('before', 'is not the `next` of an earlier answer');
      }
      const keyId = api_key === undefined ? undefined : Number(api_key.slice('key_'.length));
      const filter = { method, path, status, keyId };
      return listApiLogs(await serviceContext(services, request), { filter, before, limit });
    },
  );

  app.get(
    '/control/v1/api_logs/:id',
    {
      config: { access: 'service', errors: ['resource_missing'] },
      schema: {
        summary: 'Get an API log',
        description: 'The request whose answer had this `x-request-id`.',
        tags: ['Control'],
        params: Type.Object({ id: Type.String() }),
        querystring: Type.Object(Place),
        response: answers({ 200: ApiLog }),
      },
    },
    async (request) => requireApiLog(await serviceContext(services, request), request.params.id),
  );
}
