import type { Context } from '../context.ts';
import { BelfryError, invalidField } from '../lib/errors.ts';
import { isJsonObject } from '../lib/json.ts';
import { type By, byItself, writeAudit } from './audit.ts';

/** What an account, or an API key, may send at the most; absent: no limit of its own. */
export type AcceptLimits = {
  readonly requests_per_s?: number;
  /** Recipient runs of its triggers. */
  readonly runs_per_s?: number;
  /** Of request bodies. */
  readonly bytes_per_s?: number;
};

export const limitNames = ['requests_per_s', 'runs_per_s', 'bytes_per_s'] as const;

const MOST = 1e12;

const statements = {
  account: `
    update account
    set limits = jsonb_strip_nulls(limits || $2)
    where name = $1
    returning id, limits`,
  key: `
    update api_key
    set limits = jsonb_strip_nulls(limits || $2)
    where id = $1
    returning id, limits`,
};

/** An account by its name, or an API key by its id (`key_12`), and the limits that change. */
export type ChangeLimits = ({ readonly account: string } | { readonly key: string }) & {
  /** A number sets a limit, null lifts it, what is not named stays. */
  readonly limits: unknown;
};

/**
 * Changes limits and returns all of them; without a change it shows them. The caller makes the process
 * forget what it remembers (`Authentication.forget`); they hold from the next request.
 */
export async function changeLimits(
  ctx: Context,
  input: ChangeLimits,
  by: By = byItself,
): Promise<AcceptLimits> {
  const changes = readChanges(input.limits);
  const isAccount = 'account' in input;
  const whose = isAccount ? input.account : Number(/^key_(\d{1,9})$/.exec(input.key)?.[1] ?? 0);
  return ctx.db.transaction(async (tx) => {
    const [row] = await tx.query<{ readonly id: number; readonly limits: AcceptLimits }>(
      isAccount ? statements.account : statements.key,
      [whose, JSON.stringify(changes)],
    );
    if (!row) {
      throw new BelfryError(
        'resource_missing',
        isAccount
          ? `There is no account ${JSON.stringify(input.account.slice(0, 100))}`
          : `There is no API key ${JSON.stringify(input.key.slice(0, 40))}; belfry keys list shows their ids`,
      );
    }
    if (Object.keys(changes).length > 0) {
      const scope = isAccount ? { accountId: row.id } : { apiKeyId: row.id };
      const entry = { ...by, action: 'limits', scope, concerned: changes };
      await writeAudit(tx, entry, ctx.clock.now());
    }
    return row.limits;
  });
}

function readChanges(limits: unknown): { readonly [name: string]: number | null } {
  if (!isJsonObject(limits)) throw invalidField('body', 'must be an object');
  const changes: { [name: string]: number | null } = {};
  for (const [name, value] of Object.entries(limits)) {
    if (!limitNames.some((known) => known === name)) {
      throw invalidField(name.slice(0, 100), `is no limit; there are ${limitNames.join(', ')}`);
    }
    const fits = value === null || (typeof value === 'number' && value > 0 && value <= MOST);
    if (!fits) throw invalidField(name, 'must be a number above 0, or null for no limit');
    changes[name] = value;
  }
  return changes;
}
