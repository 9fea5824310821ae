import { Readable } from 'node:stream';
import { Type } from 'typebox';
import { writeAudit } from '../../accounts/audit.ts';
import { type NamedScope, nameScopes, resolveScope } from '../../accounts/work-scope.ts';
import type { Order, OrderCounts, Orders } from '../../engine/engine.ts';
import { BelfryError, invalidField } from '../../lib/errors.ts';
import { byFields, requestBy } from '../operator.ts';
import type { App } from '../route.ts';
import { answers } from '../schemas.ts';
import type { Services } from '../services.ts';
import {
  CountsAnswer,
  countsAnswer,
  GivenOrderAnswer,
  OrderAnswer,
  OrderWithAsideAnswer,
  orderAnswer,
} from './ops-order-answer.ts';
import { ScopeAnswer, ScopeInput } from './ops-scope.ts';

const tags = ['Operator'];
const config = { access: 'operator' } as const;
const params = Type.Object({ id: Type.Integer({ minimum: 1, maximum: 2_147_483_647 }) });

const DAY_S = 86_400;
const MOST_S = 30 * DAY_S;
/** A hold that somebody forgot ends; what was discarded by mistake is found out within a week. */
const DEFAULT_S = { hold: DAY_S, slow: DAY_S, discard: 7 * DAY_S } as const;
const MOST_RATE = 100_000;

const DEFAULT_LIMIT = 100;
const MAX_LIMIT = 500;
const ASIDE_AT_ONCE = 4;

/** Verbs on queued work: hold, slow, discard, and back. */
export function opsOrderRoutes(app: App, services: Services): void {
  orderRoutes(app, services);
  readRoutes(app, services);
}

function orderRoutes(app: App, services: Services): void {
  app.post(
    '/ops/v1/orders/preview',
    {
      config: { ...config, errors: ['resource_missing', 'conflict'] },
      schema: {
        description:
          'What an order of this scope would concern now: how much, since when, and a few samples. Changes nothing.',
        tags,
        body: Type.Object({ scope: ScopeInput }),
        response: answers({ 200: Type.Object({ scope: ScopeAnswer, ...CountsAnswer }) }),
      },
    },
    async (request, reply) => {
      const scope = await resolveScope(services.db, request.body.scope);
      const counts = await ordersOf(services).preview(scope);
      const [named = {}] = await nameScopes(services.db, [scope]);
      return reply.send({ scope: named, ...countsAnswer(counts) });
    },
  );

  app.post(
    '/ops/v1/orders',
    {
      config: { ...config, errors: ['resource_missing', 'conflict'] },
      schema: {
        description:
          'Gives an order about queued work. Once it is answered, nothing of its scope starts any more (of a `slow`: no more than its rate). `hold` and `slow` also concern what comes while they last; `discard` what was accepted before it.',
        tags,
        body: Type.Object({
          verb: Type.Union([Type.Literal('hold'), Type.Literal('slow'), Type.Literal('discard')]),
          scope: ScopeInput,
          ...byFields,
          reason: Type.String({ description: 'Why, for the audit log.' }),
          expires_in: Type.Optional(
            Type.Integer({
              minimum: 1,
              maximum: MOST_S,
              description:
                'Seconds until a hold or slow ends by itself (a day by default), or until what was discarded is dropped (a week).',
            }),
          ),
          rate: Type.Optional(
            Type.Number({
              exclusiveMinimum: 0,
              maximum: MOST_RATE,
              description: 'Runs per second; for `slow`.',
            }),
          ),
        }),
        response: answers({ 201: GivenOrderAnswer }),
      },
    },
    async (request, reply) => {
      const { verb, rate, expires_in: expiresIn = DEFAULT_S[verb] } = request.body;
      const by = requestBy(request, request.body);
      if (by.reason === '') throw invalidField('reason', 'is required: others will want to know');
      if (verb === 'slow' && rate === undefined) {
        throw invalidField('rate', 'is required for slow: how many runs per second may start');
      }
      if (verb !== 'slow' && rate !== undefined) {
        throw invalidField('rate', `is only for slow, not for ${verb}`);
      }
      const scope = await resolveScope(services.db, request.body.scope);
      const order = await ordersOf(services).give({
        verb,
        scope,
        ...by,
        expiresAt: new Date(services.clock.now() + expiresIn * 1_000),
        runsPerSecond: rate ?? null,
      });
      const [answer] = await named(services, [order]);
      const concerned = order.concerned && countsAnswer(order.concerned);
      return reply.status(201).send({ ...answer, concerned });
    },
  );

  app.post(
    '/ops/v1/orders/:id/undo',
    {
      config: { ...config, errors: ['resource_missing', 'conflict'] },
      schema: {
        description:
          'Ends an order: what a hold or slow set aside is released, what was discarded is replayed, each run once and under its own id.',
        tags,
        params,
        body: Type.Union([Type.Object(byFields), Type.Null()]),
        response: answers({ 200: OrderAnswer }),
      },
    },
    async (request, reply) => {
      const by = requestBy(request, request.body ?? {});
      const order = await ordersOf(services).end(request.params.id, by);
      const [answer] = await named(services, [order]);
      return reply.send(answer);
    },
  );
}

function readRoutes(app: App, services: Services): void {
  app.get(
    '/ops/v1/orders',
    {
      config,
      schema: {
        description: 'Lists the orders, active ones first, then the newest.',
        tags,
        querystring: Type.Object({
          active: Type.Optional(Type.Boolean({ description: 'True: only those that last.' })),
          limit: Type.Optional(
            Type.Integer({
              minimum: 1,
              maximum: MAX_LIMIT,
              description: `${DEFAULT_LIMIT} by default.`,
            }),
          ),
        }),
        response: answers({ 200: Type.Object({ entries: Type.Array(OrderWithAsideAnswer) }) }),
      },
    },
    async (request, reply) => {
      const { active = false, limit = DEFAULT_LIMIT } = request.query;
      const orders = ordersOf(services);
      const [lasting, others] = await Promise.all([
        orders.list({ active: true, limit }),
        active ? [] : orders.list({ limit }),
      ]);
      const ids = new Set(lasting.map(({ id }) => id));
      const all = [...lasting, ...others.filter(({ id }) => !ids.has(id))].slice(0, limit);
      const aside = await asideOf(orders, lasting);
      const entries = (await named(services, all)).map((entry) => ({
        ...entry,
        aside: aside.get(entry.id) ?? null,
      }));
      return reply.send({ entries });
    },
  );

  app.get(
    '/ops/v1/orders/:id',
    {
      config: { ...config, errors: ['resource_missing'] },
      schema: {
        description: 'An order, with how much of its scope is set aside now.',
        tags,
        params,
        response: answers({ 200: OrderWithAsideAnswer }),
      },
    },
    async (request, reply) => {
      const order = await ordersOf(services).get(request.params.id);
      const [answer] = await named(services, [order]);
      return reply.send({ ...answer, aside: order.aside });
    },
  );

  app.get(
    '/ops/v1/orders/:id/export',
    {
      config: { ...config, errors: ['resource_missing', 'conflict'] },
      schema: {
        description:
          'What an order set aside, as a stream of lines: one JSON object a run. A stream that breaks off was not complete; read it again.',
        tags,
        params,
        response: answers({ 200: Type.String({ contentMediaType: 'application/x-ndjson' }) }),
      },
    },
    async (request, reply) => {
      const orders = ordersOf(services);
      // What there is to refuse is refused before the first line.
      const { id, verb, scope, endedAt, droppedAt } = await orders.get(request.params.id);
      const over = endedAt ?? droppedAt;
      if (over) {
        const since = over.toISOString();
        throw new BelfryError(
          'conflict',
          `The ${verb} ${id} is over since ${since}; nothing is set aside by it`,
        );
      }
      // It takes customers' data out.
      const entry = { ...requestBy(request), action: 'export', orderId: id, scope, concerned: {} };
      await writeAudit(services.db, entry, services.clock.now());
      reply.type('application/x-ndjson; charset=utf-8');
      return reply.send(Readable.from(lines(orders.export(id)), { objectMode: false }));
    },
  );
}

/** In pieces of some 16 kB, because a piece of the stream costs more than a line. */
async function* lines(runs: AsyncIterable<object>): AsyncGenerator<Buffer> {
  const PIECE_CHARACTERS = 16_384;
  let text = '';
  for await (const run of runs) {
    text += `${JSON.stringify(run)}\n`;
    if (text.length < PIECE_CHARACTERS) continue;
    yield Buffer.from(text);
    text = '';
  }
  if (text !== '') yield Buffer.from(text);
}

async function named(services: Services, orders: readonly Order[]) {
  const scopes: readonly NamedScope[] = await nameScopes(
    services.db,
    orders.map(({ scope }) => scope),
  );
  return orders.map((order, index) => orderAnswer(order, scopes[index] ?? {}));
}

type Aside = Pick<OrderCounts, 'runs' | 'deliveries'>;

async function asideOf(orders: Orders, of: readonly Order[]): Promise<Map<number, Aside>> {
  const found = new Map<number, Aside>();
  const waiting = [...of];
  const work = async (): Promise<void> => {
    for (let order = waiting.shift(); order; order = waiting.shift()) {
      found.set(order.id, (await orders.get(order.id)).aside);
    }
  };
  await Promise.all(Array.from({ length: ASIDE_AT_ONCE }, work));
  return found;
}

function ordersOf({ engine }: Services): Orders {
  if (engine.orders) return engine.orders;
  throw new BelfryError('not_found', 'This server takes no orders about queued work');
}
