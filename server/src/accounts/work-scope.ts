import type { Queryable } from '../db/database.ts';
import { BelfryError, invalidField } from '../lib/errors.ts';
import { isUuid } from '../lib/uuid.ts';
import { findApiKey } from './find-api-key.ts';

/** Which queued work an order governs: by attributes of the trigger that it came from. */
export type WorkScope = {
  readonly accountId?: number;
  readonly environmentId?: number;
  readonly apiKeyId?: number;
  readonly workflow?: string;
  readonly tenant?: string;
  readonly acceptedFrom?: Date;
  readonly acceptedBefore?: Date;
};

/** The same as an operator writes it. */
export type ScopeReference = {
  /** Name or public id. */
  readonly account?: string | undefined;
  /** Slug, of the account. */
  readonly environment?: string | undefined;
  /** `key_12`, the last four characters, or the whole key. */
  readonly key?: string | undefined;
  readonly workflow?: string | undefined;
  readonly tenant?: string | undefined;
  /** ISO 8601 with a zone. */
  readonly from?: string | undefined;
  readonly to?: string | undefined;
};

/** The same as an operator reads it. */
export type NamedScope = {
  readonly account?: string;
  readonly environment?: string;
  readonly key?: { readonly id: string; readonly hint: string };
  readonly workflow?: string;
  readonly tenant?: string;
  readonly from?: string;
  readonly to?: string;
};

const ZONED_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)$/;
const LISTED = 10;

/**
 * The ids behind the names. Names that nobody has, that several have, or that contradict each other are
 * errors that say what there is.
 */
export async function resolveScope(db: Queryable, reference: ScopeReference): Promise<WorkScope> {
  const { account, environment, key, workflow, tenant } = reference;
  if (!account && !environment && !key) {
    throw invalidField('scope', 'must name an account, an environment or a key');
  }
  if (environment && !account && !key) {
    throw invalidField(
      'scope.account',
      `is required: environment "${environment}" of which account?`,
    );
  }
  const accountId = account ? await findAccountId(db, account) : undefined;
  const environmentId =
    environment && account && accountId !== undefined
      ? await findEnvironmentId(db, { account, accountId, slug: environment })
      : undefined;
  const found = key ? await findApiKey(db, key, { accountId, environment }) : undefined;
  const scope: WorkScope = {
    ...(accountId === undefined ? {} : { accountId }),
    ...(environmentId === undefined ? {} : { environmentId }),
    // A key's work is all in one environment: whoever looks for it need not look elsewhere.
    ...(found === undefined ? {} : { environmentId: found.environmentId, apiKeyId: found.id }),
    ...(workflow ? { workflow } : {}),
    ...(tenant ? { tenant } : {}),
    ...times(reference),
  };
  if (workflow) await expectWorkflow(db, scope, workflow);
  return scope;
}

function times({ from, to }: ScopeReference): Pick<WorkScope, 'acceptedFrom' | 'acceptedBefore'> {
  const acceptedFrom = from ? zonedTime('scope.from', from) : undefined;
  const acceptedBefore = to ? zonedTime('scope.to', to) : undefined;
  if (acceptedFrom && acceptedBefore && acceptedFrom >= acceptedBefore) {
    throw invalidField('scope.to', 'must be later than scope.from');
  }
  return { ...(acceptedFrom && { acceptedFrom }), ...(acceptedBefore && { acceptedBefore }) };
}

function zonedTime(field: string, text: string): Date {
  const time = new Date(text);
  if (ZONED_TIME.test(text) && !Number.isNaN(time.getTime())) return time;
  throw invalidField(
    field,
    `is ${JSON.stringify(text.slice(0, 40))}; write a time with its zone, such as 2026-05-01T04:00:20Z`,
  );
}

/** The account with this name or public id. */
export async function findAccount(
  db: Queryable,
  reference: string,
): Promise<{ readonly id: number; readonly name: string }> {
  const [row] = await db.query<{ readonly id: number; readonly name: string }>(
    `
    select id, name
    from account
    where ${isUuid(reference) ? 'public_id' : 'name'} = $1`,
    [reference],
  );
  if (row) return row;
  throw new BelfryError(
    'resource_missing',
    `There is no account ${quoted(reference)}; GET /ops/v1/accounts lists them, belfry top names those with traffic`,
  );
}

/** The id of the account with this name or public id. */
export async function findAccountId(db: Queryable, reference: string): Promise<number> {
  return (await findAccount(db, reference)).id;
}

async function findEnvironmentId(
  db: Queryable,
  of: { readonly account: string; readonly accountId: number; readonly slug: string },
): Promise<number> {
  const rows = await db.query<{ readonly id: number; readonly slug: string }>(
    `
    select id, slug
    from environment
    where account_id = $1
    order by position
    limit 100`,
    [of.accountId],
  );
  const row = rows.find(({ slug }) => slug === of.slug);
  if (row) return row.id;
  throw new BelfryError(
    'resource_missing',
    `Account ${of.account} has no environment ${quoted(of.slug)}; it has ${rows.map(({ slug }) => slug).join(', ')}`,
  );
}

/** A workflow that was never published has no work; that is more likely a slip of the pen. */
async function expectWorkflow(db: Queryable, scope: WorkScope, key: string): Promise<void> {
  const rows = await db.query<{ readonly key: string }>(
    `
    select distinct w.key, w.key <> $3 as is_other
    from workflow_version w
    join environment e on e.id = w.environment_id
    where ($1::int is null or e.account_id = $1)
      and ($2::int is null or e.id = $2)
    order by is_other, w.key
    limit ${LISTED + 1}`,
    [scope.accountId ?? null, scope.environmentId ?? null, key],
  );
  if (rows[0]?.key === key) return;
  const known = rows.slice(0, LISTED).map((row) => row.key);
  const more = rows.length > LISTED ? ', ...' : '';
  throw new BelfryError(
    'resource_missing',
    `There is no workflow ${quoted(key)} in this scope; ${known.length === 0 ? 'it has none' : `there are ${known.join(', ')}${more}`}`,
  );
}

type NamesRow = {
  readonly position: number;
  readonly account: string | null;
  readonly environment: string | null;
  readonly key_id: number | null;
  readonly hint: string | null;
};

/** Scopes with names instead of ids, in the same order. An environment or a key brings its account. */
export async function nameScopes(
  db: Queryable,
  scopes: readonly WorkScope[],
): Promise<NamedScope[]> {
  if (scopes.length === 0) return [];
  const rows = await db.query<NamesRow>(
    `
    select s.position::int, a.name as account, e.slug as environment, k.id as key_id, k.hint
    from unnest($1::int[], $2::int[], $3::int[])
      with ordinality as s (account_id, environment_id, key_id, position)
    left join api_key k on k.id = s.key_id
    left join environment e on e.id = coalesce(s.environment_id, k.environment_id)
    left join account a on a.id = coalesce(s.account_id, e.account_id)`,
    [
      scopes.map(({ accountId }) => accountId ?? null),
      scopes.map(({ environmentId }) => environmentId ?? null),
      scopes.map(({ apiKeyId }) => apiKeyId ?? null),
    ],
  );
  const named = new Map(rows.map((row) => [row.position, row]));
  return scopes.map((scope, index) => {
    const row = named.get(index + 1);
    const { workflow, tenant, acceptedFrom, acceptedBefore } = scope;
    return {
      ...(row?.account ? { account: row.account } : {}),
      ...(row?.environment ? { environment: row.environment } : {}),
      ...(row?.key_id && row.hint ? { key: { id: `key_${row.key_id}`, hint: row.hint } } : {}),
      ...(workflow === undefined ? {} : { workflow }),
      ...(tenant === undefined ? {} : { tenant }),
      ...(acceptedFrom && { from: acceptedFrom.toISOString() }),
      ...(acceptedBefore && { to: acceptedBefore.toISOString() }),
    };
  });
}

function quoted(text: string): string {
  return JSON.stringify(text.slice(0, 200));
}
