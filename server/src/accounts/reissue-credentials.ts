import type { Context } from '../context.ts';
import { DEMO_ACCOUNT } from './bootstrap.ts';
import type { Credentials, EnvironmentCredentials } from './create-account.ts';
import { createKey } from './keys.ts';

/**
 * New credentials of the account `demo`, for a data dir that lost its `credentials.json` (or whose first
 * start ended before it was written). The old keys go on working until somebody revokes them. Undefined
 * when there is no such account any more.
 */
export async function reissueCredentials(ctx: Context): Promise<Credentials | undefined> {
  const rows = await ctx.db.query<{ slug: string; channels: Record<string, string> }>(
    `select e.slug,
            (select jsonb_object_agg(c.key, c.id) from channel c where c.account_id = a.id) as channels
     from environment e
     join account a on a.id = e.account_id
     where a.name = $1
     order by e.position`,
    [DEMO_ACCOUNT],
  );
  if (rows.length === 0) return undefined;
  const account = DEMO_ACCOUNT;
  const environments: Record<string, EnvironmentCredentials> = {};
  for (const { slug, channels } of rows) {
    const of = { account, environment: slug };
    environments[slug] = {
      secret_key: (await createKey(ctx, { kind: 'secret', ...of })).key,
      public_key: (await createKey(ctx, { kind: 'public', ...of })).key,
      signing_key_pem: (await createKey(ctx, { kind: 'signing', ...of })).key,
      channels,
    };
  }
  return {
    account,
    environments,
    service_token: (await createKey(ctx, { kind: 'service', account })).key,
    operator_token: (await createKey(ctx, { kind: 'operator' })).key,
  };
}
