import { Type } from 'typebox';
import { writeAudit } from '../../accounts/audit.ts';
import { findAccount } from '../../accounts/work-scope.ts';
import { invalidField } from '../../lib/errors.ts';
import { MAX_HAND_MS } from '../../ops/quarantine.ts';
import { byFields, requestBy } from '../operator.ts';
import type { App } from '../route.ts';
import { answers, Nullable } from '../schemas.ts';
import type { Services } from '../services.ts';

const DEFAULT_EVENTS = 50;
const MAX_EVENTS = 200;
const DEFAULT_HAND_S = 3_600;
const MAX_HAND_S = MAX_HAND_MS / 1_000;

const tags = ['Operator'];
const config = { access: 'operator' } as const;

const Level = Type.Union([
  Type.Literal('normal'),
  Type.Literal('noisy'),
  Type.Literal('surge'),
  Type.Literal('paused'),
  Type.Literal('reject'),
]);

const Account = Type.Object({ id: Type.Integer(), name: Nullable(Type.String()) });

const Evidence = Type.Object({
  arrivals_per_s: Type.Number({ description: 'In the loudest second.' }),
  normal_per_s: Nullable(Type.Number()),
  factor: Nullable(Type.Number({ description: 'Arrivals over normal.' })),
  queue_share: Type.Number({ description: 'Of all queued runs, 0 to 1.' }),
  queued_runs: Type.Integer(),
  oldest_age_ms: Type.Integer(),
  since: Type.String({ description: 'When it became loud, or else left its level.' }),
  environment: Nullable(Type.Object({ id: Type.Integer(), slug: Nullable(Type.String()) })),
  key: Nullable(
    Type.Object({
      id: Type.String(),
      hint: Type.String({ description: 'The last four characters.' }),
    }),
  ),
  workflow: Nullable(Type.String()),
  source: Nullable(Type.String({ description: 'The address that most of it comes from.' })),
});

const Entry = Type.Object({
  account: Account,
  level: Level,
  shadow: Type.Boolean({ description: 'Decided and recorded, but not done.' }),
  since: Type.String(),
  hand: Nullable(
    Type.Object({
      level: Level,
      author: Type.String(),
      reason: Type.String(),
      until: Type.String(),
    }),
  ),
  line: Type.String({ description: 'Who it is, in one sentence.' }),
  evidence: Evidence,
});

const Event = Type.Object({
  id: Type.String(),
  at: Type.String(),
  account: Account,
  from: Level,
  to: Level,
  because: Type.String(),
  shadow: Type.Boolean(),
  author: Nullable(Type.String()),
  reason: Nullable(Type.String()),
  until: Nullable(Type.String()),
  evidence: Nullable(Evidence),
  line: Type.String(),
});

const ListAnswer = Type.Object({
  mode: Type.Union([Type.Literal('act'), Type.Literal('shadow'), Type.Literal('off')]),
  accounts: Type.Array(Entry, { description: 'Those that are not normal, the strictest first.' }),
  events: Type.Array(Event, { description: 'The newest first.' }),
});

/** Which accounts are in quarantine, why, and by whose decision. */
export function opsQuarantineRoutes(app: App, services: Services): void {
  const { quarantine } = services;
  app.get(
    '/ops/v1/quarantine',
    {
      config,
      schema: {
        description:
          'Lists the accounts that are not normal and the latest changes of level, from memory.',
        tags,
        querystring: Type.Object({
          events: Type.Optional(Type.Integer({ minimum: 0, maximum: MAX_EVENTS })),
        }),
        response: answers({ 200: ListAnswer }),
      },
    },
    async (request, reply) =>
      reply.send({
        mode: quarantine.mode,
        accounts: await quarantine.current(),
        events: [...quarantine.events(request.query.events ?? DEFAULT_EVENTS)],
      }),
  );

  app.post(
    '/ops/v1/quarantine',
    {
      config: { ...config, errors: ['resource_missing', 'conflict'] },
      schema: {
        summary: 'Sets the level of an account by hand',
        description:
          'Sets the level of an account by hand until it expires, or with `automatic` lets the rules decide again. `normal` exempts the account.',
        tags,
        body: Type.Object({
          account: Type.String({ description: 'Name or id.' }),
          level: Type.Union([
            Type.Literal('normal'),
            Type.Literal('surge'),
            Type.Literal('paused'),
            Type.Literal('reject'),
            Type.Literal('automatic'),
          ]),
          ...byFields,
          expires_in_s: Type.Optional(Type.Integer({ minimum: 1, maximum: MAX_HAND_S })),
        }),
        response: answers({
          200: Type.Object({
            account: Account,
            level: Type.String(),
            until: Nullable(Type.String()),
            recorded: Type.Boolean({
              description: 'Written to the database; if not it is done and will be written later.',
            }),
          }),
        }),
      },
    },
    async (request, reply) => {
      const { level, expires_in_s: seconds = DEFAULT_HAND_S } = request.body;
      const by = requestBy(request, request.body);
      if (level !== 'automatic' && !quarantine.can(level)) {
        throw invalidField('level', `cannot be ${level}: this server has no means to do it`);
      }
      const account = await findAccount(services.db, request.body.account);
      const untilMs = services.clock.now() + 1_000 * seconds;
      const until = level === 'automatic' ? null : new Date(untilMs).toISOString();
      const scope = { accountId: account.id };
      const entry = { ...by, action: 'quarantine', scope, concerned: { level, until } };
      // First, so that nothing is done without a line.
      await writeAudit(services.db, entry, services.clock.now());
      const recorded = await quarantine.set({
        accountId: account.id,
        accountName: account.name,
        level,
        ...by,
        untilMs,
      });
      return reply.send({ account, level, until, recorded });
    },
  );
}
