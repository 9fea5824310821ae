import type { Queryable } from '../db/database.ts';
import { keyHash, keyHint } from './key.ts';

export function insertApiKey(
  tx: Queryable,
  environmentId: number,
  kind: 'secret' | 'public',
  key: string,
): Promise<number> {
  return insertOne(
    tx,
    `
    insert into api_key (environment_id, kind, hash, hint)
    values ($1, $2, $3, $4)
    returning id`,
    [environmentId, kind, Buffer.from(keyHash(key), 'hex'), keyHint(key)],
  );
}

export function insertServiceToken(
  tx: Queryable,
  accountId: number,
  name: string,
  token: string,
): Promise<number> {
  return insertOne(
    tx,
    `
    insert into service_token (account_id, name, hash, hint)
    values ($1, $2, $3, $4)
    returning id`,
    [accountId, name, Buffer.from(keyHash(token), 'hex'), keyHint(token)],
  );
}

export function insertOperatorToken(tx: Queryable, name: string, token: string): Promise<number> {
  return insertOne(
    tx,
    `
    insert into operator_token (name, hash, hint)
    values ($1, $2, $3)
    returning id`,
    [name, Buffer.from(keyHash(token), 'hex'), keyHint(token)],
  );
}

export function insertSigningKey(
  tx: Queryable,
  environmentId: number,
  publicKeyPem: string,
): Promise<number> {
  return insertOne(
    tx,
    `
    insert into signing_key (environment_id, public_key_pem)
    values ($1, $2)
    returning id`,
    [environmentId, publicKeyPem],
  );
}

/** Runs an `insert ... returning id` of one row. */
export async function insertOne(
  tx: Queryable,
  statement: string,
  values: readonly unknown[],
): Promise<number> {
  const [row] = await tx.query<{ readonly id: number }>(statement, values);
  if (!row) throw new Error('insert returned no row');
  return row.id;
}
