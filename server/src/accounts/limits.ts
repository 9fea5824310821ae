import type { Context } from '../context.ts';
import { BelfryError, invalidField } from '../lib/errors.ts';
import { isJsonObject } from '../lib/json.ts';
import { type By, byItself, writeAudit } from './audit.ts';
import { findAccountId } from './work-scope.ts';

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

/** An account by its name or public id, or an API key by its id (`key_12`), and the limits that change. */
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
  return ctx.db.transaction(async (tx) => {
    const scope =
      'account' in input
        ? { accountId: await findAccountId(tx, input.account) }
        : { apiKeyId: keyNumber(input.key) };
    const table = 'accountId' in scope ? 'account' : 'api_key';
    const id = scope.accountId ?? scope.apiKeyId;
    const isChange = Object.keys(changes).length > 0;
    const [row] = isChange
      ? await tx.query<{ readonly limits: AcceptLimits }>(
          `
          update ${table}
          set limits = jsonb_strip_nulls(limits || $2)
          where id = $1
          returning limits`,
          [id, JSON.stringify(changes)],
        )
      : await tx.query<{ readonly limits: AcceptLimits }>(
          `select limits from ${table} where id = $1`,
          [id],
        );
    if (!row) throw missingKey('key' in input ? input.key : input.account);
    if (isChange) {
      const entry = { ...by, action: 'limits change', scope, concerned: changes };
      await writeAudit(tx, entry, ctx.clock.now());
    }
    return row.limits;
  });
}

function keyNumber(id: string): number {
  const digits = /^key_(\d{1,9})$/.exec(id)?.[1];
  if (digits === undefined) throw missingKey(id);
  return Number(digits);
}

function missingKey(id: string): BelfryError {
  return new BelfryError(
    'resource_missing',
    `There is no API key ${JSON.stringify(id.slice(0, 40))}; belfry keys list shows their ids`,
  );
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
