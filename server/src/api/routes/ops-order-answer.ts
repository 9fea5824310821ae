import { Type } from 'typebox';
import type { NamedScope } from '../../accounts/work-scope.ts';
import type { Order, OrderCounts } from '../../engine/engine.ts';
import { Nullable, openObject } from '../schemas.ts';
import { ScopeAnswer } from './ops-scope.ts';

const Sample = Type.Object({
  run_id: Type.String(),
  workflow: Type.String(),
  tenant: Nullable(Type.String()),
  recipient: Type.Union([Type.String(), Type.Object({}, openObject)]),
  accepted_at: Type.String(),
});

const amounts = {
  runs: Type.Integer({ description: 'Recipient runs.' }),
  deliveries: Type.Integer({ description: 'Messages that are not handed to their provider yet.' }),
};

export const CountsAnswer = {
  ...amounts,
  estimated: Type.Boolean({ description: 'Not all of it was read; extrapolated.' }),
  oldest: Nullable(Type.String({ description: 'When the oldest of it was accepted.' })),
  samples: Type.Array(Sample),
};

const orderFields = {
  id: Type.Integer(),
  verb: Type.Union([Type.Literal('hold'), Type.Literal('slow'), Type.Literal('discard')]),
  state: Type.Union([
    Type.Literal('active'),
    Type.Literal('ended', { description: 'Released or replayed.' }),
    Type.Literal('dropped', { description: 'What was discarded is gone.' }),
  ]),
  scope: ScopeAnswer,
  rate: Nullable(Type.Number({ description: 'Runs per second; of a slow.' })),
  author: Type.String(),
  reason: Type.String(),
  created_at: Type.String(),
  expires_at: Nullable(Type.String()),
  ended_at: Nullable(Type.String()),
  ended_by: Nullable(Type.String()),
  end_reason: Nullable(Type.String()),
  dropped_at: Nullable(Type.String()),
};

export const OrderAnswer = Type.Object(orderFields);

export const OrderWithAsideAnswer = Type.Object({
  ...orderFields,
  aside: Nullable(
    Type.Object(amounts, {
      description: 'What is set aside now; null in lists for orders that ended.',
    }),
  ),
});

export const GivenOrderAnswer = Type.Object({
  ...orderFields,
  concerned: Nullable(
    Type.Object(CountsAnswer, {
      description:
        'What it concerned when it was given; null when that could not be counted within two seconds.',
    }),
  ),
});

export function orderAnswer(order: Order, scope: NamedScope) {
  return {
    id: order.id,
    verb: order.verb,
    state: stateOf(order),
    scope,
    rate: order.runsPerSecond,
    author: order.author,
    reason: order.reason,
    created_at: order.createdAt.toISOString(),
    expires_at: order.expiresAt?.toISOString() ?? null,
    ended_at: order.endedAt?.toISOString() ?? null,
    ended_by: order.endedBy,
    end_reason: order.endReason,
    dropped_at: order.droppedAt?.toISOString() ?? null,
  };
}

function stateOf(order: Order): 'active' | 'ended' | 'dropped' {
  if (order.droppedAt) return 'dropped';
  return order.endedAt ? 'ended' : 'active';
}

export function countsAnswer({ runs, deliveries, estimated, oldest, samples }: OrderCounts) {
  return {
    runs,
    deliveries,
    estimated,
    oldest: oldest?.toISOString() ?? null,
    samples: samples.map((sample) => ({
      run_id: sample.runId,
      workflow: sample.workflow,
      tenant: sample.tenant,
      recipient: sample.recipient,
      accepted_at: sample.acceptedAt.toISOString(),
    })),
  };
}
