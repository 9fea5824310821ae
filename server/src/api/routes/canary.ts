import { Type } from 'typebox';
import { canaryStages } from '../../ops/canary.ts';
import type { App } from '../route.ts';
import { answers, Nullable } from '../schemas.ts';
import type { Services } from '../services.ts';

const Stage = Type.Union(canaryStages.map((stage) => Type.Literal(stage)));

const Answer = Type.Object({
  state: Type.Union(
    ['off', 'starting', 'alive', 'late', 'silent'].map((state) => Type.Literal(state)),
    {
      description: '`late`: the last beat is missing; `silent`: two or more in a row are.',
    },
  ),
  interval_seconds: Nullable(Type.Number()),
  missed_in_a_row: Type.Integer(),
  last_complete_at: Nullable(Type.String()),
  last: Nullable(
    Type.Object({
      at: Type.String(),
      stages_ms: Type.Record(Type.String(), Type.Number(), {
        description: 'Milliseconds from the trigger until the stage was reached.',
      }),
      missing: Type.Array(Stage),
      error: Nullable(Type.String()),
    }),
  ),
});

/** Whether the server's own triggers get through, and how fast. */
export function canaryRoutes(app: App, services: Services): void {
  app.get(
    '/ops/v1/canary',
    {
      config: { access: 'operator' },
      schema: {
        description:
          'The server triggers a workflow of its own again and again: the last time, how long each stage took, and whether one is silent.',
        tags: ['Operator'],
        response: answers({ 200: Answer }),
      },
    },
    async (_request, reply) => {
      const status = services.canary?.()?.status();
      const last = status?.last;
      return reply.send({
        state: status?.state ?? 'off',
        interval_seconds: status ? status.intervalMs / 1_000 : null,
        missed_in_a_row: status?.missedInARow ?? 0,
        last_complete_at: timeOf(status?.lastCompleteMs),
        last: last
          ? {
              at: new Date(last.atMs).toISOString(),
              stages_ms: Object.fromEntries(
                Object.entries(last.stages).map(([stage, ms]) => [stage, Math.round(ms * 10) / 10]),
              ),
              missing: [...last.missing],
              error: last.error ?? null,
            }
          : null,
      });
    },
  );
}

function timeOf(ms: number | undefined): string | null {
  return ms === undefined ? null : new Date(ms).toISOString();
}
