import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { invalidField } from '../../lib/errors.ts';
import { pageRequest } from '../../recipients/page.ts';
import { webhookEventTypes } from '../../signals/webhook-event-types.ts';
import {
  changeEndpoint,
  createEndpoint,
  disableEndpoint,
  type EndpointContext,
  enableEndpoint,
  MAX_REASON_CHARACTERS,
  MAX_URL_CHARACTERS,
  removeEndpoint,
  rotateSecret,
} from '../../webhooks/change-endpoint.ts';
import { DELIVERY_STATES, listDeliveries } from '../../webhooks/delivery.ts';
import { endpointJson, listEndpoints, requireEndpoint } from '../../webhooks/endpoint.ts';
import { replayOne, replayRange } from '../../webhooks/replay.ts';
import { serviceContext } from '../access.ts';
import type { App } from '../route.ts';
import { answers, NoContent, Nullable, PageInfo, pageQuery } from '../schemas.ts';
import type { Services } from '../services.ts';

const EVENTS = Object.keys(webhookEventTypes);
const Time = Type.String({ format: 'date-time' });

const Events = Type.Array(Type.Enum(EVENTS), { maxItems: 100 });

const endpointFields = {
  id: Type.String({ format: 'uuid' }),
  url: Type.String(),
  description: Nullable(Type.String()),
  events: Events,
  status: Type.Enum(['enabled', 'suspended', 'disabled'], {
    description:
      'Of a suspended one, which Belfry stopped because it failed, events are recorded for a week and sent when it is ' +
      'enabled; of a disabled one they are not recorded.',
  }),
  reason: Nullable(Type.String({ description: 'Why it is not enabled.' })),
  stopped_at: Nullable(Time),
  failures_in_a_row: Type.Integer(),
  failing_since: Nullable(Time),
  last_error: Nullable(Type.String()),
  created_at: Time,
  updated_at: Time,
};

const Endpoint = Type.Object(endpointFields);

const EndpointWithSecret = Type.Object({
  ...endpointFields,
  secret: Type.String({ description: 'What requests are signed with. It is shown only now.' }),
});

const Delivery = Type.Object({
  id: Type.String(),
  event_id: Type.String({ description: 'The `webhook-id` of all requests about the event.' }),
  event: Nullable(Type.String()),
  subject: Nullable(Type.String({ description: 'The message or run that it is about.' })),
  status: Type.Enum(DELIVERY_STATES, { description: 'Dropped: what it is about was deleted.' }),
  attempts: Type.Array(
    Type.Object({
      at: Time,
      attempt: Type.Integer(),
      status: Nullable(Type.Integer()),
      duration_ms: Type.Integer(),
      error: Nullable(Type.String()),
    }),
    { description: 'The latest 24.' },
  ),
  next_attempt_at: Nullable(Time),
  created_at: Time,
});

const Settings = {
  events: Type.Optional(Events),
  description: Type.Optional(Nullable(Type.String({ maxLength: 280 }))),
};

const Url = Type.String({ maxLength: MAX_URL_CHARACTERS });

const ReplayBody = Type.Object({
  delivery_id: Type.Optional(Type.String({ description: 'One event.' })),
  from: Type.Optional(Type.String({ description: 'Or all of a time: events at or after it.' })),
  until: Type.Optional(Type.String({ description: 'And before it; now when absent.' })),
  only_failed: Type.Optional(
    Type.Boolean({ description: 'Of the time, only what failed; true when absent.' }),
  ),
});

const Params = Type.Object({ id: Type.String() });
const Place = { environment: Type.Optional(Type.String({ description: 'Default: development' })) };
const querystring = Type.Object(Place);
const service = { access: 'service' } as const;
const tags = ['Control'];
const path = '/control/v1/webhooks';

/** Outbound webhooks of an environment, with a service token. */
export function webhookRoutes(app: App, services: Services): void {
  const { secrets, config } = services;

  async function contextOf(
    request: FastifyRequest<{ Querystring: { environment?: string } }>,
  ): Promise<EndpointContext> {
    const ctx = await serviceContext(services, request);
    return { ...ctx, secrets, allowPrivate: config.allowPrivateWebhooks };
  }

  async function changed<Result>(result: Promise<Result>): Promise<Result> {
    const value = await result;
    services.webhooks?.wake();
    return value;
  }

  app.get(
    path,
    {
      config: service,
      schema: {
        summary: 'List webhooks',
        description: 'The webhooks of an environment, oldest first, and how they do.',
        tags,
        querystring,
        response: answers({ 200: Type.Object({ entries: Type.Array(Endpoint) }) }),
      },
    },
    async (request) => ({ entries: await listEndpoints(await contextOf(request)) }),
  );

  app.post(
    path,
    {
      config: { ...service, errors: ['conflict'] },
      schema: {
        summary: 'Add a webhook',
        description:
          'From now on, events of the environment are posted to the URL, at least once each. The answer has the secret ' +
          'that requests are signed with, and no other answer has it.',
        tags,
        querystring,
        body: Type.Object(
          { url: Url, ...Settings },
          { examples: [{ url: 'https://example.com/belfry', events: ['message.bounced'] }] },
        ),
        response: answers({ 201: EndpointWithSecret }),
      },
    },
    async (request, reply) => {
      const endpoint = await changed(createEndpoint(await contextOf(request), request.body));
      return reply.code(201).send({ ...endpoint, events: [...endpoint.events] });
    },
  );

  app.get(
    `${path}/:id`,
    {
      config: { ...service, errors: ['resource_missing'] },
      schema: {
        summary: 'Get a webhook',
        description: 'One webhook, and how it does.',
        tags,
        params: Params,
        querystring,
        response: answers({ 200: Endpoint }),
      },
    },
    async (request) =>
      endpointJson(await requireEndpoint(await contextOf(request), request.params)),
  );

  app.patch(
    `${path}/:id`,
    {
      config: { ...service, errors: ['resource_missing'] },
      schema: {
        summary: 'Change a webhook',
        description: 'Changes what is given. New events are those of which it is told from now on.',
        tags,
        params: Params,
        querystring,
        body: Type.Object({ url: Type.Optional(Url), ...Settings }),
        response: answers({ 200: Endpoint }),
      },
    },
    async (request) =>
      changed(changeEndpoint(await contextOf(request), { ...request.body, id: request.params.id })),
  );

  app.delete(
    `${path}/:id`,
    {
      config: { ...service, errors: ['resource_missing'] },
      schema: {
        summary: 'Remove a webhook',
        description: 'Removes a webhook; what waited for it is sent to nobody.',
        tags,
        params: Params,
        querystring,
        response: answers({ 204: NoContent }),
      },
    },
    async (request, reply) => {
      await changed(removeEndpoint(await contextOf(request), request.params));
      return reply.code(204).send(null);
    },
  );

  app.post(
    `${path}/:id/disable`,
    {
      config: { ...service, errors: ['resource_missing'] },
      schema: {
        summary: 'Disable a webhook',
        description: 'Nothing is sent to it and nothing is recorded for it until it is enabled.',
        tags,
        params: Params,
        querystring,
        body: Type.Optional(
          Type.Object({ reason: Type.Optional(Type.String({ maxLength: MAX_REASON_CHARACTERS })) }),
        ),
        response: answers({ 200: Endpoint }),
      },
    },
    async (request) =>
      changed(
        disableEndpoint(await contextOf(request), {
          id: request.params.id,
          reason: request.body?.reason,
        }),
      ),
  );

  app.post(
    `${path}/:id/enable`,
    {
      config: { ...service, errors: ['resource_missing'] },
      schema: {
        summary: 'Enable a webhook',
        description: 'Its events are sent again, also those that waited while it was suspended.',
        tags,
        params: Params,
        querystring,
        response: answers({ 200: Endpoint }),
      },
    },
    async (request) => changed(enableEndpoint(await contextOf(request), request.params)),
  );

  app.post(
    `${path}/:id/rotate`,
    {
      config: { ...service, errors: ['resource_missing'] },
      schema: {
        summary: 'Make a new secret',
        description:
          'Makes a new secret, which only this answer has. For a day, `webhook-signature` has a signature of the old one too.',
        tags,
        params: Params,
        querystring,
        response: answers({ 200: EndpointWithSecret }),
      },
    },
    async (request) => changed(rotateSecret(await contextOf(request), request.params)),
  );

  app.get(
    `${path}/:id/deliveries`,
    {
      config: { ...service, errors: ['resource_missing'] },
      schema: {
        summary: 'List what was sent',
        description: 'The events of the last 30 days with every attempt, newest first.',
        tags,
        params: Params,
        querystring: Type.Object({
          ...Place,
          ...pageQuery,
          status: Type.Optional(Type.Enum(DELIVERY_STATES)),
        }),
        response: answers({
          200: Type.Object({ items: Type.Array(Delivery), page_info: PageInfo }),
        }),
      },
    },
    async (request) =>
      listDeliveries(await contextOf(request), {
        id: request.params.id,
        status: DELIVERY_STATES.find((status) => status === request.query.status),
        page: pageRequest(request.query),
      }),
  );

  app.post(
    `${path}/:id/replay`,
    {
      config: { ...service, errors: ['resource_missing', 'conflict'] },
      schema: {
        summary: 'Send again',
        description:
          'Sends one event again, or those of a time: as new requests with the same `webhook-id`. A time is replayed in ' +
          'pages, while the webhook has nothing new to get.',
        tags,
        params: Params,
        querystring,
        body: ReplayBody,
        response: answers({ 202: Type.Object({}, { additionalProperties: true }) }),
      },
    },
    async (request, reply) => {
      const ctx = await contextOf(request);
      const { id } = request.params;
      const { delivery_id: deliveryId, from, until, only_failed: onlyFailed = true } = request.body;
      if (deliveryId !== undefined) {
        await changed(replayOne(ctx, { id, deliveryId }));
        return reply.code(202).send({ delivery_id: deliveryId });
      }
      const begin = timeOf('from', from);
      if (!begin)
        throw invalidField('from', 'is missing: name a `delivery_id`, or a time to send again');
      const range = { id, from: begin, until: timeOf('until', until), onlyFailed };
      return reply.code(202).send(await changed(replayRange(ctx, range)));
    },
  );
}

function timeOf(field: string, text: string | undefined): Date | undefined {
  if (text === undefined) return undefined;
  const time = new Date(text);
  if (Number.isNaN(time.getTime())) {
    throw invalidField(field, 'must be a time such as 2026-11-21T09:00:00Z');
  }
  return time;
}
