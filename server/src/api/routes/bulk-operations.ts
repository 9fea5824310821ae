import { Type } from 'typebox';
import { getOperation } from '../../operations/get-operation.ts';
import { parseItems } from '../../operations/new-operation.ts';
import { operationAnswer } from '../../operations/operation.ts';
import { parsePreferences } from '../../recipients/preference-set.ts';
import { parseCollection, parseId, TENANTS, USERS } from '../../recipients/reference.ts';
import { environmentContext } from '../access.ts';
import { BulkOperation } from '../message-schemas.ts';
import { operate } from '../operate.ts';
import type { App } from '../route.ts';
import { answers, openObject, PreferenceSetRequest, UserProperties } from '../schemas.ts';
import type { Services } from '../services.ts';

const AT_MOST = 'At most 1,000.';
const Ids = Type.Array(Type.String(), { description: AT_MOST });
const Entity = Type.Object({ id: Type.String() }, openObject);
const BulkUser = Type.Object({ id: Type.String(), ...UserProperties }, openObject);
const BulkTenant = Type.Union([Type.String({ description: 'The id of a tenant.' }), Entity]);
const CollectionParams = Type.Object({
  collection: Type.String({ description: 'The collection of the objects.' }),
});

const DONE_LATER =
  'Answers with an operation at once; `GET /v1/bulk_operations/{id}` tells how far it is. What is wrong with one entry keeps none of the others.';

// What an entry says beyond its id is looked at when its turn comes.
const ids = { bare: true, objects: false } as const;
const entities = { bare: false, objects: true } as const;
const idsOrEntities = { bare: true, objects: true } as const;

/** Changes of up to 1,000 users, objects or tenants, and how far they are. */
export function bulkOperationRoutes(app: App, services: Services): void {
  app.get(
    '/v1/bulk_operations/:id',
    {
      config: { errors: ['resource_missing'] },
      schema: {
        summary: 'Get bulk operation',
        description:
          'Reads how far a bulk operation is, with the entries that were refused. It can be read for seven days after its end.',
        tags: ['Bulk operations'],
        params: Type.Object({ id: Type.String({ description: 'The id of the operation.' }) }),
        response: answers({ 200: BulkOperation }),
      },
    },
    async (request, reply) => {
      const ctx = environmentContext(services, request);
      const { operation, errors } = await getOperation(ctx, request.params);
      return reply.send(operationAnswer(operation, errors));
    },
  );
  userRoutes(app, services);
  objectRoutes(app, services);
  tenantRoutes(app, services);
}

function userRoutes(app: App, services: Services): void {
  const tags = ['Users', 'Bulk operations'];
  app.post(
    '/v1/users/bulk/identify',
    {
      schema: {
        summary: 'Bulk identify users',
        description: `Creates up to 1,000 users, or merges into them, as \`PUT /v1/users/{user_id}\` does each. ${DONE_LATER}`,
        tags,
        body: Type.Object({ users: Type.Array(BulkUser, { description: AT_MOST }) }),
        response: answers({ 200: BulkOperation }),
      },
    },
    async (request, reply) => {
      const items = parseItems(request.body.users, 'users', entities);
      const input = { collection: USERS };
      return reply.send(await operate(services, request, { name: 'users.identify', input, items }));
    },
  );

  app.post(
    '/v1/users/bulk/delete',
    {
      schema: {
        summary: 'Bulk delete users',
        description: `Deletes up to 1,000 users. ${DONE_LATER}`,
        tags,
        body: Type.Object({ user_ids: Ids }),
        response: answers({ 200: BulkOperation }),
      },
    },
    async (request, reply) => {
      const items = parseItems(request.body.user_ids, 'user_ids', ids);
      const input = { collection: USERS };
      return reply.send(await operate(services, request, { name: 'users.delete', input, items }));
    },
  );

  app.post(
    '/v1/users/bulk/preferences',
    {
      schema: {
        summary: 'Bulk set preferences',
        description: `Replaces one preference set of up to 1,000 users (\`preferences.id\`, or \`default\`); it never merges. ${DONE_LATER}`,
        tags,
        body: Type.Object({ user_ids: Ids, preferences: PreferenceSetRequest }),
        response: answers({ 200: BulkOperation }),
      },
    },
    async (request, reply) => {
      const items = parseItems(request.body.user_ids, 'user_ids', ids);
      const { preferences } = request.body;
      const setId = 'id' in preferences ? preferences.id : undefined;
      const input = {
        collection: USERS,
        set_id: setId === undefined ? 'default' : parseId(setId, 'preferences.id'),
        preferences: parsePreferences(preferences, 'preferences'),
      };
      const name = 'users.preferences';
      return reply.send(await operate(services, request, { name, input, items }));
    },
  );
}

function objectRoutes(app: App, services: Services): void {
  const tags = ['Objects', 'Bulk operations'];
  app.post(
    '/v1/objects/:collection/bulk/set',
    {
      schema: {
        summary: 'Bulk set objects',
        description: `Creates up to 1,000 objects of a collection, or merges into them. ${DONE_LATER}`,
        tags,
        params: CollectionParams,
        body: Type.Object({ objects: Type.Array(Entity, { description: AT_MOST }) }),
        response: answers({ 200: BulkOperation }),
      },
    },
    async (request, reply) => {
      const input = { collection: parseCollection(request.params.collection, 'collection') };
      const items = parseItems(request.body.objects, 'objects', entities);
      return reply.send(await operate(services, request, { name: 'objects.set', input, items }));
    },
  );

  app.post(
    '/v1/objects/:collection/bulk/delete',
    {
      schema: {
        summary: 'Bulk delete objects',
        description: `Deletes up to 1,000 objects of a collection. ${DONE_LATER}`,
        tags,
        params: CollectionParams,
        body: Type.Object({ object_ids: Ids }),
        response: answers({ 200: BulkOperation }),
      },
    },
    async (request, reply) => {
      const input = { collection: parseCollection(request.params.collection, 'collection') };
      const items = parseItems(request.body.object_ids, 'object_ids', ids);
      return reply.send(await operate(services, request, { name: 'objects.delete', input, items }));
    },
  );
}

function tenantRoutes(app: App, services: Services): void {
  const tags = ['Tenants', 'Bulk operations'];
  app.post(
    '/v1/tenants/bulk/set',
    {
      schema: {
        summary: 'Bulk set tenants',
        description: `Creates up to 1,000 tenants, given as ids or with properties, or merges into them. ${DONE_LATER}`,
        tags,
        body: Type.Object({ tenants: Type.Array(BulkTenant, { description: AT_MOST }) }),
        response: answers({ 200: BulkOperation }),
      },
    },
    async (request, reply) => {
      const items = parseItems(request.body.tenants, 'tenants', idsOrEntities);
      const input = { collection: TENANTS };
      return reply.send(await operate(services, request, { name: 'tenants.set', input, items }));
    },
  );

  app.post(
    '/v1/tenants/bulk/delete',
    {
      schema: {
        summary: 'Bulk delete tenants',
        description: `Deletes up to 1,000 tenants, whose ids are in the query. ${DONE_LATER}`,
        tags,
        querystring: Type.Object({ tenant_ids: Ids }),
        response: answers({ 200: BulkOperation }),
      },
    },
    async (request, reply) => {
      const items = parseItems(request.query.tenant_ids, 'tenant_ids', ids);
      const input = { collection: TENANTS };
      return reply.send(await operate(services, request, { name: 'tenants.delete', input, items }));
    },
  );
}
