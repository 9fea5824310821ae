import { channelTypeFromNumber } from '../channels/channel-type.ts';
import type { EnvironmentContext } from '../context.ts';
import { deliveryStatusName } from '../feed/delivery-status.ts';
import { lowestUuidAt } from '../lib/address.ts';
import { BelfryError } from '../lib/errors.ts';
import { isUuid } from '../lib/uuid.ts';
import { findQueuedRun } from './queued-run.ts';
import {
  type Delivery,
  type RunEvent,
  type RunMessage,
  runEvents,
  type Segment,
  type StepRecord,
} from './run-events.ts';
import { type RecipientRun, RUN_COLUMNS, type RunRow, runJson, runTables } from './run-row.ts';

export type RecipientRunDetail = RecipientRun & { readonly events: readonly RunEvent[] };

type DetailRow = RunRow & { readonly steps: readonly StepRecord[]; readonly executed_at: Date };

type MessageRow = Omit<RunMessage, 'channel_type' | 'deliveries'> & {
  readonly channel_type: number;
};

type DeliveryRow = Omit<Delivery, 'status'> & {
  readonly message_id: string;
  readonly status: number;
};

/** Steps of a workflow are few; a step that is retried and a delay make a segment each. */
const SEGMENT_LIMIT = 1_000;

/** One run with its events, also while it is still queued. */
export async function getRun(
  ctx: EnvironmentContext,
  input: { readonly id: string },
): Promise<RecipientRunDetail> {
  const { id } = input;
  const row = isUuid(id) ? await findRow(ctx, id) : undefined;
  if (row && row.recipient_id !== '') {
    const segments: Segment[] = [
      { segment: 0, executed_at: row.executed_at, steps: row.steps },
      ...(await readSegments(ctx, row.id)),
    ];
    return { ...runJson(row), events: runEvents(row.id, segments, await readMessages(ctx, row)) };
  }
  // Of a deleted recipient's runs only their number is kept.
  const queued = row ? undefined : await findQueuedRun(ctx, id);
  if (queued) return { ...queued, events: [] };
  throw new BelfryError(
    'resource_missing',
    `There is no workflow recipient run ${JSON.stringify(id.slice(0, 100))} in this environment`,
  );
}

async function findRow(ctx: EnvironmentContext, id: string): Promise<DetailRow | undefined> {
  const [row] = await ctx.db.query<DetailRow>(
    `
    select ${RUN_COLUMNS}, r.steps, r.executed_at
    from ${runTables()}
    where r.id = $1
      and r.environment_id = $2`,
    [id, ctx.environment.id],
  );
  return row;
}

function readSegments(ctx: EnvironmentContext, runId: string): Promise<Segment[]> {
  return ctx.db.query<Segment>(
    `
    select segment, executed_at, steps
    from recipient_run_segment
    where recipient_run_id = $1
    order by segment
    limit ${SEGMENT_LIMIT}`,
    [runId],
  );
}

async function readMessages(ctx: EnvironmentContext, run: RunRow): Promise<RunMessage[]> {
  // Message ids hold the time at which they were made, never before the trigger.
  const rows = await ctx.db.query<MessageRow>(
    `
    select id, step_ref, channel_type, inserted_at
    from message
    where environment_id = $1
      and recipient_id = $2
      and collection = $3
      and recipient_run_id = $4
      and id >= $5
    order by id
    limit ${SEGMENT_LIMIT}`,
    [
      ctx.environment.id,
      run.recipient_id,
      run.collection,
      run.id,
      lowestUuidAt(run.accepted_at.getTime()),
    ],
  );
  const deliveries = await readDeliveries(ctx, rows);
  return rows.map((row) => ({
    ...row,
    channel_type: channelTypeFromNumber(row.channel_type) ?? 'unknown',
    deliveries: deliveries.get(row.id) ?? [],
  }));
}

async function readDeliveries(
  ctx: EnvironmentContext,
  messages: readonly MessageRow[],
): Promise<Map<string, Delivery[]>> {
  const byMessage = new Map<string, Delivery[]>();
  if (messages.length === 0) return byMessage;
  const rows = await ctx.db.query<DeliveryRow>(
    `
    select message_id, attempt, status, provider, detail, attempted_at
    from delivery
    where message_id = any($1::uuid[])
    order by message_id, attempt
    limit ${SEGMENT_LIMIT}`,
    [messages.map(({ id }) => id)],
  );
  for (const { message_id: id, status, ...row } of rows) {
    const known = byMessage.get(id) ?? [];
    known.push({ ...row, status: deliveryStatusName(status) });
    byMessage.set(id, known);
  }
  return byMessage;
}
