import { plainArray } from '../../db/array-literal.ts';
import type { Queryable } from '../../db/database.ts';
import type { ChunkKind } from '../log/chunk.ts';

export type DecodedChunk<Body> = {
  readonly kind: ChunkKind;
  readonly laneId: number;
  readonly flow: number;
  readonly acceptedMs: number;
  readonly dueMs: number | undefined;
  /** The order that set it aside, and the chunk whose run ids its runs have. */
  readonly orderId: number | undefined;
  readonly source: { readonly stream: number; readonly sequence: number } | undefined;
  readonly body: Body;
  /** What was read, in bytes. */
  readonly size: number;
};

type ChunkKey = { readonly stream: number; readonly sequence: number };

/** Decoded chunks: the slices of one are executed one after the other. */
export type ChunkCache<Body> = {
  /**
   * The chunks of these slices, in their order; those that are not known are read in one query. Undefined:
   * the chunk is gone, so all of its slices have receipts.
   */
  readonly get: (
    db: Queryable,
    slot: number,
    keys: readonly ChunkKey[],
  ) => Promise<(DecodedChunk<Body> | undefined)[]>;
};

type Entry<Body> = { readonly chunk: Promise<DecodedChunk<Body> | undefined>; size: number };

const MAX_CHUNKS = 64;
const MAX_BYTES = 64 * 1024 * 1024;

export function createChunkCache<Body>(parse: (body: string) => Body): ChunkCache<Body> {
  const entries = new Map<string, Entry<Body>>();
  let bytes = 0;

  function evict(): void {
    for (const [key, entry] of entries) {
      if (entries.size <= MAX_CHUNKS && bytes <= MAX_BYTES) return;
      entries.delete(key);
      bytes -= entry.size;
    }
  }

  function remember(
    id: string,
    found: Promise<ReadonlyMap<string, DecodedChunk<Body>>>,
  ): Entry<Body> {
    const entry = { chunk: found.then((chunks) => chunks.get(id)), size: 0 };
    entries.set(id, entry);
    entry.chunk.then(
      (chunk) => {
        if (entries.get(id) !== entry) return;
        entry.size = chunk?.size ?? 0;
        bytes += entry.size;
        evict();
      },
      () => {
        if (entries.get(id) === entry) entries.delete(id);
      },
    );
    return entry;
  }

  return {
    get: (db, slot, keys) => {
      const ids = keys.map(idOf);
      const missing = new Map<string, ChunkKey>();
      for (const [i, id] of ids.entries()) {
        const key = keys[i];
        if (key && !entries.has(id)) missing.set(id, key);
      }
      const wanted = new Map<string, Entry<Body>>();
      if (missing.size > 0) {
        const found = read(db, slot, [...missing.values()], parse);
        for (const id of missing.keys()) wanted.set(id, remember(id, found));
      }
      // More may be wanted at once than is kept.
      return Promise.all(ids.map((id) => (wanted.get(id) ?? entries.get(id))?.chunk));
    },
  };
}

type Row = {
  readonly stream: number;
  readonly sequence: number;
  readonly kind: ChunkKind;
  readonly lane_id: number;
  readonly flow: number;
  readonly accepted_at: Date;
  readonly due_at: Date | null;
  readonly order_id: number | null;
  readonly source_stream: number | null;
  readonly source_sequence: number | null;
  readonly body: string;
};

async function read<Body>(
  db: Queryable,
  slot: number,
  keys: readonly ChunkKey[],
  parse: (body: string) => Body,
): Promise<Map<string, DecodedChunk<Body>>> {
  const rows = await db.query<Row>(
    {
      name: `read_chunks_${slot}`,
      text: `select c.stream, c.sequence, c.kind, c.lane_id, c.flow, c.accepted_at, c.due_at, c.order_id,
             c.source_stream, c.source_sequence, c.body
      from unnest($1::smallint[], $2::bigint[]) as wanted(stream, sequence)
      join chunk_${slot} c using (stream, sequence)`,
    },
    [plainArray(keys.map((key) => key.stream)), plainArray(keys.map((key) => key.sequence))],
  );
  return new Map(
    rows.map((row) => [
      idOf(row),
      {
        kind: row.kind,
        laneId: row.lane_id,
        flow: row.flow,
        acceptedMs: row.accepted_at.getTime(),
        dueMs: row.due_at?.getTime(),
        orderId: row.order_id ?? undefined,
        source:
          row.source_stream === null || row.source_sequence === null
            ? undefined
            : { stream: row.source_stream, sequence: row.source_sequence },
        body: parse(row.body),
        size: row.body.length,
      },
    ]),
  );
}

function idOf({ stream, sequence }: ChunkKey): string {
  return `${stream} ${sequence}`;
}
