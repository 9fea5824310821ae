import { Type } from 'typebox';
import type { By } from '../../accounts/audit.ts';
import { changeShare, type Share } from '../../accounts/shares.ts';
import { byFields, requestBy } from '../operator.ts';
import type { App } from '../route.ts';
import { answers, Nullable } from '../schemas.ts';
import type { Services } from '../services.ts';

const Changes = Type.Object({
  weight: Type.Optional(
    Type.Number({ description: 'Against the others; twice the weight is twice the service.' }),
  ),
  slots: Type.Optional(
    Nullable(
      Type.Integer({
        description: 'Assignments that may hold its work at once; null: any number.',
      }),
    ),
  ),
  ...byFields,
});

const schema = {
  description:
    'Changes the share of an account, or of an environment in its account, of what executors do. It acts on what is queued already.',
  tags: ['Operator'],
  body: Changes,
  response: answers({
    200: Type.Object({ weight: Type.Number(), slots: Nullable(Type.Integer()) }),
  }),
};

export function shareRoutes(app: App, services: Services): void {
  const change = async (
    reference: string,
    { weight, slots }: { readonly weight?: number; readonly slots?: number | null },
    by: By,
  ): Promise<Share> => {
    const share = await changeShare(services, { reference, weight, slots }, by);
    await services.engine.reloadShares?.();
    return share;
  };

  app.patch(
    '/ops/v1/shares/:account',
    {
      config: { access: 'operator', errors: ['resource_missing'] },
      schema: { ...schema, params: Type.Object({ account: Type.String() }) },
    },
    async (request, reply) =>
      reply.send(
        await change(request.params.account, request.body, requestBy(request, request.body)),
      ),
  );

  app.patch(
    '/ops/v1/shares/:account/:slug',
    {
      config: { access: 'operator', errors: ['resource_missing'] },
      schema: { ...schema, params: Type.Object({ account: Type.String(), slug: Type.String() }) },
    },
    async (request, reply) => {
      const { account, slug } = request.params;
      return reply.send(
        await change(`${account}/${slug}`, request.body, requestBy(request, request.body)),
      );
    },
  );
}
