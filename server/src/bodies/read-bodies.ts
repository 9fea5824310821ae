import { plainArray } from '../db/array-literal.ts';
import type { Queryable, Statement } from '../db/database.ts';
import type { JsonObject } from '../lib/json.ts';
import { ksuidFromUuid } from '../lib/ksuid.ts';
import type { Logger } from '../lib/log.ts';
import { objectKey } from './object-key.ts';
import { type ObjectStore, StoreError } from './object-store.ts';
import { readFromObjects } from './read-objects.ts';
import type { RequestBudgets } from './request-budgets.ts';
import { slotOfPack } from './ring.ts';
import { bodyHash, keptContent, type StoredBody, storedBody } from './stored-body.ts';

/** A message whose content may be elsewhere. */
export type ContentRow = {
  readonly id: string;
  readonly environment_id: number;
  readonly content: JsonObject;
};

/** Why a content cannot be had: the store is away (again, later), or what it has is not what was written. */
export type UnreadableBody = {
  readonly kind: 'unavailable' | 'damaged';
  readonly reason: string;
};

export type ReadBody = { readonly content: JsonObject } | { readonly unreadable: UnreadableBody };

export type BodyReader = {
  /** What each message says, by the message's id. Throws what the database throws. */
  readonly read: (rows: readonly ContentRow[]) => Promise<ReadonlyMap<string, ReadBody>>;
};

type Wanted = { readonly row: ContentRow; readonly body: StoredBody };

/**
 * Reads contents from wherever they are: the row itself, the ring, the object store.
 *
 * @param store opened when it is first needed; undefined: none is configured
 */
export function createBodyReader(options: {
  readonly db: Queryable;
  readonly store: (() => Promise<ObjectStore>) | undefined;
  readonly log: Logger;
  /** What each environment may ask the store; absent: whatever it wants. */
  readonly budgets?: RequestBudgets;
}): BodyReader {
  const { db, store, log, budgets } = options;

  async function fromStore(
    wanted: readonly Wanted[],
    results: Map<string, ReadBody>,
  ): Promise<void> {
    const places = await findPlaces(db, wanted);
    const located = [];
    for (const one of wanted) {
      const place = places.get(one.row.id);
      if (place?.kept) results.set(one.row.id, { content: place.kept });
      else if (place?.object) located.push({ ...one, ...place.object });
      else results.set(one.row.id, damaged('neither the database nor the object store has it'));
    }
    if (located.length === 0) return;
    if (!store) {
      const unreadable = unavailable('it is in an object store, and none is configured');
      for (const { row } of located) results.set(row.id, unreadable);
      return;
    }
    const bytes = await readFromObjects(store, located, budgets);
    for (const [i, { row, body }] of located.entries()) {
      const found = bytes[i];
      if (!found) continue;
      const read = found instanceof StoreError ? failed(found) : checked(body, found);
      results.set(row.id, read);
    }
    for (const { row, objectId } of located) {
      const read = results.get(row.id);
      if (!read || !('unreadable' in read) || read.unreadable.kind !== 'damaged') continue;
      const object = (await store()).placeOf(objectKey(row.environment_id, objectId));
      log.error(
        { messageId: ksuidFromUuid(row.id), object, reason: read.unreadable.reason },
        'the content of a message is lost or damaged in the object store',
      );
    }
  }

  return {
    read: async (rows) => {
      const results = new Map<string, ReadBody>();
      const wanted: Wanted[] = [];
      for (const row of rows) {
        const body = storedBody(row.content);
        const content = body ? keptContent(row.content) : row.content;
        if (content) results.set(row.id, { content });
        else if (body) wanted.push({ row, body });
      }
      if (wanted.length === 0) return results;
      const texts = await fromRing(db, wanted);
      const rest: Wanted[] = [];
      for (const one of wanted) {
        const text = texts.get(one.row.id);
        if (text === undefined) rest.push(one);
        else results.set(one.row.id, checked(one.body, Buffer.from(text)));
      }
      if (rest.length > 0) await fromStore(rest, results);
      return results;
    },
  };
}

/**
 * The text itself and no hexadecimal digits of it: the driver reads it twice as fast. From the slot's own table: one that is
 * being given back keeps nobody from the others.
 */
const fromSlot = (slot: number): Statement => ({
  name: `read_bodies_${slot}`,
  text: `select r.message_id as id, convert_from(p.bytes, 'UTF8') as text
  from unnest(
      (select $1::uuid[]), (select $2::int[]), (select $3::uuid[]), (select $4::int[]), (select $5::int[])
    )
    as r(message_id, environment_id, pack_id, start_byte, size)
  cross join lateral (
    select substring(p.bytes from r.start_byte + 1 for r.size) as bytes
    from body_pack_${slot} p
    where p.environment_id = r.environment_id
      and p.id = r.pack_id
    limit 1
  ) p`,
});

async function fromRing(
  db: Queryable,
  wanted: readonly Wanted[],
): Promise<ReadonlyMap<string, string>> {
  const slots = Map.groupBy(wanted, ({ body }) => slotOfPack(body.pack));
  const texts = new Map<string, string>();
  for (const [slot, inSlot] of slots) {
    const rows = await db.query<{ id: string; text: string }>(fromSlot(slot), [
      plainArray(inSlot.map(({ row }) => row.id)),
      plainArray(inSlot.map(({ row }) => row.environment_id)),
      plainArray(inSlot.map(({ body }) => body.pack)),
      plainArray(inSlot.map(({ body }) => body.at)),
      plainArray(inSlot.map(({ body }) => body.bytes)),
    ]);
    for (const { id, text } of rows) texts.set(id, text);
  }
  return texts;
}

type Place = {
  readonly kept: JsonObject | undefined;
  readonly object: { readonly objectId: string; readonly packAt: number } | undefined;
};

/** Asked after the ring: whatever left it since then is in the message's row, or recorded as moved. */
async function findPlaces(
  db: Queryable,
  wanted: readonly Wanted[],
): Promise<ReadonlyMap<string, Place>> {
  const rows = await db.query<{
    id: string;
    content: JsonObject | null;
    object_id: string | null;
    start_byte: number | null;
  }>(
    {
      name: 'find_bodies',
      text: `select r.message_id as id, m.content, o.object_id, o.start_byte
  from unnest($1::uuid[], $2::uuid[]) as r(message_id, pack_id)
  left join lateral (
    select m.content
    from message m
    where m.id = r.message_id
  ) m on true
  left join lateral (
    select o.object_id, o.start_byte
    from body_object o
    where o.pack_id = r.pack_id
  ) o on true`,
    },
    [plainArray(wanted.map(({ row }) => row.id)), plainArray(wanted.map(({ body }) => body.pack))],
  );
  return new Map(
    rows.map(({ id, content, object_id: objectId, start_byte: packAt }) => [
      id,
      {
        kept: content ? keptContent(content) : undefined,
        object: objectId !== null && packAt !== null ? { objectId, packAt } : undefined,
      },
    ]),
  );
}

function checked(body: StoredBody, bytes: Buffer): ReadBody {
  if (bytes.length !== body.bytes || bodyHash(bytes) !== body.sha) {
    return damaged('its checksum is wrong');
  }
  return { content: JSON.parse(bytes.toString()) as JsonObject };
}

function failed({ kind, code, message }: StoreError): ReadBody {
  if (kind === 'missing') return damaged('its object is gone from the object store');
  if (kind === 'damaged') return damaged('its object is shorter than it was written');
  return unavailable(`the object store does not give it (${code}: ${message})`);
}

const damaged = (reason: string): ReadBody => ({ unreadable: { kind: 'damaged', reason } });
const unavailable = (reason: string): ReadBody => ({ unreadable: { kind: 'unavailable', reason } });
