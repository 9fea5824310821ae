import { Type } from 'typebox';
import type { EnvironmentContext } from '../../context.ts';
import type { JsonObject } from '../../lib/json.ts';
import { parseItems } from '../../operations/new-operation.ts';
import { objectAnswer, recipientAnswer } from '../../recipients/answer.ts';
import { parseRecipient } from '../../recipients/inline.ts';
import { type Page, pageRequest } from '../../recipients/page.ts';
import { preferencesOf } from '../../recipients/preferences.ts';
import { parseCollection, parseId, type RecipientKey, USERS } from '../../recipients/reference.ts';
import {
  listSubscribers,
  listSubscriptions,
  type Subscription,
  subscribe,
  unsubscribe,
} from '../../recipients/subscriptions.ts';
import { environmentContext } from '../access.ts';
import { BulkOperation } from '../message-schemas.ts';
import { operate } from '../operate.ts';
import type { App } from '../route.ts';
import {
  AnyObject,
  answers,
  Nullable,
  ObjectEntity,
  ObjectParams,
  openObject,
  PageInfo,
  pageQuery,
  Recipient,
  UserParams,
} from '../schemas.ts';
import type { Services } from '../services.ts';

const Reference = Type.Union([
  Type.String({ description: 'The id of a user.' }),
  Type.Object({ id: Type.String(), collection: Type.Optional(Type.String()) }, openObject),
]);

const SubscriptionAnswer = Type.Object({
  __typename: Type.Literal('Subscription'),
  object: ObjectEntity,
  recipient: Recipient,
  properties: Nullable(AnyObject),
  inserted_at: Type.String({ format: 'date-time' }),
  updated_at: Type.String({ format: 'date-time' }),
});

export const Subscriptions = Type.Array(SubscriptionAnswer);

export const SubscriptionPage = Type.Object({
  entries: Type.Array(SubscriptionAnswer),
  page_info: PageInfo,
});

const listQuery = {
  ...pageQuery,
  include: Type.Optional(Type.Array(Type.Literal('preferences'))),
  objects: Type.Optional(Type.Array(Reference, { description: 'Only these objects.' })),
};

const objectsOfBulk = Type.Array(
  Type.Object({
    id: Type.String({ description: 'The id of the object.' }),
    recipients: Type.Array(Reference, { description: 'At most 100.' }),
    properties: Type.Optional(Nullable(Type.Object({}, openObject))),
  }),
  { description: 'At most 1,000 objects.' },
);

const bulkVerbs = [
  {
    verb: 'add',
    summary: 'Bulk add subscriptions',
    description: 'Subscribes recipients to many objects of a collection.',
  },
  {
    verb: 'delete',
    summary: 'Bulk delete subscriptions',
    description: 'Ends subscriptions to many objects of a collection.',
  },
] as const;

const path = '/v1/objects/:collection/:object_id/subscriptions';
const tags = ['Objects', 'Subscriptions'];

export function subscriptionRoutes(app: App, services: Services): void {
  bulkRoutes(app, services);
  app.post(
    path,
    {
      config: { errors: ['channel_invalid'] },
      schema: {
        description:
          'Subscribes up to 100 recipients to an object; those that come with properties are identified. A subscription that exists gets the given properties.',
        tags,
        params: ObjectParams,
        body: Type.Object({
          recipients: Type.Array(Reference),
          properties: Type.Optional(Nullable(Type.Object({}, openObject))),
        }),
        response: answers({ 200: Subscriptions }),
      },
    },
    async (request, reply) => {
      const { recipients, properties } = request.body;
      const subscriptions = await subscribe(environmentContext(services, request), {
        object: keyOf(request.params),
        recipients,
        properties: properties as JsonObject | null | undefined,
      });
      return reply.send(subscriptions.map((subscription) => subscriptionAnswer(subscription)));
    },
  );

  app.delete(
    path,
    {
      schema: {
        description:
          'Ends the subscriptions of up to 100 recipients; answers with those there were.',
        tags,
        params: ObjectParams,
        body: Type.Object({ recipients: Type.Array(Reference) }),
        response: answers({ 200: Subscriptions }),
      },
    },
    async (request, reply) => {
      const subscriptions = await unsubscribe(environmentContext(services, request), {
        object: keyOf(request.params),
        recipients: request.body.recipients,
      });
      return reply.send(subscriptions.map((subscription) => subscriptionAnswer(subscription)));
    },
  );

  app.get(
    path,
    {
      schema: {
        summary: 'Lists who subscribes to an object, or what it subscribes to',
        description:
          'Lists who subscribes to an object (`mode=object`, by collection and id), or what the object itself subscribes to (`mode=recipient`, the newest first).',
        tags,
        params: ObjectParams,
        querystring: Type.Object({
          ...listQuery,
          mode: Type.Optional(Type.Union([Type.Literal('object'), Type.Literal('recipient')])),
          recipients: Type.Optional(
            Type.Array(Reference, { description: 'Only these recipients, with `mode=object`.' }),
          ),
        }),
        response: answers({ 200: SubscriptionPage }),
      },
    },
    async (request, reply) => {
      const ctx = environmentContext(services, request);
      const { mode, recipients, objects, include } = request.query;
      const page = pageRequest(request.query);
      const key = keyOf(request.params);
      const found =
        mode === 'recipient'
          ? await listSubscriptions(ctx, {
              recipient: key,
              objects: references(objects, 'objects'),
              page,
            })
          : await listSubscribers(ctx, {
              object: key,
              recipients: references(recipients, 'recipients'),
              page,
            });
      return reply.send(await pageAnswer(ctx, found, include !== undefined));
    },
  );

  app.get(
    '/v1/users/:user_id/subscriptions',
    {
      schema: {
        description: 'Lists what a user subscribes to, the newest first.',
        tags: ['Users', 'Subscriptions'],
        params: UserParams,
        querystring: Type.Object(listQuery),
        response: answers({ 200: SubscriptionPage }),
      },
    },
    async (request, reply) => {
      const ctx = environmentContext(services, request);
      const found = await listSubscriptions(ctx, {
        recipient: { collection: USERS, id: parseId(request.params.user_id, 'user_id') },
        objects: references(request.query.objects, 'objects'),
        page: pageRequest(request.query),
      });
      return reply.send(await pageAnswer(ctx, found, request.query.include !== undefined));
    },
  );
}

function bulkRoutes(app: App, services: Services): void {
  for (const { verb, summary, description } of bulkVerbs) {
    app.post(
      `/v1/objects/:collection/bulk/subscriptions/${verb}`,
      {
        schema: {
          summary,
          description: `${description} Answers with an operation at once; what is wrong with one object keeps none of the others.`,
          tags: [...tags, 'Bulk operations'],
          params: Type.Object({ collection: Type.String() }),
          body: Type.Object({ subscriptions: objectsOfBulk }),
          response: answers({ 200: BulkOperation }),
        },
      },
      async (request, reply) => {
        const input = { collection: parseCollection(request.params.collection, 'collection') };
        const items = parseItems(request.body.subscriptions, 'subscriptions', {
          bare: false,
          objects: true,
        });
        const name = `subscriptions.${verb}` as const;
        return reply.send(await operate(services, request, { name, input, items }));
      },
    );
  }
}

async function pageAnswer(
  ctx: EnvironmentContext,
  { entries, pageInfo }: Page<Subscription>,
  includePreferences: boolean,
) {
  const preferences = includePreferences ? await preferencesByRecipient(ctx, entries) : undefined;
  return {
    entries: entries.map((subscription) =>
      subscriptionAnswer(
        subscription,
        preferences && { preferences: preferences(subscription.recipient) },
      ),
    ),
    page_info: pageInfo,
  };
}

/** The preference sets of recipients of any collections. */
async function preferencesByRecipient(
  ctx: EnvironmentContext,
  subscriptions: readonly Subscription[],
): Promise<(recipient: RecipientKey) => object> {
  const ids = new Map<string, string[]>();
  for (const { recipient } of subscriptions) {
    ids.set(recipient.collection, [...(ids.get(recipient.collection) ?? []), recipient.id]);
  }
  const found = new Map<string, Awaited<ReturnType<typeof preferencesOf>>>();
  for (const [collection, wanted] of ids) {
    found.set(collection, await preferencesOf(ctx, collection, wanted));
  }
  return ({ collection, id }) => found.get(collection)?.get(id) ?? {};
}

function subscriptionAnswer(subscription: Subscription, more: object = {}) {
  const { object, recipient, properties, insertedAt, updatedAt } = subscription;
  return {
    __typename: 'Subscription' as const,
    object: objectAnswer(object),
    recipient: { ...recipientAnswer(recipient), ...more },
    properties,
    inserted_at: insertedAt.toISOString(),
    updated_at: updatedAt.toISOString(),
  };
}

function references(
  given: readonly unknown[] | undefined,
  field: string,
): RecipientKey[] | undefined {
  return given?.map((item, index) => parseRecipient(item, `${field}[${index}]`).key);
}

function keyOf(params: { readonly collection: string; readonly object_id: string }): RecipientKey {
  const collection = parseCollection(params.collection, 'collection');
  return { collection, id: parseId(params.object_id, 'object_id') };
}
