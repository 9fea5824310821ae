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
/** An object that is gone so long after the deletion does not come back, of a wrong bucket or of a backup. */
const GONE_MS = 30 * 86_400_000;
/** So long an object is left alone after its content could not be blanked. */
const TROUBLE_MS = 600_000;
const MAX_TROUBLED = 10_000;

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

/** Keys of objects that could not be blanked, and until when they are left alone: others have their turn. */
export type Troubled = Map<string, number>;

export type ErasurePass = {
  /** Erasures that are over. */
  readonly done: number;
  /** Undefined: all were looked at. */
  readonly next: ErasurePosition | undefined;
};

/**
 * Blanks ranges of deleted messages, a page of them: in the ring, and in the objects that the store has. One whose pack is not in the
 * store yet stays until it is, and an object that cannot be blanked keeps no other from it. Throws when the store is not asked at the moment.
 */
export async function eraseBodies(
  ctx: {
    readonly db: Database;
    readonly store: ObjectStore;
    readonly nowMs: () => number;
    readonly log: Logger;
    /** Whether a request for this environment may be sent now; it counts. */
    readonly may: (environmentId: number) => Promise<boolean>;
    readonly troubled: Troubled;
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
  let asked = 0;
  for (const [objectId, ofObject] of byObject) {
    const environmentId = ofObject[0]?.environmentId ?? 0;
    const key = objectKey(environmentId, objectId);
    if ((ctx.troubled.get(key) ?? 0) > nowMs()) continue;
    if (asked === OBJECTS) break;
    if (!(await ctx.may(environmentId))) continue;
    asked += 1;
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
  if (nowhere.length > 0) done += await forgetNowhere(db, nowhere);
  const last = erasures.at(-1);
  const next = erasures.length === PAGE && last ? { after: last.packId, at: last.at } : undefined;
  return { done, next };
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
    const rows = await db.query<{ id: string }>(blankInSlot(slot), [
      plainArray(inSlot.map(({ environmentId }) => environmentId)),
      plainArray(inSlot.map(({ packId }) => packId)),
      plainArray(inSlot.map(({ at }) => at)),
      plainArray(inSlot.map(({ size }) => size)),
    ]);
    for (const { id } of rows) found.add(id);
  }
  return found;
}

/**
 * A pack is megabytes, and written anew for any change: so all ranges of it are blanked at once, and not again. It is put
 * together of what lies before each range, the blanks, and what lies behind the last.
 */
const blankInSlot = (slot: number): string => `
  with blank as (
    select environment_id, pack_id, start_byte, size,
           coalesce(lag(start_byte + size) over before, 0) as kept_from
    from unnest($1::int[], $2::uuid[], $3::int[], $4::int[]) as e(environment_id, pack_id, start_byte, size)
    window before as (partition by environment_id, pack_id order by start_byte)
  ), wanted as (
    select environment_id, pack_id, max(start_byte + size) as kept_from
    from blank
    group by environment_id, pack_id
  ), blanked as (
    update body_pack_${slot} p
    set bytes = (
      select string_agg(
               substring(p.bytes from b.kept_from + 1 for b.start_byte - b.kept_from)
               || convert_to(repeat(' ', b.size), 'UTF8'),
               ''::bytea order by b.start_byte
             )
      from blank b
      where b.environment_id = p.environment_id
        and b.pack_id = p.id
    ) || substring(p.bytes from w.kept_from + 1)
    from wanted w
    where p.environment_id = w.environment_id
      and p.id = w.pack_id
      and exists (
        select
        from blank b
        where b.environment_id = p.environment_id
          and b.pack_id = p.id
          and substring(p.bytes from b.start_byte + 1 for 1) <> ' '::bytea
      )
    returning 1
  )
  select p.id
  from body_pack_${slot} p
  join wanted w on p.environment_id = w.environment_id and p.id = w.pack_id`;

/**
 * False when that cannot be done now. An object that is damaged stays as it is, because writing it again would make that last. Throws when the
 * store is not asked at all.
 */
async function blankInObject(
  {
    store,
    log,
    nowMs,
    troubled,
  }: {
    readonly store: ObjectStore;
    readonly log: Logger;
    readonly nowMs: () => number;
    readonly troubled: Troubled;
  },
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
    troubled.delete(key);
    return true;
  } catch (error) {
    if (!(error instanceof StoreError) || error.code === 'held_back') throw error;
    const isLongAgo = erasures.every(({ recordedAt }) => recordedAt.getTime() < nowMs() - GONE_MS);
    if (error.kind === 'missing' && isLongAgo) return true;
    if (troubled.size >= MAX_TROUBLED) troubled.clear();
    troubled.set(key, nowMs() + TROUBLE_MS);
    log.warn(
      { err: error, object: store.placeOf(key) },
      'what was deleted cannot be blanked in an object; it will be tried again',
    );
    return false;
  }
}

/** Only those that have no object meanwhile: a pack leaves the ring after that is recorded. Returns how many. */
async function forgetNowhere(db: Queryable, erasures: readonly Erasure[]): Promise<number> {
  const rows = await db.query(
    `delete from body_erasure e
     using unnest($1::uuid[], $2::int[]) as d(pack_id, start_byte)
     where e.pack_id = d.pack_id
       and e.start_byte = d.start_byte
       and not exists (
         select
         from body_object o
         where o.pack_id = e.pack_id
       )
     returning 1`,
    [plainArray(erasures.map(({ packId }) => packId)), plainArray(erasures.map(({ at }) => at))],
  );
  return rows.length;
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
