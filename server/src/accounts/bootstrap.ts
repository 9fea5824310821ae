import type { Context } from '../context.ts';
import type { Queryable } from '../db/database.ts';
import {
  type CreateAccount,
  type Credentials,
  insertAccount,
  makeSigningKeys,
} from './create-account.ts';
import { insertOperatorToken } from './insert-key.ts';
import { generateKey, keyHash, keyHint, keyPrefixes } from './key.ts';

/** Keys of `development` that are given instead of made. */
export type BootstrapKeys = NonNullable<CreateAccount['keys']>;

export const DEMO_ACCOUNT = 'demo';

// Any number will do, as long as it is the same in every process.
const BOOTSTRAP_LOCK = 0x62656c66;

/**
 * Makes the account `demo` and an operator token in a database that has no account yet, and
 * returns the credentials, which exist nowhere else: `save` keeps them before they become valid,
 * so that a start that is killed leaves no account to which nobody has a key. Undefined when there
 * was an account already; given keys that `development` of `demo` does not have yet are added
 * then. Of several servers that start at once one does it.
 */
export async function bootstrap(
  ctx: Context,
  keys: BootstrapKeys,
  save: (credentials: Credentials) => Promise<void> = async () => {},
): Promise<Credentials | undefined> {
  const exists = await hasAccount(ctx.db);
  const signingKeys = exists ? [] : await makeSigningKeys(2);
  return ctx.db.transaction(async (tx) => {
    await tx.query('select pg_advisory_xact_lock($1)', [BOOTSTRAP_LOCK]);
    if (exists || (await hasAccount(tx))) {
      await addGivenKeys(tx, keys);
      return undefined;
    }
    const credentials = await insertAccount(tx, { name: DEMO_ACCOUNT, keys }, signingKeys);
    const operatorToken = generateKey(keyPrefixes.operator);
    await insertOperatorToken(tx, 'default', operatorToken);
    const made = { ...credentials, operator_token: operatorToken };
    await save(made);
    return made;
  });
}

async function hasAccount(db: Queryable): Promise<boolean> {
  const rows = await db.query(`
    select 1
    from account
    limit 1`);
  return rows.length > 0;
}

async function addGivenKeys(tx: Queryable, keys: BootstrapKeys): Promise<void> {
  const apiKeys = [
    { kind: 'secret', key: keys.secretKey },
    { kind: 'public', key: keys.publicKey },
  ] as const;
  for (const { kind, key } of apiKeys) {
    if (key === undefined) continue;
    await tx.query(
      `
      insert into api_key (environment_id, kind, hash, hint)
      select e.id, $2, $3, $4
      from environment e
      join account a on a.id = e.account_id
      where a.name = $1
        and e.slug = 'development'
      on conflict (hash) do nothing`,
      [DEMO_ACCOUNT, kind, Buffer.from(keyHash(key), 'hex'), keyHint(key)],
    );
  }
  if (keys.serviceToken === undefined) return;
  await tx.query(
    `
    insert into service_token (account_id, name, hash, hint)
    select id, 'bootstrap', $2, $3
    from account
    where name = $1
    on conflict (hash) do nothing`,
    [DEMO_ACCOUNT, Buffer.from(keyHash(keys.serviceToken), 'hex'), keyHint(keys.serviceToken)],
  );
}
