import type { EnvironmentContext } from '../context.ts';
import { formatAddress, parseAddress, RECIPIENT_RUN_PART } from '../lib/address.ts';
import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts';
import type { RecipientRun } from './run-row.ts';

const RUNS = 0;
const LANES_PER_ENVIRONMENT = 4;

/**
 * A run that waits in the log for its first execution: its id says which chunk it is in and where.
 * Undefined when the id is no address of a run of this environment, or the chunk is gone. The
 * body's format is in engine/README.md.
 */
export async function findQueuedRun(
  ctx: EnvironmentContext,
  id: string,
): Promise<RecipientRun | undefined> {
  const address = parseAddress(id);
  if (address?.part !== RECIPIENT_RUN_PART) return undefined;
  const { stream, sequence, index } = address;
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
  return queuedJson(id.toLowerCase(), trigger, recipient ?? null, acceptedMs);
}

function queuedJson(
  id: string,
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
    status: 'queued',
    error_count: 0,
    trigger_source: { type: 'api', cancellation_key: text(trigger.cancel) },
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
