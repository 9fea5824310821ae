import type { Database } from '../db/database.ts';
import { lowestUuidAt } from '../lib/address.ts';
import type { Logger } from '../lib/log.ts';
import { timeOrderedUuid } from '../lib/uuid.ts';
import type { BodiesConfig } from './config.ts';
import { type ErasurePosition, eraseBodies, openErasures, type Troubled } from './erase.ts';
import { clearUploads, expireObjects } from './expire.ts';
import { environmentsInSlot, type FoundPack, packsAfter, readBacklog } from './find-packs.ts';
import { giveBackSlot } from './give-back.ts';
import type { GuardedStore } from './guarded-store.ts';
import { moveBatch } from './move-batch.ts';
import type { MoverState } from './mover-state.ts';
import { createRequestBudgets } from './request-budgets.ts';
import { createRests } from './rests.ts';
import { isOpenSlot, SLOT_COUNT, slotsSince, timeOfPack } from './ring.ts';
import { ringBytes } from './ring-gate.ts';
import { type Batch, WaitingPacks } from './waiting-packs.ts';

const BATCHES = 8;
/** Requests a second: of all, of an account. */
const ALL_PER_SECOND = 100;
const ACCOUNT_PER_SECOND = 25;
const ACCOUNT_BURST = 50;
/** Packs that are known at a time, about 150 bytes each. */
const MAX_KNOWN = 200_000;
/** An environment of which so much waits needs no more to be found. */
const ENOUGH_BYTES = 64 * 1024 * 1024;
const ENVIRONMENTS_A_LOOK = 200;
/** Statements that began so long ago are committed, as a rule; the others are found when their slot is to be given back. */
const LATE_COMMIT_MS = 2_000;
const FIRST_REST_MS = 5_000;
const MAX_REST_MS = 60_000;
const ALL = 0;

/** What the mover does, a step at a time; `startMover` repeats them. Steps of one kind must not overlap. */
export type MoverSteps = {
  /** Looks for packs; `more`: it did not get to the end. */
  readonly look: () => Promise<'more' | 'all'>;
  /** Begins to move what is large or old enough, within budgets. */
  readonly startBatches: () => void;
  /** Tries to give back every slot that may be finished. */
  readonly giveBack: () => Promise<void>;
  /** Blanks a page of what was deleted; returns how many are over. */
  readonly erase: () => Promise<number>;
  /** Deletes objects of dropped months. */
  readonly expire: () => Promise<void>;
  /** Deletes objects that nobody recorded. */
  readonly clear: () => Promise<void>;
  readonly measure: () => Promise<void>;
  readonly state: () => MoverState;
  /** Resolves when no batch is under way. */
  readonly settled: () => Promise<void>;
};

type Position = { after: string | undefined; isBehind: boolean };

export function createMoverSteps(ctx: {
  readonly db: Database;
  readonly store: GuardedStore;
  readonly config: BodiesConfig;
  readonly nowMs: () => number;
  readonly random: () => number;
  readonly log: Logger;
  readonly signal: AbortSignal;
}): MoverSteps {
  const { db, store, config, nowMs, signal } = ctx;
  const waiting = new WaitingPacks();
  const positions = new Map<number, Position>();
  const accounts = new Map<number, number>();
  /** Environments with packs in slots that are written to. */
  const current = new Set<number>();
  const underWay = new Map<string, Promise<void>>();
  const used = new Set(Array.from({ length: SLOT_COUNT }, (_, slot) => slot));
  const slotRests = new Map<number, { untilMs: number; ms: number }>();
  const overall = createRequestBudgets({ perSecond: ALL_PER_SECOND, burst: ALL_PER_SECOND, nowMs });
  const budgets = createRequestBudgets({
    perSecond: ACCOUNT_PER_SECOND,
    burst: ACCOUNT_BURST,
    nowMs,
  });
  const rests = createRests(ctx);
  const moved = { objects: 0, packs: 0, bytes: 0 };
  let lookedAtMs: number | undefined;
  const troubled: Troubled = new Map();
  let erasedUntil: ErasurePosition | undefined;
  let slotsGivenBack = 0;
  let keptForDelivery = 0;
  let objectsDeleted = 0;
  let erasuresOpen = 0;
  let ring = 0;
  let isTold = false;
  let backlog: MoverState['backlog'] = { packs: 0, bytes: 0, oldestMs: undefined };

  function add(packs: readonly FoundPack[]): void {
    for (const [environmentId, own] of Map.groupBy(packs, (pack) => pack.environmentId)) {
      waiting.add(environmentId, own);
    }
  }

  async function look(): Promise<'more' | 'all'> {
    const startedMs = nowMs();
    const isFirst = lookedAtMs === undefined;
    const slots = isFirst ? [...used] : slotsSince(lookedAtMs ?? 0, startedMs);
    for (const slot of slots) {
      used.add(slot);
      for (const id of await environmentsInSlot(db, slot)) {
        if (!positions.has(id)) positions.set(id, { after: undefined, isBehind: true });
        else current.add(id);
      }
    }
    const behind = [...positions].flatMap(([id, { isBehind }]) =>
      isBehind && needsMore(id) ? [id] : [],
    );
    const upToDate = [...current].filter((id) => !positions.get(id)?.isBehind);
    current.clear();
    await list(upToDate, slots, startedMs);
    await list(behind.slice(0, ENVIRONMENTS_A_LOOK), EVERY_SLOT, startedMs);
    lookedAtMs = startedMs;
    return [...positions].some(([id, { isBehind }]) => isBehind && needsMore(id)) ? 'more' : 'all';
  }

  function needsMore(environmentId: number): boolean {
    return waiting.count < MAX_KNOWN && waiting.bytesOf(environmentId) < ENOUGH_BYTES;
  }

  async function list(
    environments: readonly number[],
    slots: readonly number[],
    startedMs: number,
  ): Promise<void> {
    await learnAccounts(environments);
    const settledUntil = lowestUuidAt(startedMs - LATE_COMMIT_MS);
    for (let from = 0; from < environments.length; from += ENVIRONMENTS_A_LOOK) {
      const part = environments.slice(from, from + ENVIRONMENTS_A_LOOK);
      const end = waiting.beginLook();
      const pages = await packsAfter(
        db,
        slots,
        part.map((id) => ({ environmentId: id, after: positions.get(id)?.after })),
      );
      part.forEach((id, i) => {
        const page = pages[i];
        const position = positions.get(id);
        if (!page || !position) return;
        add(page.packs);
        const { last } = page;
        if (last !== undefined) [position.after] = [last, settledUntil].sort();
        // What is newer than that is looked at again anyway.
        position.isBehind = page.isFull && position.after !== settledUntil;
      });
      end();
    }
  }

  async function learnAccounts(environments: readonly number[]): Promise<void> {
    const unknown = environments.filter((id) => !accounts.has(id));
    if (unknown.length === 0) return;
    const rows = await db.query<{ id: number; account_id: number }>(
      'select id, account_id from environment where id = any($1::int[])',
      [unknown],
    );
    for (const row of rows) accounts.set(row.id, row.account_id);
  }

  function may(environmentId: number): boolean {
    return overall.waitMs(ALL) === 0 && budgets.waitMs(accounts.get(environmentId) ?? ALL) === 0;
  }

  function spend(environmentId: number): void {
    overall.spend(ALL);
    budgets.spend(accounts.get(environmentId) ?? ALL);
  }

  function startBatches(): void {
    while (!signal.aborted && underWay.size < BATCHES) {
      const batch = waiting.next(nowMs(), may);
      if (!batch) return;
      spend(batch.environmentId);
      const objectId = timeOrderedUuid(nowMs());
      underWay.set(objectId, carry(batch, objectId));
    }
  }

  async function carry(batch: Batch, objectId: string): Promise<void> {
    const outcome = await moveBatch({ ...ctx, rests }, batch, objectId);
    underWay.delete(objectId);
    waiting.done(batch);
    if (outcome === 'moved') {
      moved.objects += 1;
      moved.packs += batch.packs.length;
      moved.bytes += batch.packs.reduce((sum, { size }) => sum + size, 0);
    }
    startBatches();
  }

  async function giveBack(): Promise<void> {
    const isNeeded = ring > config.backlogBytes / 2;
    for (const slot of used) {
      if (signal.aborted) return;
      const rest = slotRests.get(slot);
      if (isOpenSlot(slot, nowMs()) || waiting.isSlotBusy(slot)) continue;
      if (rest && nowMs() < rest.untilMs && !isNeeded) continue;
      const end = waiting.beginLook();
      const outcome = await giveBackSlot(db, slot, {
        isNeeded,
        kept: (count) => {
          keptForDelivery += count;
        },
      });
      if (outcome.is === 'unmoved') {
        await learnAccounts([...new Set(outcome.packs.map((pack) => pack.environmentId))]);
        add(outcome.packs);
      }
      end();
      if (outcome.is === 'undelivered') {
        const ms = Math.min(MAX_REST_MS, (rest?.ms ?? FIRST_REST_MS / 2) * 2);
        slotRests.set(slot, { ms, untilMs: nowMs() + ms });
      } else slotRests.delete(slot);
      if (outcome.is === 'given back') slotsGivenBack += 1;
      if (outcome.is === 'given back' || outcome.is === 'empty') used.delete(slot);
    }
  }

  return {
    look,
    startBatches,
    giveBack,
    erase: async () => {
      const allowed = async (environmentId: number): Promise<boolean> => {
        await learnAccounts([environmentId]);
        if (!may(environmentId)) return false;
        spend(environmentId);
        return true;
      };
      const { done, next } = await eraseBodies({ ...ctx, troubled, may: allowed }, erasedUntil);
      erasedUntil = next;
      return done;
    },
    expire: async () => {
      objectsDeleted += await expireObjects({ db, store, nowMs, signal });
    },
    clear: async () => {
      objectsDeleted += await clearUploads({ db, store, nowMs, signal }, [...underWay.keys()]);
    },
    measure: async () => {
      ring = await ringBytes(db);
      const { packs, bytes, oldest } = await readBacklog(db);
      backlog = { packs, bytes, oldestMs: oldest === null ? undefined : timeOfPack(oldest) };
      erasuresOpen = await openErasures(db);
      const { breaker, lastError } = store.stats();
      if (isTold === (breaker === 'open')) return;
      isTold = breaker === 'open';
      if (isTold)
        ctx.log.warn(lastError ?? {}, 'the object store fails: bodies wait in the database');
      else ctx.log.info('the object store answers again');
    },
    state: () => ({
      backlog,
      ring: { bytes: ring, boundBytes: config.backlogBytes },
      moved: { ...moved },
      slotsGivenBack,
      keptForDelivery,
      erasuresOpen,
      objectsDeleted,
      store: store.stats(),
    }),
    settled: async () => {
      while (underWay.size > 0) await Promise.all(underWay.values());
    },
  };
}

const EVERY_SLOT: readonly number[] = Array.from({ length: SLOT_COUNT }, (_, slot) => slot);
