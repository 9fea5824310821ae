import type { EnvironmentContext } from '../context.ts';
import { BelfryError } from '../lib/errors.ts';
import type { JsonObject } from '../lib/json.ts';
import { type Page, type PageRequest, pageOf } from './page.ts';
import { type RecipientKey, TENANTS, USERS } from './reference.ts';

export type RecipientRow = {
  readonly collection: string;
  readonly id: string;
  readonly properties: JsonObject;
  readonly created_at: Date;
  readonly updated_at: Date;
};

/** The recipient, or a 404. */
export async function getRecipient(
  ctx: EnvironmentContext,
  { collection, id }: RecipientKey,
): Promise<RecipientRow> {
  const [row] = await ctx.db.query<RecipientRow>(
    {
      name: 'get_recipient',
      text: `
        select collection, id, properties, created_at, updated_at
        from recipient
        where environment_id = $1
          and collection = $2
          and id = $3`,
    },
    [ctx.environment.id, collection, id],
  );
  if (row) return row;
  throw new BelfryError(
    'resource_missing',
    `There is no ${recipientNoun(collection)} ${JSON.stringify(id)}`,
  );
}

function recipientNoun(collection: string): string {
  if (collection === USERS) return 'user';
  return collection === TENANTS ? 'tenant' : `object in ${JSON.stringify(collection)} with the id`;
}

/** The recipients of a collection by id, a page at a time. */
export async function listRecipients(
  ctx: EnvironmentContext,
  input: {
    readonly collection: string;
    readonly page: PageRequest;
    /** Only this id, and only those of this name. */
    readonly id?: string | undefined;
    readonly name?: string | undefined;
  },
): Promise<Page<RecipientRow>> {
  const { page } = input;
  const isBackward = page.before !== undefined;
  const rows = await ctx.db.query<RecipientRow>(
    `
    select collection, id, properties, created_at, updated_at
    from recipient
    where environment_id = $1
      and collection = $2
      and ($3::text is null or id > $3)
      and ($4::text is null or id < $4)
      and ($5::text is null or id = $5)
      and ($6::text is null or properties ->> 'name' = $6)
    order by id ${isBackward ? 'desc' : 'asc'}
    limit $7`,
    [
      ctx.environment.id,
      input.collection,
      page.after ?? null,
      page.before ?? null,
      input.id ?? null,
      input.name ?? null,
      page.size + 1,
    ],
  );
  return pageOf(page, rows, (row) => row.id);
}
