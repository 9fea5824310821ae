import type { EnvironmentContext } from '../context.ts';
import { BelfryError, invalidField } from '../lib/errors.ts';
import type { Json, JsonObject } from '../lib/json.ts';
import { type Page, type PageRequest, pageOf } from '../recipients/page.ts';
import { parseId } from '../recipients/reference.ts';
import { conditionNeeds } from '../workflows/condition-needs.ts';
import { conditionProblems } from '../workflows/conditions.ts';
import { forget, isNotRead } from './forget.ts';

export const audienceKinds = ['static', 'all_users', 'condition'] as const;

export type AudienceKind = (typeof audienceKinds)[number];

export type Audience = {
  readonly id: number;
  readonly key: string;
  readonly name: string | null;
  readonly kind: AudienceKind;
  readonly conditions: JsonObject | null;
  readonly created_at: Date;
  readonly updated_at: Date;
};

const COLUMNS = 'id, key, name, kind, conditions, created_at, updated_at';

/**
 * Creates the audience or replaces its name and conditions. Its kind stays what it is: 409 for another
 * one. Conditions are those of workflows, over `recipient`.
 */
export async function putAudience(
  ctx: EnvironmentContext,
  input: {
    readonly key: string;
    readonly name?: string | null | undefined;
    readonly kind: AudienceKind;
    readonly conditions?: unknown;
  },
): Promise<Audience> {
  const key = parseId(input.key, 'key');
  const conditions = parseConditions(input.kind, input.conditions);
  const [row] = await ctx.db.query<Audience>(
    `insert into audience as a (environment_id, key, name, kind, conditions)
     values ($1, $2, $3, $4, $5)
     on conflict (environment_id, key) do update
     set name = excluded.name,
         conditions = excluded.conditions,
         updated_at = now()
     where a.kind = excluded.kind
     returning ${COLUMNS}`,
    [
      ctx.environment.id,
      key,
      input.name ?? null,
      input.kind,
      conditions && JSON.stringify(conditions),
    ],
  );
  if (row) return row;
  throw new BelfryError(
    'conflict',
    `The audience ${JSON.stringify(key)} is of another kind than ${input.kind}; delete it first, or use another key`,
  );
}

function parseConditions(kind: AudienceKind, conditions: unknown): JsonObject | null {
  if (kind !== 'condition') {
    if (conditions === undefined || conditions === null) return null;
    throw invalidField('conditions', `are only for the kind "condition", not for "${kind}"`);
  }
  if (conditions === undefined || conditions === null) {
    throw invalidField('conditions', 'are required: {"all": [...]} or {"any": [...]}');
  }
  const problems = [
    ...conditionProblems(conditions, 'conditions'),
    ...(conditionNeeds(conditions as Json)
      ? [{ path: 'conditions', reason: 'are over properties of users, not audiences or messages' }]
      : []),
  ];
  const [first] = problems;
  if (first) {
    throw new BelfryError('invalid_params', `${first.path} ${first.reason}`, {
      fields: problems.map(({ path, reason }) => ({ field: path, message: reason })),
    });
  }
  return conditions as JsonObject;
}

/** The audience, or a 404. */
export async function getAudience(ctx: EnvironmentContext, key: string): Promise<Audience> {
  const found = await findAudience(ctx, key);
  if (found) return found;
  throw new BelfryError(
    'resource_missing',
    `There is no audience ${JSON.stringify(key.slice(0, 200))} in this environment`,
  );
}

async function findAudience(ctx: EnvironmentContext, key: string): Promise<Audience | undefined> {
  const [row] = await ctx.db.query<Audience>(
    `select ${COLUMNS}
     from audience
     where environment_id = $1
       and key = $2`,
    [ctx.environment.id, key],
  );
  return row;
}

/** The audience, made when it does not exist and `create` says so. 422 when it has no members of its own. */
export async function staticAudience(
  ctx: EnvironmentContext,
  input: { readonly key: string; readonly create: boolean },
): Promise<Audience> {
  const key = parseId(input.key, 'key');
  let audience = await findAudience(ctx, key);
  if (!audience && input.create) {
    audience = await putAudience(ctx, { key, kind: 'static' }).catch((error) => {
      // Two requests at once, of which the other made it of another kind.
      if (error instanceof BelfryError && error.code === 'conflict') return undefined;
      throw error;
    });
  }
  audience ??= await getAudience(ctx, key);
  if (audience.kind === 'static') return audience;
  throw invalidField(
    'key',
    `names an audience of the kind "${audience.kind}", which has no members of its own`,
  );
}

/** The audiences by key, a page at a time. */
export async function listAudiences(
  ctx: EnvironmentContext,
  page: PageRequest,
): Promise<Page<Audience>> {
  const isBackward = page.before !== undefined;
  const rows = await ctx.db.query<Audience>(
    `select ${COLUMNS}
     from audience
     where environment_id = $1
       and ($2::text is null or key > $2)
       and ($3::text is null or key < $3)
     order by key ${isBackward ? 'desc' : 'asc'}
     limit $4`,
    [ctx.environment.id, page.after ?? null, page.before ?? null, page.size + 1],
  );
  return pageOf(page, rows, ({ key }) => key);
}

/**
 * Deletes the audience: when it has returned nobody finds it or any of its members, of which the rows become a
 * leftover. What was frozen from it stays. Again is fine.
 */
export async function deleteAudience(ctx: EnvironmentContext, key: string): Promise<void> {
  const isGone = await ctx.db.transaction(async (tx) => {
    const [audience] = await tx.query<{ id: number }>(
      `select id
       from audience
       where environment_id = $1
         and key = $2
       for update`,
      [ctx.environment.id, key],
    );
    return !audience || (await forget(tx, 'audience', [audience.id], isNotRead('audience_id'))) > 0;
  });
  if (isGone) return;
  throw new BelfryError(
    'conflict',
    `A broadcast is being frozen from the audience ${JSON.stringify(key)}; cancel it, or wait until it is frozen`,
  );
}
