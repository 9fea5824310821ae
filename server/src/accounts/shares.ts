import type { Context } from '../context.ts';
import type { Queryable } from '../db/database.ts';
import { BelfryError, invalidField } from '../lib/errors.ts';
import { type By, byItself, writeAudit } from './audit.ts';
import { findEnvironment } from './environments.ts';
import { findAccountId } from './work-scope.ts';

/** What an account gets of the executors against others, or an environment against the rest of its account. */
export type Share = {
  /** Twice the weight is twice the service while both have work. */
  readonly weight: number;
  /** Assignments that may hold its work at once; null: any number. */
  readonly slots: number | null;
};

export type EnvironmentShare = Share & {
  readonly environmentId: number;
  readonly accountId: number;
  readonly account: Share;
};

const MOST_WEIGHT = 1_000;
const MOST_SLOTS = 10_000;

/**
 * Changes the share of an account (`acme`) or of an environment (`acme/production`); what is not given stays,
 * and with nothing given it is only read. The caller tells the engine (`Engine.reloadShares`), which applies it to what is queued too.
 */
export async function changeShare(
  ctx: Context,
  input: {
    readonly reference: string;
    readonly weight?: number | undefined;
    readonly slots?: number | null | undefined;
  },
  by: By = byItself,
): Promise<Share> {
  const { reference, weight, slots } = input;
  refuseOutside('weight', weight, MOST_WEIGHT);
  refuseOutside('slots', slots ?? undefined, MOST_SLOTS);
  const isChange = weight !== undefined || slots !== undefined;
  return ctx.db.transaction(async (tx) => {
    const environment = reference.includes('/') ? await findEnvironment(tx, reference) : undefined;
    const scope = environment
      ? { accountId: environment.accountId, environmentId: environment.id }
      : { accountId: await findAccountId(tx, reference) };
    const table = environment ? 'environment' : 'account';
    const id = environment?.id ?? scope.accountId;
    const [share] = isChange
      ? await tx.query<Share>(
          `update ${table}
           set weight = coalesce($2::real, weight),
               slots = case when $3::boolean then $4::smallint else slots end
           where id = $1
           returning weight, slots`,
          [id, weight ?? null, slots !== undefined, slots ?? null],
        )
      : await tx.query<Share>(`select weight, slots from ${table} where id = $1`, [id]);
    if (!share) throw new BelfryError('resource_missing', `${reference} is gone`);
    if (isChange) {
      const entry = { ...by, action: 'share change', scope, concerned: share };
      await writeAudit(tx, entry, ctx.clock.now());
    }
    return share;
  });
}

/** The shares of all environments and of their accounts. */
export async function readShares(db: Queryable): Promise<EnvironmentShare[]> {
  const rows = await db.query<{
    id: number;
    account_id: number;
    weight: number;
    slots: number | null;
    account_weight: number;
    account_slots: number | null;
  }>(
    `select e.id, e.account_id, e.weight, e.slots, a.weight as account_weight, a.slots as account_slots
     from environment e
     join account a on a.id = e.account_id`,
  );
  return rows.map((row) => ({
    environmentId: row.id,
    accountId: row.account_id,
    weight: row.weight,
    slots: row.slots,
    account: { weight: row.account_weight, slots: row.account_slots },
  }));
}

function refuseOutside(field: string, value: number | undefined, most: number): void {
  if (value === undefined || (value > 0 && value <= most)) return;
  throw invalidField(field, `must be more than 0 and at most ${most}, but is ${value}`);
}
