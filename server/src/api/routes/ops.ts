import { Type } from 'typebox';
import type { By } from '../../accounts/audit.ts';
import { createAccount } from '../../accounts/create-account.ts';
import { listAccounts, updateEnvironment } from '../../accounts/environments.ts';
import { createKey, listKeys, revokeKey } from '../../accounts/keys.ts';
import type { Environment } from '../../context.ts';
import { invalidField } from '../../lib/errors.ts';
import { parsePreferences } from '../../recipients/preference-set.ts';
import { isTimeZone } from '../../workflows/time-zone.ts';
import { byFields, requestBy } from '../operator.ts';
import type { App } from '../route.ts';
import { answers, Nullable, openObject } from '../schemas.ts';
import type { Services } from '../services.ts';
import { ledgerRoutes } from './ledger.ts';
import { shareRoutes } from './shares.ts';

const tags = ['Operator'];
const config = { access: 'operator' } as const;

const KeyKind = Type.Union([
  Type.Literal('secret'),
  Type.Literal('public'),
  Type.Literal('signing'),
  Type.Literal('service'),
  Type.Literal('operator'),
]);

const keyFields = {
  id: Type.String(),
  kind: KeyKind,
  account: Nullable(Type.String()),
  environment: Nullable(Type.String()),
  hint: Nullable(Type.String({ description: 'The last four characters.' })),
};

const Key = Type.Object({
  ...keyFields,
  name: Nullable(Type.String({ description: 'Of a service or operator token.' })),
  created_at: Type.String(),
  revoked_at: Nullable(Type.String()),
});

const EnvironmentAnswer = Type.Object({
  id: Type.String({ format: 'uuid' }),
  slug: Type.String(),
  settings: Type.Object({}, openObject),
});

/** What the operator's CLI does to accounts, environments and keys. */
export function opsRoutes(app: App, services: Services): void {
  accountRoutes(app, services);
  keyRoutes(app, services);
  ledgerRoutes(app, services);
  shareRoutes(app, services);
}

function accountRoutes(app: App, services: Services): void {
  app.get(
    '/ops/v1/accounts',
    {
      config,
      schema: {
        description: 'Lists the accounts and their environments by name, at most 1,000.',
        tags,
        querystring: Type.Object({ after: Type.Optional(Type.String()) }),
        response: answers({
          200: Type.Object({ entries: Type.Array(Type.Object({}, openObject)) }),
        }),
      },
    },
    async (request, reply) =>
      reply.send({ entries: await listAccounts(services, { after: request.query.after }) }),
  );

  app.post(
    '/ops/v1/accounts',
    {
      config: { ...config, errors: ['conflict'] },
      schema: {
        description:
          'Creates an account with environments, keys and channels. The answer has the form of `credentials.json` and is the only place where the keys are shown.',
        tags,
        body: Type.Object({ name: Type.String(), ...byFields }),
        response: answers({ 201: Type.Object({}, openObject) }),
      },
    },
    async (request, reply) =>
      reply
        .status(201)
        .send(
          await createAccount(
            services,
            { name: request.body.name },
            requestBy(request, request.body),
          ),
        ),
  );

  const update = {
    config: { ...config, errors: ['resource_missing'] as const },
    schema: {
      description:
        'Changes settings of an environment, named by its id or by account and slug: `enhanced_security`, `preferences` (the default preference set) and `timezone` (of recipients without one of their own).',
      tags,
      body: Type.Object({
        enhanced_security: Type.Optional(Type.Boolean()),
        preferences: Type.Optional(Nullable(Type.Object({}, openObject))),
        timezone: Type.Optional(Type.String({ maxLength: 100 })),
        ...byFields,
      }),
      response: answers({ 200: EnvironmentAnswer }),
    },
  };
  const change = async (
    reference: string,
    body: { enhanced_security?: boolean; preferences?: object | null; timezone?: string },
    by: By,
  ): Promise<object> => {
    const { enhanced_security, preferences, timezone } = body;
    if (timezone !== undefined && !isTimeZone(timezone)) {
      throw invalidField(
        'timezone',
        `is ${JSON.stringify(timezone)}, which is no time zone; name one such as "Europe/Berlin"`,
      );
    }
    const settings = {
      ...(enhanced_security !== undefined && { enhanced_security }),
      ...(timezone !== undefined && { timezone }),
      ...(preferences !== undefined && {
        preferences: parsePreferences(preferences ?? {}, 'preferences'),
      }),
    };
    const environment = await updateEnvironment(services, { reference, settings }, by);
    services.authentication.forget();
    return environmentAnswer(environment);
  };

  app.patch(
    '/ops/v1/environments/:id',
    {
      ...update,
      schema: { ...update.schema, params: Type.Object({ id: Type.String() }) },
    },
    async (request, reply) =>
      reply.send(await change(request.params.id, request.body, requestBy(request, request.body))),
  );

  app.patch(
    '/ops/v1/environments/:account/:slug',
    {
      ...update,
      schema: {
        ...update.schema,
        params: Type.Object({ account: Type.String(), slug: Type.String() }),
      },
    },
    async (request, reply) => {
      const { account, slug } = request.params;
      return reply.send(
        await change(`${account}/${slug}`, request.body, requestBy(request, request.body)),
      );
    },
  );
}

function keyRoutes(app: App, services: Services): void {
  app.get(
    '/ops/v1/keys',
    {
      config,
      schema: {
        description: 'Lists keys of every kind, newest first; of a key only its hint is known.',
        tags,
        querystring: Type.Object({
          account: Type.Optional(Type.String()),
          environment: Type.Optional(Type.String()),
        }),
        response: answers({ 200: Type.Object({ entries: Type.Array(Key) }) }),
      },
    },
    async (request, reply) => reply.send({ entries: await listKeys(services, request.query) }),
  );

  app.post(
    '/ops/v1/keys',
    {
      config: { ...config, errors: ['resource_missing'] },
      schema: {
        description:
          'Creates a key. `key` in the answer is shown once; of a `signing` key it is the private half.',
        tags,
        body: Type.Object({
          kind: KeyKind,
          account: Type.Optional(Type.String()),
          environment: Type.Optional(Type.String()),
          name: Type.Optional(
            Type.String({
              minLength: 1,
              maxLength: 100,
              description: 'Whose an operator or service token is; the audit log shows it.',
            }),
          ),
          ...byFields,
        }),
        response: answers({ 201: Type.Object({ ...keyFields, key: Type.String() }) }),
      },
    },
    async (request, reply) => {
      const key = await createKey(services, request.body, requestBy(request, request.body));
      services.authentication.forget();
      return reply.status(201).send(key);
    },
  );

  app.post(
    '/ops/v1/keys/:id/revoke',
    {
      config: { ...config, errors: ['resource_missing', 'conflict'] },
      schema: {
        description:
          'Ends a key at once. What it brought goes on; an order of scope `key` holds or discards that.',
        tags,
        params: Type.Object({
          id: Type.String({
            description: 'As the list has it, or the last four characters of an API key.',
          }),
        }),
        body: Nullable(Type.Object(byFields)),
        response: answers({ 200: Type.Object(keyFields) }),
      },
    },
    async (request, reply) => {
      const by = requestBy(request, request.body ?? {});
      const key = await revokeKey(services, { id: request.params.id }, by);
      services.authentication.forget();
      return reply.send(key);
    },
  );
}

function environmentAnswer({ publicId, slug, settings }: Environment): object {
  return { id: publicId, slug, settings };
}
