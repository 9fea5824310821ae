import { plainArray, textArray } from '../../db/array-literal.ts';
import type { Queryable } from '../../db/database.ts';
import type { TriggerAnswer, TriggerRequest } from '../engine.ts';
import { CHUNK_PARAMETERS, insertChunksSql } from './insert-chunks.ts';

const DAY_MS = 86_400_000;
const DAYS = 3;

type Key = NonNullable<TriggerRequest['idempotency']>;

/** The lists of today and yesterday; between them a key is remembered for 24 to 48 hours. */
export function idempotencyDays(nowMs: number): {
  today: number;
  yesterday: number;
  expired: number;
} {
  const day = Math.floor(nowMs / DAY_MS);
  return {
    today: day % DAYS,
    yesterday: (day + DAYS - 1) % DAYS,
    expired: (day + 1) % DAYS,
  };
}

/**
 * Chunks and the idempotency keys of their triggers in one statement. A key of today that is taken
 * raises 23505; one of yesterday makes it insert nothing and answer 0.
 */
export const INSERT_CHUNKS_WITH_KEYS = {
  name: 'insert_chunks_with_keys',
  text: `with key as (
    select * from unnest($${CHUNK_PARAMETERS + 1}::int[], $${CHUNK_PARAMETERS + 2}::text[], $${CHUNK_PARAMETERS + 3}::bytea[],
                         $${CHUNK_PARAMETERS + 4}::uuid[], $${CHUNK_PARAMETERS + 5}::text[])
      as k(environment_id, key, request_hash, workflow_run_id, request_id)
  ), known as (
    select count(*) as keys
    from key
    join idempotency i using (environment_id, key)
    where i.day = $${CHUNK_PARAMETERS + 7}::smallint
  ), keys as (
    insert into idempotency (day, environment_id, key, request_hash, workflow_run_id, request_id, created_at)
    select $${CHUNK_PARAMETERS + 6}::smallint, environment_id, key, request_hash, workflow_run_id, request_id, $2::timestamptz
    from key
    where (select keys from known) = 0
  ), chunks as (
    ${insertChunksSql(1)}
    where (select keys from known) = 0
    returning 1
  )
  select count(*)::int as inserted from chunks`,
};

/** The values that follow those of the chunks. */
export function keyValues(
  nowMs: number,
  keyed: readonly { environmentId: number; key: Key; runId: string }[],
): unknown[] {
  const { today, yesterday } = idempotencyDays(nowMs);
  return [
    plainArray(keyed.map((entry) => entry.environmentId)),
    textArray(keyed.map((entry) => entry.key.key)),
    textArray(keyed.map((entry) => `\\x${entry.key.requestHash.toString('hex')}`)),
    plainArray(keyed.map((entry) => entry.runId)),
    textArray(keyed.map((entry) => entry.key.requestId)),
    today,
    yesterday,
  ];
}

/** For each request the answer that its key was given before, or undefined when it is new. */
export async function rememberedAnswers(
  db: Queryable,
  nowMs: number,
  requests: readonly TriggerRequest[],
): Promise<(TriggerAnswer | undefined)[]> {
  const { today, yesterday } = idempotencyDays(nowMs);
  const keyed = requests.flatMap((request) => (request.idempotency ? [request] : []));
  const rows = await db.query<{
    environment_id: number;
    key: string;
    request_hash: Buffer;
    workflow_run_id: string;
    request_id: string;
  }>(
    `select i.environment_id, i.key, i.request_hash, i.workflow_run_id, i.request_id
     from unnest($1::int[], $2::text[]) as k(environment_id, key)
     join idempotency i on i.environment_id = k.environment_id and i.key = k.key
     where i.day in ($3::smallint, $4::smallint)`,
    [
      plainArray(keyed.map((request) => request.environmentId)),
      textArray(keyed.map((request) => request.idempotency?.key)),
      today,
      yesterday,
    ],
  );
  const known = new Map(rows.map((row) => [`${row.environment_id} ${row.key}`, row]));
  return requests.map((request) => {
    if (!request.idempotency) return undefined;
    const row = known.get(`${request.environmentId} ${request.idempotency.key}`);
    if (!row) return undefined;
    if (!row.request_hash.equals(request.idempotency.requestHash)) return { kind: 'conflict' };
    return {
      kind: 'replayed',
      workflowRunId: row.workflow_run_id,
      originalRequestId: row.request_id,
    };
  });
}

/** The first request of each idempotency key, and the others. */
export function separateRepeats<Item extends { readonly request: TriggerRequest }>(
  batch: readonly Item[],
): { first: Item[]; repeats: Item[] } {
  const seen = new Set<string>();
  const first: Item[] = [];
  const repeats: Item[] = [];
  for (const item of batch) {
    const { environmentId, idempotency } = item.request;
    const key = idempotency && `${environmentId} ${idempotency.key}`;
    if (key !== undefined && seen.has(key)) repeats.push(item);
    else first.push(item);
    if (key !== undefined) seen.add(key);
  }
  return { first, repeats };
}
