import type { Context } from '../context.ts';
import type { Queryable } from '../db/database.ts';
import { generateKey, keyHash, keyHint, keyPrefixes } from './key.ts';

/** No account that somebody makes can have this name: theirs begin with a letter or digit. */
export const CANARY_ACCOUNT = '_canary';
const SLUG = 'production';

export type CanaryAccount = {
  readonly accountId: number;
  readonly environmentId: number;
  readonly environmentPublicId: string;
  readonly secretKey: string;
  readonly publicKey: string;
  readonly feedChannelId: string;
  readonly sinkChannelId: string;
};

/**
 * The server's own account, made where it is missing, with new keys, which are kept nowhere: they replace
 * those of the start before. `sinkProvider` is the provider of its channel for deliveries.
 */
export async function prepareCanaryAccount(
  ctx: Context,
  sinkProvider: string,
): Promise<CanaryAccount> {
  const secretKey = generateKey(keyPrefixes.secret_live);
  const publicKey = generateKey(keyPrefixes.public_live);
  return ctx.db.transaction(async (tx) => {
    await tx.query(
      `
      insert into account (name)
      values ($1)
      on conflict (name) do nothing`,
      [CANARY_ACCOUNT],
    );
    await tx.query(
      `
      insert into environment (account_id, slug, name, position)
      select id, $2, 'Production', 0
      from account
      where name = $1
      on conflict (account_id, slug) do nothing`,
      [CANARY_ACCOUNT, SLUG],
    );
    const [row] = await tx.query<{ id: number; public_id: string; account_id: number }>(
      `
      select e.id, e.public_id, e.account_id
      from environment e
      join account a on a.id = e.account_id
      where a.name = $1
        and e.slug = $2
      for update`,
      [CANARY_ACCOUNT, SLUG],
    );
    if (!row) throw new Error('the account of the canary could not be made');
    await replaceKey(tx, row.id, 'secret', secretKey);
    await replaceKey(tx, row.id, 'public', publicKey);
    const channel = (key: string, type: string, provider: string) =>
      ensureChannel(tx, row.account_id, { key, type, provider });
    return {
      accountId: row.account_id,
      environmentId: row.id,
      environmentPublicId: row.public_id,
      secretKey,
      publicKey,
      feedChannelId: await channel('in-app', 'in_app_feed', 'in_app_feed_knock'),
      sinkChannelId: await channel('sink', 'http', sinkProvider),
    };
  });
}

/** The row stays, so that starts leave no heap of revoked keys behind. */
async function replaceKey(
  tx: Queryable,
  environmentId: number,
  kind: 'secret' | 'public',
  key: string,
): Promise<void> {
  await tx.query(
    `
    with replaced as (
      update api_key
      set hash = $3, hint = $4, revoked_at = null
      where id = (
        select min(id)
        from api_key
        where environment_id = $1
          and kind = $2
      )
      returning id
    )
    insert into api_key (environment_id, kind, hash, hint)
    select $1, $2, $3, $4
    where not exists (select from replaced)`,
    [environmentId, kind, Buffer.from(keyHash(key), 'hex'), keyHint(key)],
  );
}

async function ensureChannel(
  tx: Queryable,
  accountId: number,
  channel: { readonly key: string; readonly type: string; readonly provider: string },
): Promise<string> {
  const [row] = await tx.query<{ id: string }>(
    `
    insert into channel (account_id, key, name, type, provider)
    values ($1, $2, $2, $3, $4)
    on conflict (account_id, key) do update
    set provider = excluded.provider
    returning id`,
    [accountId, channel.key, channel.type, channel.provider],
  );
  if (!row) throw new Error('insert returned no row');
  return row.id;
}
