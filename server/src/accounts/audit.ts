import type { Context } from '../context.ts';
import type { Queryable } from '../db/database.ts';
import type { JsonObject } from '../lib/json.ts';
import { type NamedScope, nameScopes, type WorkScope } from './work-scope.ts';

/** Who does something, and why. */
export type By = {
  readonly author: string;
  /** '' when nobody gave one. */
  readonly reason: string;
};

/** Whatever no operator asked for: the first start, an expiry. */
export const byItself: By = { author: 'belfry', reason: '' };

export type AuditEntry = By & {
  /** One or two words: `hold`, `key revoke`. */
  readonly action: string;
  /** The order that it is about. */
  readonly orderId?: number;
  readonly scope: WorkScope;
  /** What it concerned, as people should see it later; without secrets. */
  readonly concerned: JsonObject;
};

/** Adds a line to the audit log. Call it in the transaction of what it tells of. */
export async function writeAudit(tx: Queryable, entry: AuditEntry, nowMs: number): Promise<void> {
  await tx.query(
    `
    insert into audit_log (at, author, action, order_id, scope, reason, concerned)
    values ($1, $2, $3, $4, $5, $6, $7)`,
    [
      new Date(nowMs),
      entry.author,
      entry.action,
      entry.orderId ?? null,
      JSON.stringify(entry.scope),
      entry.reason,
      JSON.stringify(entry.concerned),
    ],
  );
}

export type AuditLine = {
  readonly id: number;
  readonly at: string;
  readonly author: string;
  readonly action: string;
  readonly scope: NamedScope;
  /** The order that it was about. */
  readonly order: number | null;
  readonly reason: string;
  readonly concerned: JsonObject;
};

export type ListAudit = {
  /** Only what is about this account. */
  readonly accountId?: number | undefined;
  /** Only what came before this line. */
  readonly before?: number | undefined;
  readonly limit: number;
};

type StoredScope = Omit<AuditEntry['scope'], 'acceptedFrom' | 'acceptedBefore'> & {
  readonly acceptedFrom?: string;
  readonly acceptedBefore?: string;
};

type Row = {
  readonly id: number;
  readonly at: Date;
  readonly author: string;
  readonly action: string;
  readonly order_id: number | null;
  readonly scope: StoredScope;
  readonly reason: string;
  readonly concerned: JsonObject;
};

/** The audit log's lines, newest first. An account's are found by reading all: operators do not do much. */
export async function listAudit(ctx: Context, input: ListAudit): Promise<AuditLine[]> {
  const rows = await ctx.db.query<Row>(
    `
    select id, at, author, action, order_id, scope, reason, concerned
    from audit_log
    where ($1::bigint is null or id < $1)
      and ($2::int is null
        or (scope ->> 'accountId')::int = $2
        or (scope ->> 'environmentId')::int in (select id from environment where account_id = $2)
        or (scope ->> 'apiKeyId')::int in (
          select k.id
          from api_key k
          join environment e on e.id = k.environment_id
          where e.account_id = $2
        ))
    order by id desc
    limit $3`,
    [input.before ?? null, input.accountId ?? null, input.limit],
  );
  const scopes = await nameScopes(
    ctx.db,
    rows.map(({ scope }) => withTimes(scope)),
  );
  return rows.map((row, index) => ({
    id: row.id,
    at: row.at.toISOString(),
    author: row.author,
    action: row.action,
    scope: scopes[index] ?? {},
    order: row.order_id,
    reason: row.reason,
    concerned: row.concerned,
  }));
}

function withTimes({ acceptedFrom, acceptedBefore, ...scope }: StoredScope): WorkScope {
  return {
    ...scope,
    ...(acceptedFrom === undefined ? {} : { acceptedFrom: new Date(acceptedFrom) }),
    ...(acceptedBefore === undefined ? {} : { acceptedBefore: new Date(acceptedBefore) }),
  };
}
