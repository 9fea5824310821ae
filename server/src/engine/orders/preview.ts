import type { Database, Queryable } from '../../db/database.ts';
import { formatAddress } from '../../lib/address.ts';
import { BelfryError } from '../../lib/errors.ts';
import type { Logger } from '../../lib/log.ts';
import type { OrderCounts, OrderSample, OrderScope } from '../engine.ts';
import { parseDeliveriesBody, parseRunsBody } from '../log/body.ts';
import {
  CALLS,
  type ChunkRef,
  DELIVERIES,
  environmentOfLane,
  type QueueKind,
  RUNS,
  referenceOf,
  SLICE_RUNS,
} from '../log/chunk.ts';
import type { QueuedSlices } from '../scheduler/lane-queue.ts';
import type { SchedulerState } from '../scheduler/state.ts';
import { asidePart, type Part } from './aside-part.ts';
import { loadDeliveryFacts } from './delivery-facts.ts';
import { checkScope } from './order-table.ts';
import { isInScope } from './rules.ts';
import { environmentsOf } from './scope-environments.ts';

/** Chunks that are read, of both kinds each. */
const MAX_CHUNKS = 200;
/** Of whole lanes: the oldest work of so many flows. */
const MAX_HEADS = 20;
const READ_AT_ONCE = 20;
const SAMPLES = 5;
const SOON_MS = 2_000;

export type PreviewOptions = {
  readonly db: Queryable;
  readonly states: Readonly<Record<QueueKind, SchedulerState>>;
};

/** What was found in a part of the queued work, and how large that part is. */
type Found = {
  matched: number;
  read: number;
  oldestMs: number;
  samples: OrderSample[];
};

/**
 * Work of a scope that is queued, or that a hold or slow set aside. Of whole lanes it is known how much it is;
 * otherwise up to 200 chunks of each kind and place, spread evenly over the lanes in scope, are read and the
 * rest is extrapolated, so the cost does not depend on how much waits. What waits for its time, or was
 * discarded, is not in it.
 */
export async function preview(options: PreviewOptions, scope: OrderScope): Promise<OrderCounts> {
  checkScope(scope);
  const { db } = options;
  const environments = await environmentsOf(db, scope);
  const runs = await count(options, RUNS, environments, scope);
  const calls = await count(options, CALLS, environments, scope);
  const deliveries = await count(options, DELIVERIES, environments, scope);
  const oldest = Math.min(runs.oldestMs, calls.oldestMs, deliveries.oldestMs);
  return {
    runs: runs.count + calls.count,
    deliveries: deliveries.count,
    estimated: runs.estimated || calls.estimated || deliveries.estimated,
    oldest: Number.isFinite(oldest) ? new Date(oldest) : null,
    samples: [...runs.samples, ...calls.samples, ...deliveries.samples].slice(0, SAMPLES),
  };
}

/**
 * The same within two seconds, whatever waits and however slow the database is; null when that was not enough. For
 * whoever must not wait for it.
 */
export async function previewSoon(
  options: PreviewOptions & { readonly db: Database; readonly log: Logger },
  scope: OrderScope,
): Promise<OrderCounts | null> {
  const late = Promise.withResolvers<null>();
  const timer = setTimeout(() => late.resolve(null), SOON_MS);
  const deadlineMs = performance.now() + SOON_MS;
  const counting = options.db.transaction(async (tx) => {
    await tx.query(`select set_config('statement_timeout', $1, true)`, [`${SOON_MS}ms`]);
    const db: Queryable = {
      query: (statement, values) => {
        if (performance.now() > deadlineMs) throw new Error('nobody waits for the counts any more');
        return tx.query(statement, values);
      },
    };
    return preview({ ...options, db }, scope);
  });
  const counted = counting.catch((error) => {
    if (error instanceof BelfryError) throw error;
    options.log.warn({ err: error }, 'what an order concerns was not counted in time');
    return null;
  });
  try {
    return await Promise.race([counted, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

async function count(
  { db, states }: PreviewOptions,
  kind: QueueKind,
  environments: ReadonlyMap<number, number>,
  scope: OrderScope,
): Promise<{ count: number; estimated: boolean; oldestMs: number; samples: OrderSample[] }> {
  const { apiKeyId, workflow, tenant, acceptedFrom, acceptedBefore } = scope;
  const isWhole = [apiKeyId, workflow, tenant, acceptedFrom, acceptedBefore].every(
    (part) => part === undefined,
  );
  const chunks = isWhole ? 1 : MAX_CHUNKS;
  const parts = [
    await asidePart(db, kind, [...environments.keys()], chunks),
    queuedPart(states[kind], environments, isWhole),
  ];
  const all = { count: 0, estimated: false, oldestMs: Infinity, samples: [] as OrderSample[] };
  for (const { runs, entries } of parts) {
    const found: Found = { matched: 0, read: 0, oldestMs: Infinity, samples: [] };
    for (let from = 0; from < entries.length; from += READ_AT_ONCE) {
      const page = entries.slice(from, from + READ_AT_ONCE);
      await (kind === DELIVERIES ? readDeliveries : readRuns)(db, page, environments, scope, found);
    }
    const { matched, read } = found;
    all.count += isWhole ? runs : Math.round((runs * matched) / Math.max(1, read));
    all.estimated ||= !isWhole && read < runs;
    all.oldestMs = Math.min(all.oldestMs, found.oldestMs);
    all.samples.push(...found.samples);
  }
  return all;
}

function queuedPart(
  state: SchedulerState,
  environments: ReadonlyMap<number, number>,
  isWhole: boolean,
): Part {
  const lanes = [...state.lanes.values()].filter(
    (lane) => lane.queuedRuns > 0 && environments.has(environmentOfLane(lane.id)),
  );
  const chunks = isWhole ? MAX_HEADS : MAX_CHUNKS;
  const ofLane = Math.max(1, Math.floor(chunks / Math.max(1, lanes.length)));
  return {
    runs: lanes.reduce((sum, lane) => sum + lane.queuedRuns, 0),
    entries: lanes
      .sort((a, b) => b.queuedRuns - a.queuedRuns)
      .slice(0, MAX_CHUNKS)
      .flatMap(({ queue }) => (isWhole ? queue.heads(ofLane) : queue.sample(ofLane))),
  };
}

async function readRuns(
  db: Queryable,
  entries: readonly QueuedSlices[],
  environments: ReadonlyMap<number, number>,
  scope: OrderScope,
  found: Found,
): Promise<void> {
  for (const { entry, acceptedMs, body } of await bodiesOf(db, entries, parseRunsBody)) {
    const environmentId = environmentOfLane(entry.ref.laneId);
    const { stream, sequence } = entry.ref;
    const isIn = body.triggers.map((trigger) =>
      isInScope(scope, {
        environmentId,
        accountId: environments.get(environmentId),
        apiKeyId: trigger.by,
        workflow: trigger.key,
        tenant: trigger.tenant,
        acceptedMs: trigger.at,
      }),
    );
    const runs = entry.ref.kind === RUNS ? SLICE_RUNS : 1;
    const to = Math.min(entry.end * runs, body.runs.length);
    for (let index = entry.next * runs; index < to; index++) {
      const run = body.runs[index];
      const trigger = run && body.triggers[run[0]];
      if (!trigger) continue;
      found.read += 1;
      if (!isIn[run[0]]) continue;
      note(found, trigger.at, () => ({
        runId: run[2]?.id ?? formatAddress(acceptedMs, stream, sequence, index, 0),
        workflow: trigger.key,
        tenant: trigger.tenant,
        recipient: referenceOf(run[1]),
        acceptedAt: new Date(trigger.at),
      }));
    }
  }
}

async function readDeliveries(
  db: Queryable,
  entries: readonly QueuedSlices[],
  environments: ReadonlyMap<number, number>,
  scope: OrderScope,
  found: Found,
): Promise<void> {
  const bodies = await bodiesOf(db, entries, parseDeliveriesBody);
  const ids = bodies.flatMap(({ entry, body }) =>
    body.deliveries.slice(entry.next, entry.end).map(([id]) => id),
  );
  found.read += ids.length;
  for (const facts of await loadDeliveryFacts(db, ids)) {
    const accountId = environments.get(facts.environmentId);
    if (!isInScope(scope, { ...facts, accountId })) continue;
    note(found, facts.acceptedMs, () => ({
      runId: facts.runId,
      workflow: facts.workflow,
      tenant: facts.tenant,
      recipient: facts.recipient,
      acceptedAt: new Date(facts.acceptedMs),
    }));
  }
}

function note(found: Found, acceptedMs: number, sample: () => OrderSample): void {
  found.matched += 1;
  found.oldestMs = Math.min(found.oldestMs, acceptedMs);
  if (found.samples.length < SAMPLES) found.samples.push(sample());
}

async function bodiesOf<Body>(
  db: Queryable,
  entries: readonly QueuedSlices[],
  parse: (body: string) => Body,
): Promise<{ readonly entry: QueuedSlices; readonly acceptedMs: number; readonly body: Body }[]> {
  const rows = await db.query<{ n: number; accepted_at: Date; body: string }>(
    `select wanted.n::int as n, c.accepted_at, c.body
     from unnest($1::smallint[], $2::smallint[], $3::bigint[]) with ordinality
       as wanted(slot, stream, sequence, n)
     join chunk c
       on c.slot = wanted.slot
       and c.stream = wanted.stream
       and c.sequence = wanted.sequence`,
    (['slot', 'stream', 'sequence'] as const satisfies (keyof ChunkRef)[]).map((key) =>
      entries.map(({ ref }) => ref[key]),
    ),
  );
  return rows.flatMap((row) => {
    const entry = entries[row.n - 1];
    return entry ? [{ entry, acceptedMs: row.accepted_at.getTime(), body: parse(row.body) }] : [];
  });
}
