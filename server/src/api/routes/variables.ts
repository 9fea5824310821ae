import { Type } from 'typebox';
import { BRANDING_FIELDS, changeBranding, readBranding } from '../../control/branding.ts';
import { listVariables, setVariable, unsetVariable } from '../../control/variables.ts';
import { requireEnvironment, serviceBy, serviceOf } from '../access.ts';
import type { App } from '../route.ts';
import { Nullable } from '../schemas.ts';
import type { Services } from '../services.ts';

const Variable = Type.Object(
  {
    key: Type.String(),
    type: Type.Enum(['public', 'secret']),
    description: Nullable(Type.String()),
    value: Nullable(Type.String()),
    environment_values: Type.Record(Type.String(), Type.String()),
    inserted_at: Type.String({ format: 'date-time' }),
    updated_at: Type.String({ format: 'date-time' }),
  },
  { description: 'Values of secret variables are masked.' },
);

const Key = Type.Object({ key: Type.String() });

const Place = Type.Object({
  environment: Type.Optional(
    Type.String({ description: 'Absent: the value of all environments without one of their own' }),
  ),
});

const Branding = Type.Object(
  Object.fromEntries(
    BRANDING_FIELDS.map((field) => [
      field,
      Type.Optional(Nullable(Type.String({ maxLength: 2_048 }))),
    ]),
  ),
  { additionalProperties: false },
);

const service = { access: 'service' } as const;
const tags = ['Control'];

/** Variables and branding of the account, with a service token. */
export function variableRoutes(app: App, services: Services): void {
  const { db, clock, log, secrets } = services;

  app.get(
    '/control/v1/variables',
    {
      config: service,
      schema: {
        description: 'Lists the variables of the account by key; values of secret ones are masked.',
        tags,
        response: { 200: Type.Object({ entries: Type.Array(Variable) }) },
      },
    },
    async (request) => ({ entries: await listVariables(db, serviceOf(request).accountId) }),
  );

  app.put(
    '/control/v1/variables/:key',
    {
      config: { ...service, errors: ['conflict'] },
      schema: {
        description:
          'Sets a variable, of all environments or of one. Runs see it within two seconds as `vars.<key>`. ' +
          'A variable stays public or secret until it is removed.',
        tags,
        params: Key,
        querystring: Place,
        body: Type.Object({
          value: Type.String(),
          type: Type.Optional(Type.Enum(['public', 'secret'])),
          description: Type.Optional(Type.String()),
        }),
        response: { 200: Variable },
      },
    },
    async (request) => {
      const { environment: slug } = request.query;
      const environment =
        slug === undefined ? undefined : await requireEnvironment(services, request, slug);
      return setVariable(
        { db, clock, log, secrets },
        {
          accountId: serviceOf(request).accountId,
          key: request.params.key,
          value: request.body.value,
          type: request.body.type,
          description: request.body.description,
          environment,
        },
        serviceBy(request),
      );
    },
  );

  app.delete(
    '/control/v1/variables/:key',
    {
      config: { ...service, errors: ['resource_missing'] },
      schema: {
        description: 'Removes a variable, or only its value of one environment.',
        tags,
        params: Key,
        querystring: Place,
        response: { 204: Type.Null() },
      },
    },
    async (request, reply) => {
      const { environment: slug } = request.query;
      const environment =
        slug === undefined ? undefined : await requireEnvironment(services, request, slug);
      await unsetVariable(
        { db, clock, log },
        { accountId: serviceOf(request).accountId, key: request.params.key, environment },
        serviceBy(request),
      );
      return reply.code(204).send(null);
    },
  );

  app.get(
    '/control/v1/branding',
    {
      config: service,
      schema: {
        description:
          'The branding of the account: `vars.branding` where a tenant has none of its own.',
        tags,
        response: { 200: Branding },
      },
    },
    async (request) => readBranding(db, serviceOf(request).accountId),
  );

  app.put(
    '/control/v1/branding',
    {
      config: service,
      schema: {
        description: 'Changes the fields of the branding that are given; null removes one.',
        tags,
        body: Branding,
        response: { 200: Branding },
      },
    },
    async (request) =>
      changeBranding(
        { db, clock, log },
        { accountId: serviceOf(request).accountId, branding: request.body },
        serviceBy(request),
      ),
  );
}
