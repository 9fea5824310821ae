import type { Context } from '../context.ts';
import type { Queryable } from '../db/database.ts';
import { BelfryError, invalidField } from '../lib/errors.ts';
import { type By, byItself, writeAudit } from './audit.ts';
import { makeSigningKeys, type SigningKeyPair } from './create-account.ts';
import { findEnvironment } from './environments.ts';
import { findApiKey } from './find-api-key.ts';
import {
  insertApiKey,
  insertOperatorToken,
  insertServiceToken,
  insertSigningKey,
} from './insert-key.ts';
import { generateKey, keyHint, keyPrefixes } from './key.ts';
import { findAccountId } from './work-scope.ts';

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
  /** Of a service or operator token. */
  readonly name: string | null;
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

const allKeys = `
    select 'key_' || k.id as id, k.kind, a.name as account, e.slug as environment, k.hint,
      null::text as name, k.created_at, k.revoked_at, a.id as account_id, e.id as environment_id
    from api_key k
    join environment e on e.id = k.environment_id
    join account a on a.id = e.account_id
    union all
    select 'signing_' || k.id, 'signing', a.name, e.slug, null, null,
      k.created_at, k.revoked_at, a.id, e.id
    from signing_key k
    join environment e on e.id = k.environment_id
    join account a on a.id = e.account_id
    union all
    select 'service_' || k.id, 'service', a.name, null, k.hint, k.name,
      k.created_at, k.revoked_at, a.id, null
    from service_token k
    join account a on a.id = k.account_id
    union all
    select 'operator_' || id, 'operator', null, null, hint, name, created_at, revoked_at, null, null
    from operator_token`;

/** The keys of every kind, newest first, at most 1,000; filtered by account and environment. */
export async function listKeys(
  ctx: Context,
  input: { readonly account?: string | undefined; readonly environment?: string | undefined },
): Promise<KeySummary[]> {
  const rows = await ctx.db.query<Row>(
    `
    select id, kind, account, environment, hint, name, created_at, revoked_at
    from (${allKeys}
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
  /** Of an `operator` or `service` token: whose it is. An operator's may not be an author that the server has itself. */
  readonly name?: string | undefined;
};

/** Makes a key. Its text is in the answer and nowhere else. */
export async function createKey(
  ctx: Context,
  input: CreateKey,
  by: By = byItself,
): Promise<NewKey> {
  const [pair] = input.kind === 'signing' ? await makeSigningKeys(1) : [];
  return ctx.db.transaction(async (tx) => {
    const { key, of } = await insertKey(tx, input, pair);
    const { id, kind, hint } = key;
    await writeAudit(
      tx,
      { ...by, action: 'key create', scope: of, concerned: { key: id, kind, hint } },
      ctx.clock.now(),
    );
    return key;
  });
}

/** Authors that the audit log has of its own: the server, its quarantine, tokens without a name, accounts' tokens. */
const SYSTEM_AUTHOR =
  /^(belfry|quarantine|(operator|service)_\d+)$|\((quarantine|(operator|service)_\d+)\)$/i;

type Owner = { readonly accountId?: number; readonly environmentId?: number };

async function insertKey(
  tx: Queryable,
  input: CreateKey,
  pair: SigningKeyPair | undefined,
): Promise<{ readonly key: NewKey; readonly of: Owner }> {
  const { kind, name = 'created' } = input;
  if (kind === 'operator') {
    if (SYSTEM_AUTHOR.test(name.trim())) {
      throw invalidField(
        'name',
        `${JSON.stringify(name.slice(0, 40))} is how the audit log names what no token of that name did; choose another`,
      );
    }
    const key = generateKey(keyPrefixes.operator);
    const id = `operator_${await insertOperatorToken(tx, name, key)}`;
    const owner = { account: null, environment: null };
    return { key: { id, kind, ...owner, hint: keyHint(key), key }, of: {} };
  }
  const account = required('account', input.account);
  if (kind === 'service') {
    const key = generateKey(keyPrefixes.service);
    const accountId = await findAccountId(tx, account);
    const id = `service_${await insertServiceToken(tx, accountId, name, key)}`;
    const owner = { account, environment: null };
    return { key: { id, kind, ...owner, hint: keyHint(key), key }, of: { accountId } };
  }
  const slug = required('environment', input.environment);
  const { id: environmentId, accountId } = await findEnvironment(tx, `${account}/${slug}`);
  const owner = { account, environment: slug };
  const of = { accountId, environmentId };
  if (pair) {
    const id = `signing_${await insertSigningKey(tx, environmentId, pair.publicKey)}`;
    return { key: { id, kind, ...owner, hint: null, key: pair.privateKey }, of };
  }
  if (kind === 'signing') throw new Error('no signing key was made');
  const isTest = slug !== 'production';
  const key = generateKey(keyPrefixes[`${kind}_${isTest ? 'test' : 'live'}`]);
  const id = `key_${await insertApiKey(tx, environmentId, kind, key)}`;
  return { key: { id, kind, ...owner, hint: keyHint(key), key }, of };
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

export type RevokedKey = Pick<KeySummary, 'id' | 'kind' | 'account' | 'environment' | 'hint'>;

/**
 * Ends a key, named by its id or, an API key, by its last four characters; again is fine. The last operator
 * token cannot be revoked, because nobody could then make another. The caller makes the process forget what
 * it remembers (`Authentication.forget`).
 */
export async function revokeKey(
  ctx: Context,
  input: { readonly id: string },
  by: By = byItself,
): Promise<RevokedKey> {
  const id = isKeyId(input.id) ? input.id : `key_${(await findApiKey(ctx.db, input.id)).id}`;
  return ctx.db.transaction(async (tx) => {
    await revoke(tx, id);
    const [key] = await tx.query<RevokedKey & Owner>(
      `
      select id, kind, account, environment, hint, account_id as "accountId",
        environment_id as "environmentId"
      from (${allKeys}) as key
      where id = $1`,
      [id],
    );
    if (!key) throw missingKey(id);
    const { accountId, environmentId, ...revoked } = key;
    const apiKeyId = /^key_(\d+)$/.exec(id)?.[1];
    const scope = {
      ...(accountId && { accountId }),
      ...(environmentId && { environmentId }),
      ...(apiKeyId && { apiKeyId: Number(apiKeyId) }),
    };
    const { kind, hint } = revoked;
    await writeAudit(
      tx,
      { ...by, action: 'key revoke', scope, concerned: { key: id, kind, hint } },
      ctx.clock.now(),
    );
    return revoked;
  });
}

function isKeyId(text: string): boolean {
  return TABLES.has(/^([a-z]+)_\d{1,9}$/.exec(text)?.[1] ?? '');
}

async function revoke(tx: Queryable, id: string): Promise<void> {
  const [kind = '', number] = id.split('_');
  const table = TABLES.get(kind);
  const isOperator = table === 'operator_token';
  const rows = await tx.query(
    isOperator
      ? revokeOperatorTokenStatement
      : `
    update ${table}
    set revoked_at = coalesce(revoked_at, now())
    where id = $1
    returning id`,
    [Number(number)],
  );
  if (rows.length > 0) return;
  if (isOperator) {
    const known = await tx.query('select 1 from operator_token where id = $1', [Number(number)]);
    if (known.length > 0) {
      throw new BelfryError(
        'conflict',
        `${id} is the last operator token; create another one before you revoke it`,
      );
    }
  }
  throw missingKey(id);
}

function missingKey(id: string): BelfryError {
  return new BelfryError('resource_missing', `There is no key ${JSON.stringify(id.slice(0, 40))}`);
}

function required(field: string, value: string | undefined): string {
  if (!value) throw invalidField(field, 'is required');
  return value;
}
