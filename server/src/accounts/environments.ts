import type { Context, Environment, EnvironmentSettings } from '../context.ts';
import type { Queryable } from '../db/database.ts';
import { BelfryError } from '../lib/errors.ts';
import { isUuid } from '../lib/uuid.ts';
import { type By, byItself, writeAudit } from './audit.ts';
import type { AcceptLimits } from './limits.ts';

export type EnvironmentRow = {
  readonly id: number;
  readonly public_id: string;
  readonly account_id: number;
  readonly slug: string;
  readonly settings: EnvironmentSettings;
};

/** The environment with this public id, or of this `account/slug`. */
export async function findEnvironment(db: Queryable, reference: string): Promise<Environment> {
  const [account, slug, rest] = reference.split('/');
  const [row] = isUuid(reference)
    ? await db.query<EnvironmentRow>(
        `
        select id, public_id, account_id, slug, settings
        from environment
        where public_id = $1`,
        [reference],
      )
    : await db.query<EnvironmentRow>(
        `
        select e.id, e.public_id, e.account_id, e.slug, e.settings
        from environment e
        join account a on a.id = e.account_id
        where a.name = $1
          and e.slug = $2`,
        [account, rest === undefined ? (slug ?? '') : ''],
      );
  if (!row) {
    throw new BelfryError(
      'resource_missing',
      `There is no environment ${JSON.stringify(reference.slice(0, 200))}; name it by id or as account/slug`,
    );
  }
  return environmentFromRow(row);
}

/** By the row's number; undefined when there is none. */
export async function findEnvironmentById(
  db: Queryable,
  id: number,
): Promise<Environment | undefined> {
  const [row] = await db.query<EnvironmentRow>(
    {
      name: 'environment_by_id',
      text: `
        select id, public_id, account_id, slug, settings
        from environment
        where id = $1`,
    },
    [id],
  );
  return row && environmentFromRow(row);
}

/**
 * Changes the settings that are given and returns the environment. The caller makes the process
 * forget what it remembers (`Authentication.forget`).
 */
export async function updateEnvironment(
  ctx: Context,
  input: { readonly reference: string; readonly settings: EnvironmentSettings },
  by: By = byItself,
): Promise<Environment> {
  return ctx.db.transaction(async (tx) => {
    const { id, accountId } = await findEnvironment(tx, input.reference);
    const [row] = await tx.query<EnvironmentRow>(
      `
      update environment
      set settings = settings || $2
      where id = $1
      returning id, public_id, account_id, slug, settings`,
      [id, JSON.stringify(input.settings)],
    );
    if (!row) throw new BelfryError('resource_missing', 'The environment is gone');
    const scope = { accountId, environmentId: id };
    const concerned = { settings: Object.keys(input.settings) };
    await writeAudit(
      tx,
      { ...by, action: 'environment change', scope, concerned },
      ctx.clock.now(),
    );
    return environmentFromRow(row);
  });
}

export type AccountSummary = {
  readonly id: string;
  readonly name: string;
  readonly created_at: string;
  readonly limits: AcceptLimits;
  readonly environments: readonly {
    readonly id: string;
    readonly slug: string;
    readonly name: string;
    readonly settings: EnvironmentSettings;
  }[];
};

/** The accounts by name, at most 1,000 after `after`. */
export async function listAccounts(
  ctx: Context,
  input: { readonly after?: string | undefined },
): Promise<AccountSummary[]> {
  const rows = await ctx.db.query<Omit<AccountSummary, 'created_at'> & { created_at: Date }>(
    `
    select a.public_id as id, a.name, a.created_at, a.limits,
      json_agg(
        json_build_object('id', e.public_id, 'slug', e.slug, 'name', e.name, 'settings', e.settings)
        order by e.position
      ) as environments
    from account a
    join environment e on e.account_id = a.id
    where a.name > $1
    group by a.id
    order by a.name
    limit 1000`,
    [input.after ?? ''],
  );
  return rows.map((row) => ({ ...row, created_at: row.created_at.toISOString() }));
}

export function environmentFromRow(row: EnvironmentRow): Environment {
  return {
    id: row.id,
    publicId: row.public_id,
    accountId: row.account_id,
    slug: row.slug,
    settings: row.settings,
  };
}
