import { type DatabasePool, sqlState } from '../../db/database.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import { courtesyRestMs, createRest } from '../../lib/rest.ts';
import { installCapture, withBriefLocks } from '../capture.ts';
import type { LogSink } from '../log-store.ts';
import { ringBytes, truncateAside, truncateShipped } from '../ring.ts';
import { dropAside, greedyEnvironment, loadAside, nextAside, putAside } from './aside.ts';
import { forgetDeleted } from './forget.ts';
import { loadGapPage, nextGap, noteGap } from './gaps.ts';
import { insertEach } from './insert-each.ts';
import type { LoadedRows } from './load-rows.ts';
import { oneAhead } from './one-ahead.ts';
import {
  beginShipment,
  countOpen,
  endPart,
  endShipment,
  isOfThisCluster,
  jumpToNow,
  movePosition,
  type Position,
  readPosition,
} from './position.ts';
import { loadPart, nextPart, type RingRow } from './ring-parts.ts';

/** Between shipments that had nothing. */
const IDLE_MS = 1_000;
const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 30_000;
/** From which age on the store is behind. */
export const LAGGING_MS = 30_000;
const KEEP_EVERY_MS = 10_000;
/** A mutation of the store rewrites whole parts, however few rows it is about. */
const FORGET_EVERY_MS = 60_000;
const VERIFY_EVERY_MS = 10_000;
/** After a request whose end is unknown; the store ends it after one minute. */
const IN_DOUBT_MS = 120_000;

export type ShipperStats = {
  /** Everything from before is in the store; undefined: not known yet. */
  readonly dataAsOfMs: number | undefined;
  readonly shippedRows: number;
  /** Rows that the store cannot read, whatever we do: left out, and named in the log. */
  readonly refusedRows: number;
  readonly failures: number;
  readonly backlogBytes: number;
  /** Why the store did not take the last batch; undefined: it did. */
  readonly trouble: string | undefined;
  readonly gaps: number;
  /** Deletions that the store has not heard of yet. */
  readonly deletionsOpen: number;
};

export type Shipper = {
  readonly stats: () => ShipperStats;
  /** Looks at once. */
  readonly wake: () => void;
  readonly close: () => Promise<void>;
};

export type ShipperOptions = {
  readonly db: DatabasePool;
  readonly sink: LogSink;
  readonly clock: Clock;
  readonly log: Logger;
  /** From 0 to 1, for pauses. */
  readonly random: () => number;
  /** Then it works a quarter of the time. */
  readonly processorsAreBusy?: () => boolean;
  /** Bytes of the ring from which on its time is refilled from the tables instead. */
  readonly backlogBytes: number;
  /** After a request whose end is unknown nothing is deleted in the store for so long, in milliseconds. */
  readonly inDoubtMs?: number;
  readonly firstRetryMs?: number;
  /** Between deletions in the store, in milliseconds. */
  readonly forgetEveryMs?: number;
};

/** Ships until it is closed. One of a database at a time: the caller sees to that. See README.md. */
export function startShipper(options: ShipperOptions): Shipper {
  const { db, sink, clock, log, random } = options;
  const { rest, wake } = createRest();
  const stats = { shippedRows: 0, refusedRows: 0, failures: 0, backlogBytes: 0 };
  let counts = { gaps: 0, deletionsOpen: 0 };
  let dataAsOfMs: number | undefined;
  let trouble: string | undefined;
  let isClosing = false;
  let isCapturing = false;
  let isPrepared = false;
  let isLying = false;
  let failedInARow = 0;
  let keptMs = 0;
  let forgottenMs = 0;
  /** When it was last seen to have what it took; before the start another shipper saw to that. */
  let verifiedMs = clock.now() - VERIFY_EVERY_MS;
  /** Of the ring, since the last time it was over its bound: all of it is in the position, and cannot be given back yet. */
  let lockedBytes = 0;
  let asideEnvironment = 0;
  /** Who has most of what the shipment under way is about, while the store is behind. */
  let greedy: number | null = null;
  let inDoubtUntilMs = clock.now() + (options.inDoubtMs ?? IN_DOUBT_MS);
  const running = run();

  async function run(): Promise<void> {
    while (!isClosing) {
      let restMs: number;
      try {
        const startedMs = performance.now();
        restMs = (await round()) ? pauseMs(performance.now() - startedMs) : IDLE_MS;
        if (trouble !== undefined) log.info('the log store takes batches again');
        trouble = undefined;
        failedInARow = 0;
      } catch (error) {
        restMs = retryMs();
        failedInARow += 1;
        if (sink.isWithoutTables(error)) isPrepared = false;
        stats.failures += 1;
        // A statement of the database that failed has sent nothing.
        if (sqlState(error) === undefined)
          inDoubtUntilMs = clock.now() + (options.inDoubtMs ?? IN_DOUBT_MS);
        const reason = reasonOf(error);
        if (trouble !== reason)
          log.warn({ reason, restMs }, 'shipping to the log store failed; it is tried again');
        trouble = reason;
      }
      if (restMs > 0 && !isClosing) await rest(restMs);
    }
  }

  /** After work, while there may be more. */
  function pauseMs(workedMs: number): number {
    return options.processorsAreBusy?.() ? courtesyRestMs(workedMs) : 0;
  }

  /** In the store's own words, but for those that quote customers' data: this is logged and shown. */
  function reasonOf(error: unknown): string {
    const code = sink.refusalCode(error);
    if (code === undefined) return error instanceof Error ? error.message : String(error);
    return (
      `the log store cannot read many rows of a batch (its code ${code}): change its tables back to what Belfry made, ` +
      'or name an empty database in BELFRY_LOG_STORE; its system.errors says which value it is about'
    );
  }

  /** Half of it by chance, so that what failed together does not come back together. */
  function retryMs(): number {
    const first = options.firstRetryMs ?? FIRST_RETRY_MS;
    const ms = Math.min(LONGEST_RETRY_MS, first * 2 ** Math.min(failedInARow, 16));
    return ms / 2 + (random() * ms) / 2;
  }

  /** Whether there may be more to do at once. */
  async function round(): Promise<boolean> {
    await capture();
    await keep();
    await prepare();
    let position = await readPosition(db);
    if (!position) return false;
    if (position.target === null) {
      position = await beginShipment(db, position);
      const isBehind = clock.now() - position.shippedAt.getTime() > LAGGING_MS;
      greedy = isBehind ? await greedyEnvironment(db, position, await ringBytes(db)) : null;
    }
    const part = await nextPart(db, position);
    if (part.length > 0) {
      await shipPart(position, part);
      return true;
    }
    position = await endShipment(db, position);
    dataAsOfMs = position.shippedAt.getTime();
    await forget(position);
    return (await shipAside()) || (await shipGap());
  }

  /** Comes first: what is written while the store cannot be reached is in the ring, and the ring is bounded. */
  async function capture(): Promise<void> {
    if (isCapturing) return;
    const before = await readPosition(db);
    await installCapture(db, (tx) => jumpToNow(tx, before?.shippedAt ?? null));
    if (!(await isOfThisCluster(db))) {
      log.warn('the database is of another cluster now: what was written since is looked for');
      await withBriefLocks(db, async (tx) => {
        await tx.query('truncate log_ring');
        await jumpToNow(tx, before?.shippedAt ?? null);
        return true;
      });
    }
    isCapturing = true;
  }

  async function prepare(): Promise<void> {
    if (isPrepared) return;
    const store = await sink.migrate();
    const position = await readPosition(db);
    if (position && position.store !== store) await changeStore(position, store);
    isPrepared = true;
  }

  /** Whatever it has of us, it has not got everything. */
  async function changeStore(position: Position, store: string): Promise<void> {
    log.info({ store }, 'this log store is new: everything that is kept is sent to it');
    await db.transaction(async (tx) => {
      await movePosition(tx, position, 'store = $2', [store]);
      await tx.query('delete from log_gap');
      await tx.query('delete from log_aside');
      await jumpToNow(tx, null);
    });
  }

  async function keep(): Promise<void> {
    if (clock.now() - keptMs < KEEP_EVERY_MS) return;
    keptMs = clock.now();
    if ((await truncateShipped(db, keptMs)) > 0) lockedBytes = 0;
    await truncateAside(db);
    stats.backlogBytes = await ringBytes(db);
    counts = await countOpen(db);
    const position = await readPosition(db);
    if (!position) return;
    dataAsOfMs = position.shippedAt.getTime();
    if (stats.backlogBytes - lockedBytes > options.backlogBytes) await overflow(position);
  }

  async function overflow(position: Position): Promise<void> {
    log.warn(
      { bytes: stats.backlogBytes, since: position.shippedAt },
      'what waits for the log store is over its bound: it is looked for in the tables later',
    );
    await db.transaction(async (tx) => {
      await movePosition(tx, position, 'target = null');
      const [aside] = await tx.query<{ at: Date | null }>('select min(at) as at from log_aside');
      await tx.query('delete from log_aside');
      await jumpToNow(
        tx,
        aside?.at && aside.at < position.shippedAt ? aside.at : position.shippedAt,
      );
    });
    await truncateShipped(db, clock.now());
    await truncateAside(db);
    stats.backlogBytes = await ringBytes(db);
    lockedBytes = stats.backlogBytes;
  }

  async function shipPart(position: Position, part: readonly RingRow[]): Promise<void> {
    const last = part.at(-1);
    if (!last) return;
    const now = greedy === null ? part : part.filter((row) => row.environment !== greedy);
    for await (const rows of oneAhead(loadPart(db, now))) {
      await send(rows, '');
      await verify(rows);
    }
    await db.transaction(async (tx) => {
      if (greedy !== null) await putAside(tx, part, greedy);
      await endPart(tx, position, last);
    });
  }

  async function forget(position: Position): Promise<void> {
    const nowMs = clock.now();
    const { forgetEveryMs = FORGET_EVERY_MS } = options;
    if (nowMs < inDoubtUntilMs || nowMs - forgottenMs < forgetEveryMs) return;
    forgottenMs = nowMs;
    await forgetDeleted(db, sink, position, send);
  }

  async function shipAside(): Promise<boolean> {
    const { environment, rows } = await nextAside(db, asideEnvironment);
    if (rows.length === 0) return false;
    for await (const loaded of oneAhead(loadAside(db, rows))) await send(loaded, '');
    await dropAside(db, rows);
    asideEnvironment = environment;
    return true;
  }

  async function shipGap(): Promise<boolean> {
    const gap = await nextGap(db);
    if (!gap) return false;
    const { rows, done } = await loadGapPage(db, gap);
    // Of its own: the store may have seen these rows, and lost them since.
    if (rows) await send(rows, `gap-${gap.id}-`);
    await done();
    return true;
  }

  async function send(rows: LoadedRows, purpose: string): Promise<void> {
    if (rows.rows === 0) return;
    // It may be in the store's list of tokens and nowhere else.
    const again = isLying ? `-${clock.now()}` : '';
    const refused = await insertEach(
      sink,
      rows,
      `${rows.source}-${purpose}${rows.hash}${again}`,
      log,
    );
    stats.shippedRows += rows.rows - refused;
    stats.refusedRows += refused;
  }

  async function verify({ source, sample }: LoadedRows): Promise<void> {
    if (
      source !== 'message_event' ||
      sample.length === 0 ||
      clock.now() - verifiedMs < VERIFY_EVERY_MS
    )
      return;
    const found = new Set(await sink.eventsAmong(sample));
    const lies = sample.some((id) => !found.has(id));
    // Before it is remembered: a gap that could not be noted is noted with the next look.
    if (lies && !isLying) await noteGap(db, new Date(verifiedMs));
    isLying = lies;
    if (lies) throw new Error('the log store took a batch and does not have it');
    verifiedMs = clock.now();
  }

  return {
    stats: () => ({ ...stats, ...counts, dataAsOfMs, trouble }),
    wake,
    close: async () => {
      isClosing = true;
      wake();
      await running;
      await sink.close();
    },
  };
}
