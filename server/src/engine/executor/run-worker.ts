import { formatAddress } from '../../lib/address.ts';
import type { Logger } from '../../lib/log.ts';
import {
  type ChunkKind,
  environmentOfLane,
  FAN_OUT,
  OPERATION,
  RUNS,
  type RunsBody,
  SLICE_RUNS,
} from '../log/chunk.ts';
import type { Stream } from '../log/stream.ts';
import type { Governance } from '../orders/rules.ts';
import type { SliceOrder } from '../protocol.ts';
import type { ChunkCache } from './chunk-cache.ts';
import { commitEvaluation, type WorkReport } from './commit-evaluation.ts';
import type { PreparedSlice } from './evaluate.ts';
import type { Surroundings } from './evaluate-run.ts';
import { executeFanOuts } from './fan-out.ts';
import type { KnownOrders } from './governance.ts';
import { onLatestVersions } from './latest-version.ts';
import { executeOperations } from './operate.ts';
import { isRefusal, mayBeDone, openSlices } from './receipts.ts';
import { skipRefused, withoutRefusedTriggers } from './refused-runs.ts';
import { governedTriggers } from './set-aside.ts';
import { type LoadServices, loadSurroundings } from './surroundings.ts';

/** What workers of one executor share. */
export type WorkerServices = LoadServices & {
  readonly log: Logger;
  readonly chunks: ChunkCache<RunsBody>;
  readonly orders: KnownOrders;
  readonly announce: (orderId: number, stream: number, sequence: number, index: number) => void;
};

export type WorkOrder = {
  readonly id: number;
  readonly slot: number;
  readonly careful: boolean;
  readonly slices: readonly SliceOrder[];
};

const NOTHING: WorkReport = { runs: 0, messages: 0, appended: [], feeds: [] };

/**
 * Executes an order on the stream's session and commits it. Slices that have receipts already are left
 * out. Throws when the database is away; the order is then to be done again.
 */
export async function executeRuns(
  services: WorkerServices,
  stream: Stream,
  order: WorkOrder,
): Promise<WorkReport> {
  const prepared = await prepare(services, stream, order.slot, order.slices);
  if (prepared.slices.length === 0) return NOTHING;
  if (prepared.slices.every(({ chunk }) => chunk.kind === RUNS)) {
    return evaluateRuns(services, stream, order, prepared);
  }
  const reports: WorkReport[] = [];
  for (const [kind, execute] of EXECUTORS) {
    const own = ofKind(prepared, kind);
    if (own.slices.length === 0) continue;
    reports.push(await execute(services, stream, { ...order, slices: ordersOf(own) }, own));
  }
  return reports.reduce(
    (sum, report) => ({
      runs: sum.runs + report.runs,
      messages: sum.messages + report.messages,
      appended: [...sum.appended, ...report.appended],
      feeds: [...sum.feeds, ...report.feeds],
    }),
    NOTHING,
  );
}

type Execute = (
  services: WorkerServices,
  stream: Stream,
  order: WorkOrder,
  prepared: Prepared,
) => Promise<WorkReport>;

const EXECUTORS: readonly (readonly [ChunkKind, Execute])[] = [
  [RUNS, evaluateRuns],
  [FAN_OUT, fanOut],
  [OPERATION, operate],
];

function operate(
  { clock, log, announce }: WorkerServices,
  stream: Stream,
  order: WorkOrder,
  { slices }: Prepared,
): Promise<WorkReport> {
  const careful = {
    announce: (number: number, sequence: number, index: number) =>
      announce(order.id, number, sequence, index),
  };
  const around = { clock, log, ...(order.careful ? careful : {}) };
  return executeOperations(around, stream, order.slot, slices);
}

async function fanOut(
  services: WorkerServices,
  stream: Stream,
  order: WorkOrder,
  { slices, orders }: Prepared,
): Promise<WorkReport> {
  try {
    return await executeFanOuts(services.clock, stream, order.slot, slices, orders.version);
  } catch (error) {
    if (!mayBeDone(error)) throw error;
    const left = await leftOf(services, stream, order, orders);
    if (!left) throw error;
    return left.length === 0 ? NOTHING : executeRuns(services, stream, { ...order, slices: left });
  }
}

async function evaluateRuns(
  services: WorkerServices,
  stream: Stream,
  order: WorkOrder,
  found: Prepared,
): Promise<WorkReport> {
  const slices = await onLatestVersions(services.workflows, stream.session, found.slices);
  const prepared = { ...found, slices };
  const loaded = await loadSurroundings(
    services,
    stream.session,
    prepared.slices.map(({ chunk, slice, governed }) => {
      const from = slice * SLICE_RUNS;
      return { chunk, from, to: from + SLICE_RUNS, governed };
    }),
    prepared.orders.version,
  );
  const around: Surroundings = {
    ...loaded,
    ...(order.careful
      ? {
          announce: (number: number, sequence: number, index: number) =>
            services.announce(order.id, number, sequence, index),
        }
      : {}),
  };
  logSkipped(services.log, prepared.slices);
  try {
    return await commitEvaluation(stream, order.slot, prepared.slices, around);
  } catch (error) {
    if (!isRefusal(error)) throw error;
    // Whichever unique key is met first: a slice that was done before has its receipt.
    if (mayBeDone(error)) {
      const left = await leftOf(services, stream, order, prepared.orders);
      if (left?.length === 0) return NOTHING;
      if (left) return executeRuns(services, stream, { ...order, slices: left });
    }
    services.log.error({ err: error }, 'a run cannot be evaluated or stored; looking for it');
    const slices = await skipRefused(stream, order.slot, prepared.slices, around);
    logSkipped(services.log, slices);
    try {
      return await commitEvaluation(stream, order.slot, slices, around);
    } catch (again) {
      if (!isRefusal(again)) throw again;
      const bare = slices.map(withoutRefusedTriggers);
      return await commitEvaluation(stream, order.slot, bare, around);
    }
  }
}

/** What is to be done again when a statement was refused: because of other orders, or as some is done; else undefined. */
async function leftOf(
  services: WorkerServices,
  stream: Stream,
  order: WorkOrder,
  { version }: Governance,
): Promise<readonly SliceOrder[] | undefined> {
  const inForce = await services.orders.reload();
  if (inForce.version !== version) return order.slices;
  const open = await openSlices(stream.session, order.slot, order.slices);
  const left = open.flatMap((position) => order.slices[position] ?? []);
  return left.length < order.slices.length ? left : undefined;
}

function ofKind({ slices, orders }: Prepared, kind: ChunkKind): Prepared {
  return { orders, slices: slices.filter(({ chunk }) => chunk.kind === kind) };
}

function ordersOf({ slices }: Prepared): SliceOrder[] {
  return slices.map(({ stream, sequence, slice, chunk, skip }) => ({
    ...{ stream, sequence, slice, skip },
    laneId: chunk.laneId,
  }));
}

/** One line for each run that is recorded as failed without being done. */
function logSkipped(log: Logger, slices: readonly PreparedSlice[]): void {
  for (const { stream, sequence, chunk, skip } of slices) {
    for (const index of skip) {
      const run = chunk.body.runs[index];
      const runId = run?.[2]?.id ?? formatAddress(chunk.acceptedMs, stream, sequence, index, 0);
      const workflow = run && chunk.body.triggers[run[0]]?.key;
      log.error(
        { runId, workflow },
        'the run cannot be evaluated or stored; it is recorded as failed',
      );
    }
  }
}

/** Slices, and the orders that their triggers were compared with. */
type Prepared = { readonly slices: readonly PreparedSlice[]; readonly orders: Governance };

async function prepare(
  services: WorkerServices,
  stream: Stream,
  slot: number,
  slices: readonly SliceOrder[],
): Promise<Prepared> {
  // The log may have been read twice; within one statement a slice would stand in its own way.
  const distinct = new Map(
    slices.map((entry) => [`${entry.stream} ${entry.sequence} ${entry.slice}`, entry]),
  );
  const wanted = [...distinct.values()];
  const chunks = await services.chunks.get(stream.session, slot, wanted);
  const environments = new Set(
    chunks.flatMap((chunk) => (chunk ? [environmentOfLane(chunk.laneId)] : [])),
  );
  const orders = services.orders.current();
  const accounts = await services.orders.accountsOf(orders, environments);
  return {
    orders,
    slices: wanted.flatMap(({ stream: number, sequence, slice, skip }, i) => {
      const chunk = chunks[i];
      // A chunk is gone only after all of its slices got their receipts.
      if (!chunk) return [];
      const governed = governedTriggers(orders, accounts, chunk, slice);
      return [{ stream: number, sequence, slice, chunk, skip, governed }];
    }),
  };
}
