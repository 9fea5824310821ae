import type { Queryable } from '../../db/database.ts';
import type { OrderScope, OrderVerb } from '../engine.ts';

/** An order that is in force, as it is applied to work. */
export type Rule = {
  readonly id: number;
  readonly verb: OrderVerb;
  readonly scope: OrderScope;
  /** Of a slow. */
  readonly runsPerSecond: number | null;
};

/** The orders in force, in the order in which they are asked, and the number that says whether they still are. */
export type Governance = { readonly version: number; readonly rules: readonly Rule[] };

/** What orders ask of a trigger. */
export type TriggerFacts = {
  readonly environmentId: number;
  readonly accountId: number | undefined;
  readonly apiKeyId: number | undefined;
  readonly workflow: string;
  readonly tenant: string | null;
  readonly acceptedMs: number;
};

/** Where the columns of a scope are, in SQL. */
export const SCOPE_COLUMNS = `account_id, environment_id, api_key_id, workflow_key, tenant, accepted_from,
  accepted_before`;

export type ScopeRow = {
  readonly account_id: number | null;
  readonly environment_id: number | null;
  readonly api_key_id: number | null;
  readonly workflow_key: string | null;
  readonly tenant: string | null;
  readonly accepted_from: Date | null;
  readonly accepted_before: Date | null;
};

export function scopeOfRow(row: ScopeRow): OrderScope {
  return {
    ...(row.account_id === null ? {} : { accountId: row.account_id }),
    ...(row.environment_id === null ? {} : { environmentId: row.environment_id }),
    ...(row.api_key_id === null ? {} : { apiKeyId: row.api_key_id }),
    ...(row.workflow_key === null ? {} : { workflow: row.workflow_key }),
    ...(row.tenant === null ? {} : { tenant: row.tenant }),
    ...(row.accepted_from === null ? {} : { acceptedFrom: row.accepted_from }),
    ...(row.accepted_before === null ? {} : { acceptedBefore: row.accepted_before }),
  };
}

/** The orders in force and their number, from one snapshot. */
export async function loadGovernance(db: Queryable): Promise<Governance> {
  type Row = ScopeRow & {
    readonly version: number;
    readonly id: number | null;
    readonly verb: OrderVerb;
    readonly runs_per_second: number | null;
  };
  const rows = await db.query<Row>(
    `select version, id, verb, runs_per_second, ${SCOPE_COLUMNS}
     from governance
     left join work_order on ended_at is null and cleared_at is null
     order by array_position(array['discard', 'hold', 'slow'], verb), runs_per_second, id`,
  );
  const rules = rows.flatMap((row) =>
    row.id === null
      ? []
      : [
          {
            id: row.id,
            verb: row.verb,
            scope: scopeOfRow(row),
            runsPerSecond: row.runs_per_second,
          },
        ],
  );
  return { version: rows[0]?.version ?? 0, rules };
}

/**
 * The order that a trigger's work is set aside by, if one is. Work that a slow let go is not asked about slows: the
 * rate of one is enough. Work of another order in force was let go by nobody, and is set aside again.
 */
export function ruleFor(
  rules: readonly Rule[],
  facts: TriggerFacts,
  ownOrderId: number | undefined,
): Rule | undefined {
  if (rules.length === 0) return undefined;
  const own = ownOrderId === undefined ? undefined : rules.find((rule) => rule.id === ownOrderId);
  return rules.find(
    (rule) => !(rule.verb === 'slow' && own?.verb === 'slow') && isInScope(rule.scope, facts),
  );
}

export function isInScope(scope: OrderScope, facts: TriggerFacts): boolean {
  const is = <Value>(wanted: Value | undefined, value: Value | undefined | null): boolean =>
    wanted === undefined || wanted === value;
  return (
    is(scope.environmentId, facts.environmentId) &&
    is(scope.accountId, facts.accountId) &&
    is(scope.apiKeyId, facts.apiKeyId) &&
    is(scope.workflow, facts.workflow) &&
    is(scope.tenant, facts.tenant) &&
    (scope.acceptedFrom === undefined || facts.acceptedMs >= scope.acceptedFrom.getTime()) &&
    (scope.acceptedBefore === undefined || facts.acceptedMs < scope.acceptedBefore.getTime())
  );
}
