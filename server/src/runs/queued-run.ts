import type { EnvironmentContext } from '../context.ts';
import { formatAddress, parseAddress, RECIPIENT_RUN_PART } from '../lib/address.ts';
import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts';
import { type RecipientRun, triggerSource } from './run-row.ts';

const RUNS = 0;
const LANES_PER_ENVIRONMENT = 4;
const FIRST_ASIDE_SLOT = 43;
/** A run is in one chunk, in two while it changes orders; data of triggers may look like its id too. */
const MAX_ASIDE_CHUNKS = 4;

/**
 * A run that waits in the log for its first execution: its id says which chunk it is in and where, or came in
 * before an order set it aside. Undefined when the id is no address of a run of this environment, or the run is
 * in no chunk. The body's format is in engine/README.md.
 */
export async function findQueuedRun(
  ctx: EnvironmentContext,
  id: string,
): Promise<RecipientRun | undefined> {
  const address = parseAddress(id);
  if (address?.part !== RECIPIENT_RUN_PART) return undefined;
  const { stream, sequence, index } = address;
  const aside = await findRunAside(ctx, id.toLowerCase(), stream, sequence);
  if (aside) return aside;
  const [chunk] = await ctx.db.query<{ body: string; accepted_at: Date }>(
    `
    select body, accepted_at
    from chunk
    where stream = $1
      and sequence = $2
      and kind = ${RUNS}
      and lane_id / ${LANES_PER_ENVIRONMENT} = $3
    limit 1`,
    [stream, sequence, ctx.environment.id],
  );
  if (!chunk) return undefined;
  const acceptedMs = chunk.accepted_at.getTime();
  if (formatAddress(acceptedMs, stream, sequence, index, RECIPIENT_RUN_PART) !== id.toLowerCase()) {
    return undefined;
  }
  const body: unknown = JSON.parse(chunk.body);
  const { triggers, runs } = isJsonObject(body) ? body : {};
  const run = Array.isArray(runs) ? runs[index] : undefined;
  if (!Array.isArray(run) || !Array.isArray(triggers)) return undefined;
  const [position, recipient, state] = run as readonly Json[];
  const trigger = triggers[Number(position)];
  // A run that goes on has its own id, and its rows since its first execution.
  if (!isJsonObject(trigger) || (isJsonObject(state) && state.id !== undefined)) return undefined;
  return queuedJson(id.toLowerCase(), 'queued', trigger, recipient ?? null, acceptedMs);
}

/** A run that was set aside keeps its id; what was discarded and not replayed is cancelled. */
async function findRunAside(
  ctx: EnvironmentContext,
  id: string,
  stream: number,
  sequence: number,
): Promise<RecipientRun | undefined> {
  const chunks = await ctx.db.query<{ body: string; accepted_at: Date; discarded: boolean }>(
    `
    select c.body, c.accepted_at, o.verb = 'discard' and o.ended_at is null as discarded
    from chunk c
    join work_order o on o.id = c.order_id
    where c.slot >= ${FIRST_ASIDE_SLOT}
      and c.source_stream = $1
      and c.source_sequence = $2
      and c.kind = ${RUNS}
      and c.lane_id / ${LANES_PER_ENVIRONMENT} = $3
      -- A chunk's runs are set aside in up to 50 parts: only the one with the id is read and parsed.
      and position($4 in c.body) > 0
    order by discarded desc
    limit ${MAX_ASIDE_CHUNKS}`,
    [stream, sequence, ctx.environment.id, `"id":"${id}"`],
  );
  for (const chunk of chunks) {
    const body: unknown = JSON.parse(chunk.body);
    const { triggers, runs } = isJsonObject(body) ? body : {};
    if (!Array.isArray(runs) || !Array.isArray(triggers)) continue;
    for (const run of runs) {
      const [position, recipient, state] = Array.isArray(run) ? (run as readonly Json[]) : [];
      if (!isJsonObject(state ?? null) || (state as JsonObject).id !== id) continue;
      const trigger = triggers[Number(position)];
      if (!isJsonObject(trigger)) continue;
      const status = chunk.discarded ? 'cancelled' : 'queued';
      return queuedJson(id, status, trigger, recipient ?? null, chunk.accepted_at.getTime());
    }
  }
  return undefined;
}

function queuedJson(
  id: string,
  status: 'queued' | 'cancelled',
  trigger: JsonObject,
  recipient: Json,
  acceptedMs: number,
): RecipientRun {
  const text = (value: Json | undefined) => (typeof value === 'string' ? value : null);
  const time = new Date(acceptedMs).toISOString();
  return {
    __typename: 'WorkflowRecipientRun',
    id,
    workflow_run_id: text(trigger.id) ?? '',
    workflow: text(trigger.key) ?? '',
    recipient: referenceJson(recipient),
    actor: referenceJson(trigger.actor ?? null),
    tenant: text(trigger.tenant),
    status,
    error_count: 0,
    trigger_source: triggerSource(text(trigger.cancel)),
    inserted_at: time,
    updated_at: time,
  };
}

/** The log has `"id"` and `["collection","id"]`. */
function referenceJson(reference: Json): Json {
  if (!Array.isArray(reference)) return reference;
  const [collection, id] = reference as readonly Json[];
  return { id: id ?? null, collection: collection ?? null };
}
