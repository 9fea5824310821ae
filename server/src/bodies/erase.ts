import { plainArray } from '../db/array-literal.ts';
import type { Database, Queryable } from '../db/database.ts';
import { faultPoint } from '../lib/fault-point.ts';
import type { Logger } from '../lib/log.ts';
import { openObject, sealObject } from './object-body.ts';
import { objectKey } from './object-key.ts';
import { type ObjectStore, StoreError } from './object-store.ts';
import { slotOfPack } from './ring.ts';

const PAGE = 1_000;
/** Objects that are read and written again in one pass. */
const OBJECTS = 20;
const SPACE = 0x20;
/** A pack that is nowhere so long after its deletion went with its month. */
const NOWHERE_MS = 600_000;

type Erasure = {
  readonly packId: string;
  readonly at: number;
  readonly size: number;
  readonly environmentId: number;
  readonly recordedAt: Date;
  /** Null: the store does not have the pack yet. */
  readonly objectId: string | null;
  readonly packAt: number | null;
};

/** Where a pass goes on; it starts anew after the last erasure. */
export type ErasurePosition = { readonly after: string; readonly at: number };

export type ErasurePass = {
  /** Erasures that are over. */
  readonly done: number;
  /** Undefined: all were looked at. */
  readonly next: ErasurePosition | undefined;
};

/**
 * Blanks ranges of deleted messages, a page of them: in the ring, and in the objects that the store has. One whose pack is not in the
 * store yet stays until it is. Throws what the store throws.
 */
export async function eraseBodies(
  ctx: {
    readonly db: Database;
    readonly store: ObjectStore;
    readonly nowMs: () => number;
    readonly log: Logger;
    /** Whether a request for this environment may be sent now; it counts. */
    readonly may: (environmentId: number) => Promise<boolean>;
  },
  position: ErasurePosition | undefined,
): Promise<ErasurePass> {
  const { db, nowMs } = ctx;
  const erasures = await readErasures(db, position);
  const inRing = await blankInRing(db, erasures);
  faultPoint('bodies.after-blank');
  let done = 0;
  const byObject = Map.groupBy(
    erasures.filter(({ objectId }) => objectId !== null),
    ({ objectId }) => objectId ?? '',
  );
  for (const [objectId, ofObject] of [...byObject].slice(0, OBJECTS)) {
    const environmentId = ofObject[0]?.environmentId ?? 0;
    if (!(await ctx.may(environmentId))) continue;
    const key = objectKey(environmentId, objectId);
    if (!(await blankInObject(ctx, key, ofObject))) continue;
    faultPoint('bodies.after-rewrite');
    await forget(db, ofObject);
    done += ofObject.length;
  }
  const longAgoMs = nowMs() - NOWHERE_MS;
  const nowhere = erasures.filter(
    ({ objectId, packId, recordedAt }) =>
      objectId === null && !inRing.has(packId) && recordedAt.getTime() < longAgoMs,
  );
  if (nowhere.length > 0) await forget(db, nowhere);
  const last = erasures.at(-1);
  const next = erasures.length === PAGE && last ? { after: last.packId, at: last.at } : undefined;
  return { done: done + nowhere.length, next };
}

/** How many ranges are not blanked everywhere, 10,000 at the most. */
export async function openErasures(db: Queryable): Promise<number> {
  const [row] = await db.query<{ open: number }>(
    `select count(*)::int as open
     from (
       select
       from body_erasure
       limit 10000
     ) e`,
  );
  return row?.open ?? 0;
}

function readErasures(
  db: Queryable,
  position: ErasurePosition | undefined,
): Promise<readonly Erasure[]> {
  return db.query<Erasure>(
    `select e.pack_id as "packId", e.start_byte as at, e.size, e.environment_id as "environmentId",
            e.recorded_at as "recordedAt", o.object_id as "objectId", o.start_byte as "packAt"
     from (
       select *
       from body_erasure
       where (pack_id, start_byte) > ($1::uuid, $2::int)
       order by pack_id, start_byte
       limit ${PAGE}
     ) e
     left join lateral (
       select o.object_id, o.start_byte
       from body_object o
       where o.pack_id = e.pack_id
     ) o on true
     order by e.pack_id, e.start_byte`,
    [position?.after ?? '00000000-0000-0000-0000-000000000000', position?.at ?? -1],
  );
}

/** Returns which packs are there. A content begins with a brace: one that begins with a space is blank already. */
async function blankInRing(
  db: Database,
  erasures: readonly Erasure[],
): Promise<ReadonlySet<string>> {
  const found = new Set<string>();
  for (const [slot, inSlot] of Map.groupBy(erasures, ({ packId }) => slotOfPack(packId))) {
    // A statement changes a row once: the first range of each pack, then the second.
    const turns = new Map<string, number>();
    const rounds = Map.groupBy(inSlot, ({ packId }) => {
      const turn = turns.get(packId) ?? 0;
      turns.set(packId, turn + 1);
      return turn;
    });
    for (const round of rounds.values()) {
      const rows = await db.query<{ id: string }>(
        `with wanted as (
           select *
           from unnest($1::int[], $2::uuid[], $3::int[], $4::int[]) as e(environment_id, pack_id, start_byte, size)
         ), blanked as (
           update body_pack_${slot} p
           set bytes = overlay(p.bytes placing convert_to(repeat(' ', e.size), 'UTF8') from e.start_byte + 1 for e.size)
           from wanted e
           where p.environment_id = e.environment_id
             and p.id = e.pack_id
             and get_byte(p.bytes, e.start_byte) <> ${SPACE}
           returning 1
         )
         select p.id
         from body_pack_${slot} p
         join wanted e on p.environment_id = e.environment_id and p.id = e.pack_id`,
        [
          plainArray(round.map(({ environmentId }) => environmentId)),
          plainArray(round.map(({ packId }) => packId)),
          plainArray(round.map(({ at }) => at)),
          plainArray(round.map(({ size }) => size)),
        ],
      );
      for (const { id } of rows) found.add(id);
    }
  }
  return found;
}

/** False when the object cannot be trusted: it stays as it is, because writing it again would make that last. */
async function blankInObject(
  { store, log }: { readonly store: ObjectStore; readonly log: Logger },
  key: string,
  erasures: readonly Erasure[],
): Promise<boolean> {
  try {
    const bytes = openObject(await store.get(key));
    for (const { packAt, at, size } of erasures) {
      const from = (packAt ?? 0) + at;
      bytes.fill(SPACE, from, from + size);
    }
    await store.put(key, sealObject([bytes]));
    return true;
  } catch (error) {
    // Nothing is left to blank.
    if (error instanceof StoreError && error.kind === 'missing') return true;
    if (!(error instanceof StoreError && error.kind === 'damaged')) throw error;
    log.error(
      { err: error, key },
      'an object is damaged: what was deleted of it is not blanked yet',
    );
    return false;
  }
}

async function forget(db: Queryable, erasures: readonly Erasure[]): Promise<void> {
  await db.query(
    `delete from body_erasure e
     using unnest($1::uuid[], $2::int[]) as d(pack_id, start_byte)
     where e.pack_id = d.pack_id
       and e.start_byte = d.start_byte`,
    [plainArray(erasures.map(({ packId }) => packId)), plainArray(erasures.map(({ at }) => at))],
  );
}
