import type { Queryable } from '../../db/database.ts';
import { parseAddress } from '../../lib/address.ts';
import type { Json, JsonObject } from '../../lib/json.ts';
import { deepMerge } from '../../lib/json.ts';
import type { RecipientReference } from '../engine.ts';
import { referenceOf, USERS } from '../log/chunk.ts';
import type { TriggerFacts } from './rules.ts';

/** What orders ask of the trigger that a message came of, and what is shown of it. */
export type DeliveryFacts = Omit<TriggerFacts, 'accountId'> & {
  readonly messageId: string;
  readonly runId: string;
  readonly recipient: RecipientReference;
  readonly actor: Json;
  readonly data: JsonObject;
};

/** Facts of messages; those that are gone have none. */
export async function loadDeliveryFacts(
  db: Queryable,
  messageIds: readonly string[],
): Promise<DeliveryFacts[]> {
  const rows = await db.query<{
    id: string;
    environment_id: number;
    workflow_key: string;
    tenant: string | null;
    workflow_run_id: string;
    recipient_run_id: string;
    collection: string;
    recipient_id: string;
    trigger_data: JsonObject | null;
    data: JsonObject | null;
    actor: Json;
    api_key_id: number | null;
  }>(
    `select m.id, m.environment_id, m.workflow_key, m.tenant, m.workflow_run_id, m.recipient_run_id,
            m.collection, m.recipient_id, m.trigger_data, w.data, w.actor, w.api_key_id
     from message m
     left join workflow_run w on w.id = m.workflow_run_id
     where m.id = any($1::uuid[])`,
    [messageIds],
  );
  return rows.map((row) => ({
    messageId: row.id,
    runId: row.recipient_run_id,
    environmentId: row.environment_id,
    apiKeyId: row.api_key_id ?? undefined,
    workflow: row.workflow_key,
    tenant: row.tenant,
    acceptedMs: parseAddress(row.workflow_run_id)?.timeMs ?? 0,
    recipient: referenceOf(
      row.collection === USERS ? row.recipient_id : [row.collection, row.recipient_id],
    ),
    actor: row.actor,
    data: row.trigger_data ? deepMerge(row.data ?? {}, row.trigger_data) : (row.data ?? {}),
  }));
}
