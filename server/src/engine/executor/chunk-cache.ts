import type { Queryable } from '../../db/database.ts';

export type DecodedChunk<Body> = {
  readonly laneId: number;
  readonly flow: number;
  readonly acceptedMs: number;
  readonly body: Body;
  /** What was read, in bytes. */
  readonly size: number;
};

/** Decoded chunks: the slices of one are executed one after the other. */
export type ChunkCache<Body> = {
  /** undefined: the chunk is gone, so all of its slices have receipts. */
  readonly get: (
    db: Queryable,
    slot: number,
    stream: number,
    sequence: number,
  ) => Promise<DecodedChunk<Body> | undefined>;
};

const MAX_CHUNKS = 64;
const MAX_BYTES = 64 * 1024 * 1024;

export function createChunkCache<Body>(): ChunkCache<Body> {
  const chunks = new Map<
    string,
    { promise: Promise<DecodedChunk<Body> | undefined>; size: number }
  >();
  let bytes = 0;

  function evict(): void {
    for (const [key, entry] of chunks) {
      if (chunks.size <= MAX_CHUNKS && bytes <= MAX_BYTES) return;
      chunks.delete(key);
      bytes -= entry.size;
    }
  }

  return {
    get: (db, slot, stream, sequence) => {
      const key = `${stream} ${sequence}`;
      const known = chunks.get(key);
      if (known) return known.promise;
      const entry = { promise: read<Body>(db, slot, stream, sequence), size: 0 };
      chunks.set(key, entry);
      entry.promise.then(
        (chunk) => {
          if (chunks.get(key) !== entry) return;
          entry.size = chunk?.size ?? 0;
          bytes += entry.size;
          evict();
        },
        () => chunks.delete(key),
      );
      return entry.promise;
    },
  };
}

async function read<Body>(
  db: Queryable,
  slot: number,
  stream: number,
  sequence: number,
): Promise<DecodedChunk<Body> | undefined> {
  const [row] = await db.query<{ lane_id: number; flow: number; accepted_at: Date; body: string }>(
    {
      name: `read_chunk_${slot}`,
      text: `select lane_id, flow, accepted_at, body
      from chunk_${slot}
      where stream = $1
        and sequence = $2`,
    },
    [stream, sequence],
  );
  if (!row) return undefined;
  return {
    laneId: row.lane_id,
    flow: row.flow,
    acceptedMs: row.accepted_at.getTime(),
    body: JSON.parse(row.body) as Body,
    size: row.body.length,
  };
}
