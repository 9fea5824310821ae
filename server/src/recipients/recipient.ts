import type { EnvironmentContext } from '../context.ts';
import { textArray } from '../db/array-literal.ts';
import { isRefusedStatement } from '../db/database.ts';
import { BelfryError } from '../lib/errors.ts';
import { gathering } from '../lib/gather.ts';
import type { JsonObject } from '../lib/json.ts';
import { type Page, type PageRequest, pageOf } from './page.ts';
import { keyText, type RecipientKey, TENANTS, USERS } from './reference.ts';

export type RecipientRow = {
  readonly collection: string;
  readonly id: string;
  readonly properties: JsonObject;
  readonly created_at: Date;
  readonly updated_at: Date;
};

type Asked = RecipientKey & { readonly ctx: EnvironmentContext };

const MAX_READ = 100;
/** While one is read by the database, the answers of the other are sent. */
const READS = 2;

/** Recipients of an environment that are asked for at the same time are read by one statement. */
const readTogether = gathering<Asked, RecipientRow | undefined>({
  run: async (asked) => {
    const [first] = asked;
    if (!first) return [];
    const keys = [...new Map(asked.map((key) => [keyText(key), key])).values()];
    const rows = await first.ctx.db.query<RecipientRow>(
      {
        name: 'get_recipients',
        text: `
          select r.collection, r.id, r.properties, r.created_at, r.updated_at
          from unnest($2::text[], $3::text[]) as asked (collection, id)
          join recipient r
            on r.environment_id = $1
            and r.collection = asked.collection
            and r.id = asked.id`,
      },
      [
        first.ctx.environment.id,
        textArray(keys.map(({ collection }) => collection)),
        textArray(keys.map(({ id }) => id)),
      ],
    );
    const byName = new Map(rows.map((row) => [keyText(row), row]));
    return asked.map((key) => byName.get(keyText(key)));
  },
  maxItems: MAX_READ,
  maxUnderWay: READS,
  isRefusal: isRefusedStatement,
});

/** Those of these recipients that are there. */
export async function findRecipients(
  ctx: EnvironmentContext,
  keys: readonly RecipientKey[],
): Promise<RecipientRow[]> {
  const group = String(ctx.environment.id);
  const rows = await Promise.all(
    keys.map(({ collection, id }) => readTogether(ctx.db, group, { ctx, collection, id })),
  );
  return rows.filter((row) => row !== undefined);
}

/** The recipient, or a 404. */
export async function getRecipient(
  ctx: EnvironmentContext,
  { collection, id }: RecipientKey,
): Promise<RecipientRow> {
  const row = await readTogether(ctx.db, String(ctx.environment.id), { ctx, collection, id });
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
