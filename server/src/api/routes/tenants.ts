import { Type } from 'typebox';
import type { EnvironmentContext } from '../../context.ts';
import type { JsonObject } from '../../lib/json.ts';
import { tenantAnswer } from '../../recipients/answer.ts';
import { deleteRecipient } from '../../recipients/delete-recipients.ts';
import { identify } from '../../recipients/identify.ts';
import { pageRequest } from '../../recipients/page.ts';
import { getRecipient, listRecipients } from '../../recipients/recipient.ts';
import { parseId, type RecipientKey, TENANTS } from '../../recipients/reference.ts';
import { parseTenantBody } from '../../recipients/tenant.ts';
import { environmentContext } from '../access.ts';
import { Tenant } from '../preference-schemas.ts';
import type { App } from '../route.ts';
import { answers, NoContent, openObject, PageInfo, pageQuery } from '../schemas.ts';
import type { Services } from '../services.ts';

const tags = ['Tenants'];
const TenantParams = Type.Object({ tenant_id: Type.String() });

export const TenantPage = Type.Object({ entries: Type.Array(Tenant), page_info: PageInfo });

const Resolve = Type.Object({
  resolve_full_preference_settings: Type.Optional(
    Type.Boolean({
      description: 'Shows `settings.preference_set` over the default set of the environment.',
    }),
  ),
});

export function tenantRoutes(app: App, services: Services): void {
  app.put(
    '/v1/tenants/:tenant_id',
    {
      config: { errors: ['channel_invalid'] },
      schema: {
        description:
          'Creates a tenant or merges into it. `settings.preference_set` merges; with `"__persistence_strategy__": "replace"` it replaces, and null clears it.',
        tags,
        params: TenantParams,
        querystring: Resolve,
        body: Type.Object({}, openObject),
        response: answers({ 200: Tenant }),
      },
    },
    async (request, reply) => {
      const ctx = environmentContext(services, request);
      const key = keyOf(request.params);
      const inline = parseTenantBody(key, request.body as JsonObject, '');
      return reply.send(tenantAnswer(await identify(ctx, inline), defaultsOf(ctx, request.query)));
    },
  );

  app.get(
    '/v1/tenants/:tenant_id',
    {
      config: { errors: ['resource_missing'] },
      schema: {
        description: 'Reads a tenant.',
        tags,
        params: TenantParams,
        querystring: Resolve,
        response: answers({ 200: Tenant }),
      },
    },
    async (request, reply) => {
      const ctx = environmentContext(services, request);
      const row = await getRecipient(ctx, keyOf(request.params));
      return reply.send(tenantAnswer(row, defaultsOf(ctx, request.query)));
    },
  );

  app.delete(
    '/v1/tenants/:tenant_id',
    {
      schema: {
        description: 'Deletes a tenant.',
        tags,
        params: TenantParams,
        response: answers({ 204: NoContent }),
      },
    },
    async (request, reply) => {
      await deleteRecipient(environmentContext(services, request), keyOf(request.params));
      return reply.status(204).send();
    },
  );

  app.get(
    '/v1/tenants',
    {
      schema: {
        description: 'Lists the tenants by id, a page at a time.',
        tags,
        querystring: Type.Object({
          ...pageQuery,
          tenant_id: Type.Optional(Type.String()),
          name: Type.Optional(Type.String()),
        }),
        response: answers({
          200: TenantPage,
        }),
      },
    },
    async (request, reply) => {
      const { entries, pageInfo } = await listRecipients(environmentContext(services, request), {
        collection: TENANTS,
        page: pageRequest(request.query),
        id: request.query.tenant_id,
        name: request.query.name,
      });
      return reply.send({ entries: entries.map((row) => tenantAnswer(row)), page_info: pageInfo });
    },
  );
}

function defaultsOf(
  { environment }: EnvironmentContext,
  query: { readonly resolve_full_preference_settings?: boolean },
): JsonObject | undefined {
  return query.resolve_full_preference_settings
    ? (environment.settings.preferences ?? {})
    : undefined;
}

function keyOf(params: { readonly tenant_id: string }): RecipientKey {
  return { collection: TENANTS, id: parseId(params.tenant_id, 'tenant_id') };
}
