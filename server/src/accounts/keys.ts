import type { Context } from '../context.ts';
import { BelfryError, invalidField } from '../lib/errors.ts';
import { makeSigningKeys } from './create-account.ts';
import { findEnvironment } from './environments.ts';
import {
  insertApiKey,
  insertOperatorToken,
  insertServiceToken,
  insertSigningKey,
} from './insert-key.ts';
import { generateKey, keyHint, keyPrefixes } from './key.ts';

type KeyKind = 'secret' | 'public' | 'signing' | 'service' | 'operator';

/** A key as people may see it: its text is shown once, when it is made. */
export type KeySummary = {
  /** `key_12`, `signing_3`, `service_4` or `operator_5`. */
  readonly id: string;
  readonly kind: KeyKind;
  readonly account: string | null;
  readonly environment: string | null;
  /** The last four characters. */
  readonly hint: string | null;
  readonly created_at: string;
  readonly revoked_at: string | null;
};

export type NewKey = Pick<KeySummary, 'id' | 'kind' | 'account' | 'environment' | 'hint'> & {
  /** The key itself; for kind `signing` the private key as PEM. */
  readonly key: string;
};

type Row = Omit<KeySummary, 'created_at' | 'revoked_at'> & {
  readonly created_at: Date;
  readonly revoked_at: Date | null;
};

/** The keys of every kind, newest first, at most 1,000; filtered by account and environment. */
export async function listKeys(
  ctx: Context,
  input: { readonly account?: string | undefined; readonly environment?: string | undefined },
): Promise<KeySummary[]> {
  const rows = await ctx.db.query<Row>(
    `
    select id, kind, account, environment, hint, created_at, revoked_at
    from (
      select 'key_' || k.id as id, k.kind, a.name as account, e.slug as environment, k.hint,
        k.created_at, k.revoked_at
      from api_key k
      join environment e on e.id = k.environment_id
      join account a on a.id = e.account_id
      union all
      select 'signing_' || k.id, 'signing', a.name, e.slug, null, k.created_at, k.revoked_at
      from signing_key k
      join environment e on e.id = k.environment_id
      join account a on a.id = e.account_id
      union all
      select 'service_' || k.id, 'service', a.name, null, k.hint, k.created_at, k.revoked_at
      from service_token k
      join account a on a.id = k.account_id
      union all
      select 'operator_' || id, 'operator', null, null, hint, created_at, revoked_at
      from operator_token
    ) as key
    where ($1::text is null or account = $1)
      and ($2::text is null or environment = $2)
    order by created_at desc, id
    limit 1000`,
    [input.account ?? null, input.environment ?? null],
  );
  return rows.map((row) => ({
    ...row,
    created_at: row.created_at.toISOString(),
    revoked_at: row.revoked_at?.toISOString() ?? null,
  }));
}

export type CreateKey = {
  readonly kind: KeyKind;
  /** Needed for every kind but `operator`. */
  readonly account?: string | undefined;
  /** Needed for `secret`, `public` and `signing`. */
  readonly environment?: string | undefined;
};

/** Makes a key. Its text is in the answer and nowhere else. */
export async function createKey(ctx: Context, input: CreateKey): Promise<NewKey> {
  const { kind } = input;
  if (kind === 'operator') {
    const key = generateKey(keyPrefixes.operator);
    const id = await insertOperatorToken(ctx.db, 'created', key);
    return {
      id: `operator_${id}`,
      kind,
      account: null,
      environment: null,
      hint: keyHint(key),
      key,
    };
  }
  const account = required('account', input.account);
  if (kind === 'service') {
    const key = generateKey(keyPrefixes.service);
    const id = await insertServiceToken(ctx.db, await accountId(ctx, account), 'created', key);
    return { id: `service_${id}`, kind, account, environment: null, hint: keyHint(key), key };
  }
  const slug = required('environment', input.environment);
  const environment = await findEnvironment(ctx.db, `${account}/${slug}`);
  if (kind === 'signing') {
    const [pair] = await makeSigningKeys(1);
    if (!pair) throw new Error('no signing key was made');
    const id = await insertSigningKey(ctx.db, environment.id, pair.publicKey);
    return {
      id: `signing_${id}`,
      kind,
      account,
      environment: slug,
      hint: null,
      key: pair.privateKey,
    };
  }
  const isTest = slug !== 'production';
  const key = generateKey(keyPrefixes[`${kind}_${isTest ? 'test' : 'live'}`]);
  const id = await insertApiKey(ctx.db, environment.id, kind, key);
  return { id: `key_${id}`, kind, account, environment: slug, hint: keyHint(key), key };
}

const TABLES: ReadonlyMap<string, string> = new Map([
  ['key', 'api_key'],
  ['signing', 'signing_key'],
  ['service', 'service_token'],
  ['operator', 'operator_token'],
]);

// Locks the tokens that are left, in one order: of two that revoke the last two at the same time,
// one waits and finds that the other's is gone.
const revokeOperatorTokenStatement = `
  with living as (
    select id
    from operator_token
    where revoked_at is null
    order by id
    for update
  )
  update operator_token
  set revoked_at = coalesce(revoked_at, now())
  where id = $1
    and (revoked_at is not null or exists (select 1 from living where id <> $1))
  returning id`;

/**
 * Ends a key; again is fine. The last operator token cannot be revoked, because nobody could then
 * make another. The caller makes the process forget what it remembers (`Authentication.forget`).
 */
export async function revokeKey(ctx: Context, input: { readonly id: string }): Promise<void> {
  const match = /^([a-z]+)_(\d{1,9})$/.exec(input.id);
  const table = TABLES.get(match?.[1] ?? '');
  if (!match || !table) throw missingKey(input.id);
  const isOperator = table === 'operator_token';
  const rows = await ctx.db.query(
    isOperator
      ? revokeOperatorTokenStatement
      : `
    update ${table}
    set revoked_at = coalesce(revoked_at, now())
    where id = $1
    returning id`,
    [Number(match[2])],
  );
  if (rows.length > 0) return;
  if (isOperator) {
    const known = await ctx.db.query('select 1 from operator_token where id = $1', [
      Number(match[2]),
    ]);
    if (known.length > 0) {
      throw new BelfryError(
        'conflict',
        `${input.id} is the last operator token; create another one before you revoke it`,
      );
    }
  }
  throw missingKey(input.id);
}

function missingKey(id: string): BelfryError {
  return new BelfryError('resource_missing', `There is no key ${JSON.stringify(id.slice(0, 40))}`);
}

async function accountId(ctx: Context, name: string): Promise<number> {
  const [row] = await ctx.db.query<{ readonly id: number }>(
    `
    select id
    from account
    where name = $1`,
    [name],
  );
  if (!row) throw new BelfryError('resource_missing', `There is no account "${name}"`);
  return row.id;
}

function required(field: string, value: string | undefined): string {
  if (!value) throw invalidField(field, 'is required');
  return value;
}
