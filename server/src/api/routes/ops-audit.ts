import { Type } from 'typebox';
import { listAudit } from '../../accounts/audit.ts';
import { findAccountId } from '../../accounts/work-scope.ts';
import type { App } from '../route.ts';
import { answers, Nullable, openObject } from '../schemas.ts';
import type { Services } from '../services.ts';
import { ScopeAnswer } from './ops-scope.ts';

const DEFAULT_LIMIT = 50;
const MAX_LIMIT = 500;

const Line = Type.Object({
  id: Type.Integer(),
  at: Type.String(),
  author: Type.String(),
  action: Type.String({
    description:
      'hold, slow, discard, release, replay, export, drop, key create, key revoke, account create, environment change, share change, limits, quarantine, variable set, variable unset, branding.',
  }),
  scope: ScopeAnswer,
  order: Nullable(Type.Integer()),
  reason: Type.String(),
  concerned: Type.Object({}, openObject),
});

/** Who did what, when and why. */
export function opsAuditRoutes(app: App, services: Services): void {
  app.get(
    '/ops/v1/audit',
    {
      config: { access: 'operator', errors: ['resource_missing'] },
      schema: {
        summary: 'Lists what was changed, and by whom',
        description:
          'Lists what operators did, what their orders did by themselves, and changes of variables and branding, newest first.',
        tags: ['Operator'],
        querystring: Type.Object({
          account: Type.Optional(Type.String({ description: 'Name or id.' })),
          before: Type.Optional(
            Type.Integer({ minimum: 1, description: '`next` of the page before.' }),
          ),
          limit: Type.Optional(
            Type.Integer({
              minimum: 1,
              maximum: MAX_LIMIT,
              description: `${DEFAULT_LIMIT} by default.`,
            }),
          ),
        }),
        response: answers({
          200: Type.Object({
            entries: Type.Array(Line),
            next: Nullable(Type.Integer({ description: 'Give it as `before` for older ones.' })),
          }),
        }),
      },
    },
    async (request, reply) => {
      const { account, before, limit = DEFAULT_LIMIT } = request.query;
      const accountId =
        account === undefined ? undefined : await findAccountId(services.db, account);
      const entries = await listAudit(services, { accountId, before, limit: limit + 1 });
      const page = entries.slice(0, limit);
      const next = entries.length > limit ? (page.at(-1)?.id ?? null) : null;
      return reply.send({ entries: page, next });
    },
  );
}
