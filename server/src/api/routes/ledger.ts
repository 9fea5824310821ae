import { Type } from 'typebox';
import { readLedger } from '../../engine/read-ledger.ts';
import type { App } from '../route.ts';
import { answers, Nullable } from '../schemas.ts';
import type { Services } from '../services.ts';

const DEFAULT_MINUTES = 15;
const MAX_MINUTES = 1_440;

const Entry = Type.Object({
  minute: Type.String({ description: 'Start of the minute in which the runs were accepted.' }),
  account: Type.String(),
  environment: Type.String(),
  accepted: Type.Integer(),
  done: Type.Integer({ description: 'Runs whose first execution is recorded.' }),
  pending: Type.Integer(),
  held: Type.Integer(),
  discarded: Type.Integer(),
  failed: Type.Integer({ description: 'Runs whose first execution ended them with an error.' }),
  missing: Type.Integer({
    description:
      'Accepted and in no other column; negative when there are more than were accepted.',
  }),
});

const Answer = Type.Object({
  state: Type.Union([
    Type.Literal('balanced'),
    Type.Literal('gap'),
    Type.Literal('unchecked', { description: 'No check has ended in this server yet.' }),
  ]),
  checked_at: Nullable(Type.String()),
  gap_runs: Type.Integer(),
  gaps: Type.Array(Entry, { description: 'However old, at most 1,000.' }),
  entries: Type.Array(Entry, { description: 'Newest first, at most 1,000.' }),
});

/** What became of all accepted work, by environment and minute. */
export function ledgerRoutes(app: App, services: Services): void {
  app.get(
    '/ops/v1/ledger',
    {
      config: { access: 'operator', errors: ['resource_missing'] },
      schema: {
        summary: 'Compares what was accepted with what became of it',
        description:
          'Compares what was accepted with what is done, pending, held, discarded or failed, in recipient runs by environment and minute of acceptance.',
        tags: ['Operator'],
        querystring: Type.Object({
          account: Type.Optional(Type.String()),
          minutes: Type.Optional(
            Type.Integer({
              minimum: 1,
              maximum: MAX_MINUTES,
              description: `How many minutes of entries; ${DEFAULT_MINUTES} by default.`,
            }),
          ),
        }),
        response: answers({ 200: Answer }),
      },
    },
    async (request, reply) => {
      const { account, minutes = DEFAULT_MINUTES } = request.query;
      const check = services.engine.ledger?.();
      return reply.send(await readLedger(services, { check, account, minutes }));
    },
  );
}
