import type { Database, Queryable } from '../../db/database.ts';
import type { Clock } from '../../lib/clock.ts';
import { faultPoint } from '../../lib/fault-point.ts';
import type { Logger } from '../../lib/log.ts';
import { foldedRuns, keepSlots, type LiveRuns, liveRuns, unsettledMinutes } from './accepted.ts';
import { cellsOf, type LedgerCell, missingRuns } from './cell.ts';
import { executedRuns, firstKeptMinute, settle, settledRuns } from './executed.ts';
import { LEDGER_DAYS, MINUTE_MS, minuteOf } from './lists.ts';

/** Rows that a check counts, but for one minute that alone has more. */
const BUDGET_ROWS = 500_000;
/** How long a minute is over before its counts are kept for good. */
const SETTLE_MINUTES = 2;
/** Slots may be truncated, and so become visible here, a while after their last chunk. */
const RECENT_MINUTES = 5;
const DAY_MINUTES = 1_440;
/** Gaps that one check writes to the log. */
const LOGGED_GAPS = 20;

/** What the latest check found. */
export type LedgerCheck = {
  readonly checkedAtMs: number;
  /** Runs by which both sides differ, all gaps together. */
  readonly gapRuns: number;
  /** Trigger runs that holds and slows in force set aside. */
  readonly heldRuns: number;
  /** Trigger runs that discards set aside and that can still be replayed. */
  readonly keptRuns: number;
  /** Every environment and minute that does not balance. */
  readonly gaps: readonly LedgerCell[];
  /** Environments and minutes that were compared and are not settled, gaps among them. */
  readonly open: readonly LedgerCell[];
};

export type Ledger = {
  /** Compares both sides. Throws when the database is away. */
  readonly check: () => Promise<LedgerCheck>;
  readonly latest: () => LedgerCheck | undefined;
};

/** A minute that may still change or does not balance. */
type OpenMinute = {
  /** The accept side; what was seen once is expected to stay. */
  readonly runs: readonly LiveRuns[];
  /** What its cells accepted and have pending: as long as it stays, counting again would find the same. */
  readonly signature: string;
  readonly rows: number;
  readonly settleable: boolean;
  /** Undefined: not counted yet. */
  readonly counted?: {
    readonly atMs: number;
    readonly signature: string;
    readonly cells: readonly LedgerCell[];
  };
};

/**
 * The continuous comparison of what was accepted (chunks, and what truncated slots held) with what is
 * recorded as executed (recipient runs), pending (slices without receipts), or set aside.
 */
export function createLedger(options: {
  readonly db: Database;
  readonly clock: Clock;
  readonly log: Logger;
}): Ledger {
  const { db, clock, log } = options;
  let open: ReadonlyMap<number, OpenMinute> = new Map();
  let latest: LedgerCheck | undefined;

  async function check(): Promise<LedgerCheck> {
    const nowMs = clock.now();
    const minutes = await db.transaction((tx) => compare(tx, nowMs, open, latest?.checkedAtMs));
    faultPoint('ledger.after-commit');
    open = minutes;
    const cells = [...minutes.values()].flatMap((minute) => minute.counted?.cells ?? []);
    const gaps = cells.filter((cell) => missingRuns(cell) !== 0);
    const gapRuns = gaps.reduce((sum, cell) => sum + Math.abs(missingRuns(cell)), 0);
    report(gaps, latest?.gaps ?? [], log);
    const live = [...minutes.values()].flatMap(({ runs }) => runs);
    latest = {
      checkedAtMs: nowMs,
      gapRuns,
      heldRuns: live.reduce((sum, { held }) => sum + held, 0),
      keptRuns: live.reduce((sum, { kept }) => sum + kept, 0),
      gaps,
      open: cells,
    };
    return latest;
  }

  return { check, latest: () => latest };
}

/** One snapshot of everything; returns the minutes that stay open. */
async function compare(
  tx: Queryable,
  nowMs: number,
  before: ReadonlyMap<number, OpenMinute>,
  checkedAtMs: number | undefined,
): Promise<Map<number, OpenMinute>> {
  await tx.query('set transaction isolation level repeatable read');
  // Planning for the costs of a table that has never been analyzed takes longer than the work.
  await tx.query('set local jit = off');
  await keepSlots(tx);
  const now = minuteOf(nowMs);
  const horizon = Math.max(now - LEDGER_DAYS * DAY_MINUTES, await firstKeptMinute(tx));
  const minutes = await readMinutes(tx, before, horizon, checkedAtMs);
  const order = [...minutes].sort(
    ([a, left], [b, right]) =>
      Number(isCurrent(left)) - Number(isCurrent(right)) ||
      (left.counted?.atMs ?? 0) - (right.counted?.atMs ?? 0) ||
      a - b,
  );
  let rows = 0;
  for (const [minute, state] of order) {
    const isFirst = rows === 0 && !isCurrent(state);
    if (!isFirst && rows + state.rows > BUDGET_ROWS) continue;
    rows += Math.max(1, state.rows);
    const cells = cellsOf(minute, state.runs, await executedRuns(tx, minute));
    minutes.set(minute, { ...state, counted: { atMs: nowMs, signature: state.signature, cells } });
  }
  return await settleMinutes(tx, minutes, now);
}

/** Counted since it last changed. */
function isCurrent(minute: OpenMinute): boolean {
  return minute.counted?.signature === minute.signature;
}

/** The accept side of every minute that is not settled, with what was counted of it before. */
async function readMinutes(
  tx: Queryable,
  before: ReadonlyMap<number, OpenMinute>,
  horizon: number,
  checkedAtMs: number | undefined,
): Promise<Map<number, OpenMinute>> {
  const known =
    checkedAtMs === undefined ? await unsettledMinutes(tx, horizon) : [...before.keys()];
  const recent = checkedAtMs === undefined ? LAST_MINUTE : minuteOf(checkedAtMs) - RECENT_MINUTES;
  const live = await liveRuns(tx, horizon);
  const wanted = [...new Set([...known, ...live.map((runs) => runs.minute)])];
  const folded = await foldedRuns(tx, wanted, recent);
  const byMinute = new Map<number, Map<number, LiveRuns>>();
  for (const runs of [...live, ...folded]) {
    const { minute, environmentId } = runs;
    if (minute < horizon) continue;
    const cells = byMinute.get(minute) ?? new Map();
    byMinute.set(minute, cells);
    const cell = cells.get(environmentId);
    cells.set(environmentId, {
      minute,
      environmentId,
      accepted: (cell?.accepted ?? 0) + runs.accepted,
      dropped: (cell?.dropped ?? 0) + runs.dropped,
      pending: (cell?.pending ?? 0) + ('pending' in runs ? runs.pending : 0),
      held: (cell?.held ?? 0) + ('held' in runs ? runs.held : 0),
      kept: (cell?.kept ?? 0) + ('kept' in runs ? runs.kept : 0),
    });
  }
  for (const [minute, { runs }] of before) {
    if (minute >= horizon) expectStill(byMinute, minute, runs);
  }
  const settled = new Map(
    (await settledRuns(tx, [...byMinute.keys()])).map((runs) => [
      `${runs.minute} ${runs.environmentId}`,
      runs.accepted,
    ]),
  );
  const minutes = new Map<number, OpenMinute>();
  for (const [minute, cells] of byMinute) {
    const runs = [...cells.values()].sort((a, b) => a.environmentId - b.environmentId);
    const isSettled = runs.every(
      (cell) => settled.get(`${minute} ${cell.environmentId}`) === cell.accepted,
    );
    if (isSettled) continue;
    const counted = before.get(minute)?.counted;
    minutes.set(minute, {
      runs,
      signature: runs
        .map(
          (c) => `${c.environmentId} ${c.accepted} ${c.dropped} ${c.pending} ${c.held} ${c.kept}`,
        )
        .join(),
      rows: runs.reduce((sum, cell) => sum + cell.accepted - cell.dropped - openRuns(cell), 0),
      settleable: runs.every((cell) => openRuns(cell) === 0),
      ...(counted && { counted }),
    });
  }
  return minutes;
}

/** What may still change. */
function openRuns({ pending, held, kept }: LiveRuns): number {
  return pending + held + kept;
}

/** A chunk that vanished without a trace is missed only by those who saw it. */
function expectStill(
  byMinute: Map<number, Map<number, LiveRuns>>,
  minute: number,
  seen: readonly LiveRuns[],
): void {
  const cells = byMinute.get(minute) ?? new Map<number, LiveRuns>();
  byMinute.set(minute, cells);
  for (const runs of seen) {
    const found = cells.get(runs.environmentId);
    const accepted = Math.max(runs.accepted, found?.accepted ?? 0);
    cells.set(runs.environmentId, {
      ...runs,
      dropped: found?.dropped ?? 0,
      pending: found?.pending ?? 0,
      held: found?.held ?? 0,
      kept: found?.kept ?? 0,
      accepted,
    });
  }
}

const LAST_MINUTE = 2 ** 31 - 1;

/** Keeps the counts of minutes that are over, executed and balanced; returns the others. */
async function settleMinutes(
  tx: Queryable,
  minutes: ReadonlyMap<number, OpenMinute>,
  now: number,
): Promise<Map<number, OpenMinute>> {
  const staying = new Map(minutes);
  const settled: LedgerCell[] = [];
  for (const [minute, state] of minutes) {
    const cells = state.counted?.cells ?? [];
    if (!state.settleable || !isCurrent(state) || minute + SETTLE_MINUTES >= now) continue;
    if (cells.some((cell) => missingRuns(cell) !== 0)) continue;
    settled.push(...cells);
    staying.delete(minute);
  }
  if (settled.length > 0) faultPoint('ledger.before-settle');
  await settle(tx, settled);
  if (settled.length > 0) faultPoint('ledger.before-commit');
  return staying;
}

/** A line for each gap that is new or changed, and one when all are closed. */
function report(gaps: readonly LedgerCell[], before: readonly LedgerCell[], log: Logger): void {
  const known = new Set(before.map((cell) => JSON.stringify(cell)));
  const news = gaps.filter((cell) => !known.has(JSON.stringify(cell)));
  for (const cell of news.slice(0, LOGGED_GAPS)) {
    log.error(
      {
        ...cell,
        minute: new Date(cell.minute * MINUTE_MS).toISOString(),
        missing: missingRuns(cell),
      },
      'the ledger has a gap: accepted runs are neither done nor pending, or more are done than accepted',
    );
  }
  if (news.length > LOGGED_GAPS) log.error({ gaps: news.length }, 'the ledger has more gaps');
  if (gaps.length === 0 && before.length > 0) log.info('the ledger balances again');
}
