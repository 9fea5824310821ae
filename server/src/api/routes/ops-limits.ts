import { Type } from 'typebox';
import { changeLimits } from '../../accounts/limits.ts';
import { byFields, requestBy } from '../operator.ts';
import type { App } from '../route.ts';
import { answers, Nullable, openObject } from '../schemas.ts';
import type { Services } from '../services.ts';

const config = { access: 'operator' } as const;
const tags = ['Operator'];

const Limit = Type.Optional(Nullable(Type.Number()));
const limitFields = { requests_per_s: Limit, runs_per_s: Limit, bytes_per_s: Limit };

/** How much an account and an API key may send. */
export function opsLimitsRoutes(app: App, services: Services): void {
  const schema = {
    tags,
    body: Type.Object({ ...limitFields, ...byFields }, openObject),
    response: answers({ 200: Type.Object(limitFields, openObject) }),
  };

  app.post(
    '/ops/v1/accounts/:account/limits',
    {
      config: { ...config, errors: ['resource_missing'] },
      schema: {
        ...schema,
        description:
          'Sets how much an account may send a second; null lifts a limit, and what is not named stays. Holds from the next request. Answers with all limits.',
        params: Type.Object({ account: Type.String() }),
      },
    },
    async (request, reply) => {
      const { author, reason, ...limits } = request.body;
      const by = requestBy(request, request.body);
      const { account } = request.params;
      const all = await changeLimits(services, { account, limits }, by);
      services.authentication.forget();
      return reply.send(all);
    },
  );

  app.post(
    '/ops/v1/keys/:id/limits',
    {
      config: { ...config, errors: ['resource_missing', 'conflict'] },
      schema: {
        ...schema,
        description:
          'Sets how much may be sent with an API key a second, beside the limits of its account; null lifts a limit.',
        params: Type.Object({ id: Type.String() }),
      },
    },
    async (request, reply) => {
      const { author, reason, ...limits } = request.body;
      const by = requestBy(request, request.body);
      const all = await changeLimits(services, { key: request.params.id, limits }, by);
      services.authentication.forget();
      return reply.send(all);
    },
  );
}
