import type { Queryable } from '../../db/database.ts';
import type { OrderScope } from '../engine.ts';

/** Environments of a scope, each with its account. */
export async function environmentsOf(
  db: Queryable,
  { accountId, environmentId, apiKeyId }: OrderScope,
): Promise<ReadonlyMap<number, number>> {
  const rows = await db.query<{ id: number; account_id: number }>(
    `select id, account_id
     from environment
     where ($1::int is null or account_id = $1)
       and ($2::int is null or id = $2)
       and ($3::int is null or id = (select environment_id from api_key where id = $3))`,
    [accountId, environmentId, apiKeyId],
  );
  return new Map(rows.map((row) => [row.id, row.account_id]));
}
