import type { Environment, EnvironmentSettings } from '../context.ts';
import type { Queryable } from '../db/database.ts';

/** An account's environment by its slug, or undefined. */
export async function findAccountEnvironment(
  db: Queryable,
  accountId: number,
  slug: string,
): Promise<Environment | undefined> {
  const [row] = await db.query<{
    readonly id: number;
    readonly public_id: string;
    readonly slug: string;
    readonly settings: EnvironmentSettings;
  }>(
    `
    select id, public_id, slug, settings
    from environment
    where account_id = $1
      and slug = $2`,
    [accountId, slug],
  );
  if (!row) return undefined;
  return { id: row.id, publicId: row.public_id, accountId, slug: row.slug, settings: row.settings };
}
