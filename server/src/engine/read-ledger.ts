import type { Queryable } from '../db/database.ts';
import { BelfryError } from '../lib/errors.ts';
import { type LedgerCell, missingRuns } from './ledger/cell.ts';
import type { SettledRuns } from './ledger/executed.ts';
import type { LedgerCheck } from './ledger/ledger.ts';
import { MINUTE_MS, minuteOf } from './ledger/lists.ts';

const MAX_ENTRIES = 1_000;

/** A line of the ledger as callers see it. */
export type LedgerEntry = {
  readonly minute: string;
  readonly account: string;
  readonly environment: string;
  readonly accepted: number;
  readonly done: number;
  readonly pending: number;
  readonly held: number;
  readonly discarded: number;
  readonly failed: number;
  readonly missing: number;
};

export type LedgerAnswer = {
  /** Of the account asked for, or of all. `unchecked`: no check has ended in this server yet. */
  readonly state: 'balanced' | 'gap' | 'unchecked';
  readonly checked_at: string | null;
  readonly gap_runs: number;
  /** However old; at most 1,000. */
  readonly gaps: readonly LedgerEntry[];
  /** Newest first, at most 1,000. */
  readonly entries: readonly LedgerEntry[];
};

/** The ledger of the last minutes: those that are settled, and the rest as the latest check saw it. */
export async function readLedger(
  ctx: { readonly db: Queryable; readonly clock: { readonly now: () => number } },
  input: {
    readonly check: LedgerCheck | undefined;
    readonly account: string | undefined;
    readonly minutes: number;
  },
): Promise<LedgerAnswer> {
  const names = await environmentNames(ctx.db, input.account);
  const from = minuteOf(ctx.clock.now()) - input.minutes;
  const settled = await ctx.db.query<SettledRuns>(
    `select minute, environment_id as "environmentId", accepted, done, failed, discarded
     from ledger_settled
     where minute > $1
       and environment_id = any($2::int[])
     order by minute desc, environment_id
     limit $3`,
    [from, [...names.keys()], MAX_ENTRIES],
  );
  const open = (input.check?.open ?? []).filter((cell) => cell.minute > from);
  const cells = new Map<string, LedgerCell>();
  for (const runs of settled) cells.set(keyOf(runs), { ...runs, ...NOTHING_LEFT });
  for (const cell of open) cells.set(keyOf(cell), cell);
  const entries = (list: Iterable<LedgerCell>): LedgerEntry[] =>
    [...list]
      .sort((a, b) => b.minute - a.minute || a.environmentId - b.environmentId)
      .flatMap((cell) => entryOf(cell, names) ?? [])
      .slice(0, MAX_ENTRIES);
  const gaps = (input.check?.gaps ?? []).filter(
    (cell) => input.account === undefined || names.has(cell.environmentId),
  );
  return {
    state: input.check === undefined ? 'unchecked' : gaps.length > 0 ? 'gap' : 'balanced',
    checked_at: input.check ? new Date(input.check.checkedAtMs).toISOString() : null,
    gap_runs: gaps.reduce((sum, cell) => sum + Math.abs(missingRuns(cell)), 0),
    gaps: entries(gaps),
    entries: entries(cells.values()),
  };
}

const NOTHING_LEFT = { pending: 0, held: 0 } as const;

function keyOf(cell: { readonly minute: number; readonly environmentId: number }): string {
  return `${cell.minute} ${cell.environmentId}`;
}

type Names = ReadonlyMap<number, { readonly account: string; readonly environment: string }>;

function entryOf(cell: LedgerCell, names: Names): LedgerEntry | undefined {
  const name = names.get(cell.environmentId);
  if (!name) return undefined;
  const { accepted, done, pending, held, discarded, failed } = cell;
  return {
    minute: new Date(cell.minute * MINUTE_MS).toISOString(),
    ...name,
    accepted,
    done,
    pending,
    held,
    discarded,
    failed,
    missing: missingRuns(cell),
  };
}

async function environmentNames(db: Queryable, account: string | undefined): Promise<Names> {
  const rows = await db.query<{ id: number; account: string; environment: string }>(
    `select e.id, a.name as account, e.slug as environment
     from environment e
     join account a on a.id = e.account_id
     where $1::text is null
        or a.name = $1`,
    [account ?? null],
  );
  if (account !== undefined && rows.length === 0) {
    throw new BelfryError('resource_missing', `There is no account "${account}".`);
  }
  return new Map(rows.map(({ id, ...name }) => [id, name]));
}
