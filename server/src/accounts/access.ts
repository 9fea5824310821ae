import type { Environment, EnvironmentSettings } from '../context.ts';
import type { Queryable } from '../db/database.ts';
import type { AcceptLimits } from './limits.ts';
import type { UserToken } from './user-token.ts';

/** What a key opens. */
export type Access =
  | (KeyAccess & { readonly kind: 'secret' })
  | (KeyAccess & {
      readonly kind: 'public';
      /** The user whom a signed token proved; without one the key may act for any user. */
      readonly userId?: string;
      readonly token?: UserToken;
    })
  | ServiceAccess
  | OperatorAccess;

type KeyAccess = {
  readonly keyId: number;
  /** The key's last four characters. */
  readonly keyHint: string;
  readonly environment: Environment;
  readonly limits: { readonly account: AcceptLimits; readonly key: AcceptLimits };
};

export type ServiceAccess = {
  readonly kind: 'service';
  readonly tokenId: number;
  readonly accountId: number;
  readonly name: string;
};

export type OperatorAccess = {
  readonly kind: 'operator';
  readonly tokenId: number;
  readonly name: string;
};

export type FoundKey =
  | { readonly kind: 'found'; readonly access: Access }
  | { readonly kind: 'revoked' }
  | { readonly kind: 'unknown' };

type Row = {
  readonly kind: Access['kind'];
  readonly id: number;
  readonly hint: string;
  readonly revoked: boolean;
  readonly account_id: number | null;
  readonly name: string | null;
  readonly environment_id: number | null;
  readonly public_id: string | null;
  readonly slug: string | null;
  readonly settings: EnvironmentSettings | null;
  readonly account_limits: AcceptLimits | null;
  readonly key_limits: AcceptLimits | null;
};

const findKeyStatement = {
  name: 'find_key',
  text: `
    select k.kind, k.id, k.hint, k.revoked_at is not null as revoked, e.account_id, null as name,
      e.id as environment_id, e.public_id, e.slug, e.settings,
      a.limits as account_limits, k.limits as key_limits
    from api_key k
    join environment e on e.id = k.environment_id
    join account a on a.id = e.account_id
    where k.hash = $1
    union all
    select 'service', id, hint, revoked_at is not null, account_id, name, null, null, null, null,
      null, null
    from service_token
    where hash = $1
    union all
    select 'operator', id, hint, revoked_at is not null, null, name, null, null, null, null,
      null, null
    from operator_token
    where hash = $1`,
};

/** What the key with this sha-256 (hex) opens. */
export async function findKey(db: Queryable, hash: string): Promise<FoundKey> {
  const [row] = await db.query<Row>(findKeyStatement, [Buffer.from(hash, 'hex')]);
  if (!row) return { kind: 'unknown' };
  if (row.revoked) return { kind: 'revoked' };
  return { kind: 'found', access: accessFromRow(row) };
}

function accessFromRow(row: Row): Access {
  switch (row.kind) {
    case 'operator':
      return { kind: 'operator', tokenId: row.id, name: row.name ?? '' };
    case 'service':
      return {
        kind: 'service',
        tokenId: row.id,
        accountId: row.account_id ?? 0,
        name: row.name ?? '',
      };
    case 'secret':
    case 'public':
      return {
        kind: row.kind,
        keyId: row.id,
        keyHint: row.hint,
        environment: {
          id: row.environment_id ?? 0,
          publicId: row.public_id ?? '',
          accountId: row.account_id ?? 0,
          slug: row.slug ?? '',
          settings: row.settings ?? {},
        },
        limits: { account: row.account_limits ?? {}, key: row.key_limits ?? {} },
      };
  }
}

export type SigningKey = { readonly id: number; readonly pem: string };

/** The public keys with which user tokens of an environment may be signed, newest first, at most 10. */
export async function findSigningKeys(db: Queryable, environmentId: number): Promise<SigningKey[]> {
  return db.query<SigningKey>(
    {
      name: 'find_signing_keys',
      text: `
        select id, public_key_pem as pem
        from signing_key
        where environment_id = $1
          and revoked_at is null
        order by id desc
        limit 10`,
    },
    [environmentId],
  );
}
