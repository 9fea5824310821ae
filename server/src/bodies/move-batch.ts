import { plainArray } from '../db/array-literal.ts';
import type { Database } from '../db/database.ts';
import { ensurePartitions } from '../db/partitions.ts';
import { faultPoint } from '../lib/fault-point.ts';
import type { Logger } from '../lib/log.ts';
import type { GuardedStore } from './guarded-store.ts';
import { sealObject } from './object-body.ts';
import { objectKey } from './object-key.ts';
import { StoreError } from './object-store.ts';
import type { Rests } from './rests.ts';
import { timeOfPack } from './ring.ts';
import type { Batch, WaitingPack } from './waiting-packs.ts';

const FIRST_PAUSE_MS = 500;
const MAX_PAUSE_MS = 30_000;
/** Whoever the throttle holds back asks again so often: not with every failure later. */
const HELD_BACK_MS = 1_000;

export type MoveContext = {
  readonly db: Database;
  readonly store: GuardedStore;
  readonly nowMs: () => number;
  readonly rests: Rests;
  readonly log: Logger;
  /** Ends waiting, and what has not begun. */
  readonly signal: AbortSignal;
};

/** `taken`: some of its packs are in another object already; the intent stays, for whoever clears what nobody knows of. */
export type Moved = 'moved' | 'taken' | 'given up';

/**
 * Puts a batch into the store under one key, as often as it takes, and records it. Resolves when it is recorded, or when
 * `signal` ended it.
 */
export async function moveBatch(ctx: MoveContext, batch: Batch, objectId: string): Promise<Moved> {
  const { signal } = ctx;
  const key = objectKey(batch.environmentId, objectId);
  let isPut = false;
  let pauseMs = FIRST_PAUSE_MS;
  let isIntended = false;
  let wasRefused = false;
  while (!signal.aborted) {
    try {
      if (!isIntended) {
        await intend(ctx, batch.environmentId, objectId);
        isIntended = true;
        faultPoint('bodies.after-intent');
      }
      if (!isPut) {
        const breakMs = ctx.store.pauseMs();
        if (breakMs > 0) {
          await ctx.rests.rest(breakMs);
          continue;
        }
        await ctx.store.put(key, await bytesOf(ctx.db, batch));
        isPut = true;
        // The store takes something: those who rest because it did not may try.
        if (wasRefused) ctx.rests.wakeAll();
        faultPoint('bodies.after-put');
      }
      const isRecorded = await record(ctx, batch, objectId);
      faultPoint('bodies.after-record');
      return isRecorded ? 'moved' : 'taken';
    } catch (error) {
      if (error instanceof PacksGone) {
        ctx.log.error({ err: error, key }, 'packs of bodies are gone before they were moved');
        return 'taken';
      }
      const isHeldBack = error instanceof StoreError && error.code === 'held_back';
      ctx.log.debug({ err: error, key }, 'a batch of bodies is not moved yet');
      await ctx.rests.rest(isHeldBack ? HELD_BACK_MS : pauseMs);
      wasRefused = true;
      if (!isHeldBack) pauseMs = Math.min(MAX_PAUSE_MS, pauseMs * 2);
    }
  }
  return 'given up';
}

/** Only when somebody else moved them and gave their slot back. */
class PacksGone extends Error {}

async function intend(
  { db, nowMs }: MoveContext,
  environmentId: number,
  objectId: string,
): Promise<void> {
  await db.query(
    `insert into body_upload (object_id, environment_id, started_at)
     values ($1, $2, $3)
     on conflict (object_id) do nothing`,
    [objectId, environmentId, new Date(nowMs())],
  );
}

/** The object; its packs are read for each attempt, because what is erased meanwhile must not go out. */
async function bytesOf(db: Database, { environmentId, packs }: Batch): Promise<Buffer> {
  const texts = new Map<string, string>();
  for (const [slot, inSlot] of Map.groupBy(packs, (pack) => pack.slot)) {
    const rows = await db.query<{ id: string; text: string }>(
      {
        name: `bytes_of_packs_${slot}`,
        text: `select w.id, convert_from(p.bytes, 'UTF8') as text
  from unnest($2::uuid[]) as w(id)
  cross join lateral (
    select p.bytes
    from body_pack_${slot} p
    where p.environment_id = $1
      and p.id = w.id
    limit 1
  ) p`,
      },
      [environmentId, plainArray(inSlot.map(({ id }) => id))],
    );
    for (const { id, text } of rows) texts.set(id, text);
  }
  const parts = packs.map(({ id, size }) => {
    const bytes = Buffer.from(texts.get(id) ?? '');
    if (bytes.length !== size) throw new PacksGone(`${id} has ${bytes.length} bytes, not ${size}`);
    return bytes;
  });
  return sealObject(parts);
}

/** Says where the packs are; false when one of them is elsewhere. */
async function record(
  { db, nowMs }: MoveContext,
  { environmentId, packs }: Batch,
  objectId: string,
): Promise<boolean> {
  const [first] = packs;
  // Usually there: of this month or the last. After an outage of months it may be gone.
  if (first && !isRecent(first, nowMs())) await ensurePartitions(db, timeOfPack(first.id));
  return db.transaction(async (tx) => {
    const rows = await tx.query(
      {
        name: 'record_bodies',
        text: `insert into body_object (pack_id, environment_id, object_id, start_byte)
  select p.pack_id, $1, $2, p.start_byte
  from unnest($3::uuid[], $4::int[]) as p(pack_id, start_byte)
  where not exists (
    select
    from body_object o
    where o.pack_id = any($3::uuid[])
  )
  returning 1`,
      },
      [environmentId, objectId, plainArray(packs.map(({ id }) => id)), plainArray(startsOf(packs))],
    );
    if (rows.length === 0) return false;
    await tx.query('delete from body_upload where object_id = $1', [objectId]);
    faultPoint('bodies.before-record-commit');
    return true;
  });
}

const RECENT_MS = 25 * 86_400_000;
const isRecent = ({ id }: WaitingPack, nowMs: number): boolean =>
  nowMs - timeOfPack(id) < RECENT_MS;

/** Where each pack begins in the object. */
export function startsOf(packs: readonly WaitingPack[]): number[] {
  let at = 0;
  return packs.map(({ size }) => {
    at += size;
    return at - size;
  });
}
