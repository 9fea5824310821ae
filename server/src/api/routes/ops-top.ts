import { Type } from 'typebox';
import { createReadTop } from '../../ops/top.ts';
import type { App } from '../route.ts';
import { answers, Nullable } from '../schemas.ts';
import type { Services } from '../services.ts';

const rates = {
  runs_per_s: Type.Number(),
  triggers_per_s: Type.Number(),
  refused_per_s: Type.Number({ description: 'Triggers that were answered with an error.' }),
  bytes_per_s: Type.Number(),
};

const EntryAnswer = Type.Object({
  account: Type.Optional(Type.Object({ id: Type.Integer(), name: Nullable(Type.String()) })),
  environment: Type.Optional(Type.Object({ id: Type.Integer(), slug: Nullable(Type.String()) })),
  key: Type.Optional(
    Type.Object({
      id: Type.String(),
      hint: Type.String({ description: 'The last four characters.' }),
    }),
  ),
  workflow: Type.Optional(
    Nullable(Type.String({ description: 'Null: workflows that do not exist.' })),
  ),
  source: Type.Optional(Type.String({ description: 'The address that the requests come from.' })),
  ...rates,
  load_per_s: Type.Number({
    description: 'Accepted runs, and one for each refused or repeated request. An upper bound.',
  }),
  error_per_s: Type.Number({
    description: 'How much of the load may be that of others, who were too many to count apart.',
  }),
  share: Type.Number({ description: 'Of the load of all, 0 to 1.' }),
  normal_per_s: Nullable(
    Type.Number({ description: 'The load of the last hour on average, surges left out.' }),
  ),
  factor: Nullable(
    Type.Number({
      description: 'Load divided by its normal; null while that is unknown or nearly nothing.',
    }),
  ),
  account_factor: Type.Optional(
    Nullable(Type.Number({ description: 'The factor of the whole account.' })),
  ),
  since: Nullable(
    Type.String({ description: 'Since when the load is more than three times its normal.' }),
  ),
});

const TopAnswer = Type.Object({
  at: Type.String(),
  window: Type.String(),
  observed_since: Type.String({
    description: 'The start of this process; of accounts, what is normal may be known from before.',
  }),
  total: Type.Object(rates),
  culprit: Nullable(
    Type.String({ description: 'The account in quarantine that matters most, in one sentence.' }),
  ),
  surges: Type.Array(
    Type.String({ description: 'A surge of at least 5 % of the load, in one sentence.' }),
  ),
  callers: Type.Array(EntryAnswer, {
    description: 'By account, key and workflow together: surges first, then by load.',
  }),
  accounts: Type.Array(
    Type.Intersect([
      EntryAnswer,
      Type.Object({
        refused_by: Type.Record(Type.String(), Type.Integer(), {
          description: 'Requests refused since the start of this process, by budget.',
        }),
        database_ms_per_s: Type.Number({
          description: 'Time for which its requests held connections, over the last 10 seconds.',
        }),
      }),
    ]),
  ),
  environments: Type.Array(EntryAnswer),
  keys: Type.Array(EntryAnswer),
  workflows: Type.Array(EntryAnswer),
  sources: Type.Array(EntryAnswer),
});

/** Who makes the traffic. */
export function opsTopRoutes(app: App, services: Services): void {
  const readTop = createReadTop(services, services.traffic);
  const { quarantine, budgets, clock } = services;
  app.get(
    '/ops/v1/top',
    {
      config: { access: 'operator' },
      schema: {
        description:
          'Tells who makes the traffic, from counters in memory: by account, key, workflow and source address, with how many times its normal and since when.',
        tags: ['Operator'],
        querystring: Type.Object({
          window: Type.Optional(
            Type.Union([Type.Literal('10s'), Type.Literal('1m'), Type.Literal('10m')]),
          ),
          limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100 })),
        }),
        response: answers({ 200: TopAnswer }),
      },
    },
    async (request, reply) => {
      const { window = '10s', limit = 10 } = request.query;
      const [top, quarantined] = await Promise.all([
        readTop({ window, limit }),
        quarantine.current(),
      ]);
      const culprit = quarantined.find((entry) => entry.culprit)?.line ?? null;
      const accounts = top.accounts.map((entry) => {
        const id = entry.account?.id ?? 0;
        return {
          ...entry,
          refused_by: budgets.refusals.of(id, clock.now()),
          database_ms_per_s: Math.round(budgets.database.msPerSecond(id)),
        };
      });
      return reply.send({ ...top, accounts, culprit });
    },
  );
}
