import type { Queryable } from '../db/database.ts';
import { BelfryError } from '../lib/errors.ts';
import { keyHash } from './key.ts';

export type FoundApiKey = {
  readonly id: number;
  readonly environmentId: number;
  readonly kind: 'secret' | 'public';
  readonly hint: string;
  readonly account: string;
  readonly environment: string;
};

type Row = Omit<FoundApiKey, 'environmentId'> & {
  readonly account_id: number;
  readonly environment_id: number;
};

const HINT_CHARACTERS = 4;
const SHOWN = 5;

/**
 * The API key that people mean by `key_12`, by its last four characters (`ab12`, or `...ab12` as lists show
 * it) or by its whole text, which is not repeated anywhere. Revoked ones are found too: what they brought may
 * still wait.
 */
export async function findApiKey(
  db: Queryable,
  reference: string,
  within: {
    readonly accountId?: number | undefined;
    readonly environment?: string | undefined;
  } = {},
): Promise<FoundApiKey> {
  const text = reference.replace(/^(?:\.{3}|…)/, '');
  const id = /^key_(\d{1,9})$/.exec(text)?.[1];
  const isHint = text.length === HINT_CHARACTERS;
  const shown = id !== undefined || isHint ? JSON.stringify(text) : 'of this text';
  const rows = await db.query<Row>(
    `
    select k.id, k.kind, k.hint, e.id as environment_id, a.name as account, a.id as account_id,
      e.slug as environment
    from api_key k
    join environment e on e.id = k.environment_id
    join account a on a.id = e.account_id
    where ($1::int is not null and k.id = $1)
      or ($2::text is not null and k.hint = $2)
      or ($3::bytea is not null and k.hash = $3)
    order by k.id
    limit 1000`,
    [
      id === undefined ? null : Number(id),
      isHint ? text : null,
      id === undefined && !isHint ? Buffer.from(keyHash(text), 'hex') : null,
    ],
  );
  if (rows.length === 0) {
    throw new BelfryError(
      'resource_missing',
      `There is no API key ${shown}; name it by its id, its last four characters or its whole text (belfry keys list)`,
    );
  }
  const fitting = rows.filter(
    (row) =>
      (within.accountId === undefined || row.account_id === within.accountId) &&
      (!within.environment || row.environment === within.environment),
  );
  const [found, another] = fitting;
  if (!found) {
    throw new BelfryError(
      'resource_missing',
      `The API key ${shown} is not of this account and environment: there is ${list(rows)}`,
    );
  }
  if (another) {
    throw new BelfryError(
      'conflict',
      `Several API keys end in ${shown}: ${list(fitting)}; name one by its id`,
    );
  }
  const { id: keyId, kind, hint, account, environment, environment_id: environmentId } = found;
  return { id: keyId, environmentId, kind, hint, account, environment };
}

function list(keys: readonly Row[]): string {
  const names = keys
    .slice(0, SHOWN)
    .map(({ id, kind, account, environment }) => `key_${id} (${kind}, ${account}/${environment})`);
  return names.join(', ') + (keys.length > SHOWN ? ', ...' : '');
}
