import { deepMerge, type Json, type JsonObject } from '../lib/json.ts';
import { ksuidFromUuid } from '../lib/ksuid.ts';
import { versionUuid } from '../lib/version-uuid.ts';
import { deliveryStatusName } from './delivery-status.ts';
import {
  type RecipientReference,
  recipientReference,
  referenceFromJson,
} from './recipient-reference.ts';

export type MessageRow = {
  readonly id: string;
  readonly collection: string;
  readonly recipient_id: string;
  readonly tenant: string | null;
  readonly workflow_run_id: string;
  readonly recipient_run_id: string;
  readonly workflow_key: string;
  readonly version_id: number;
  readonly step_ref: string;
  readonly trigger_data: JsonObject | null;
  readonly inserted_at: Date;
  readonly scheduled_at: Date | null;
  readonly updated_at: Date | null;
  readonly seen_at: Date | null;
  readonly read_at: Date | null;
  readonly interacted_at: Date | null;
  readonly archived_at: Date | null;
  readonly link_clicked_at: Date | null;
  readonly run_data: JsonObject | null;
  readonly actor: unknown;
  readonly batch: Json;
  readonly categories: unknown;
  readonly delivery_status: number;
  readonly channel_id: string;
  readonly channel_key: string;
  readonly channel_name: string;
  readonly channel_type: string;
  readonly channel_provider: string;
  readonly channel_created_at: Date;
  readonly channel_updated_at: Date;
};

/** A message as it goes over the wire. */
export type Message = {
  readonly __typename: 'Message';
  readonly id: string;
  readonly recipient: RecipientReference;
  readonly status: string;
  readonly engagement_statuses: readonly string[];
  readonly seen_at: string | null;
  readonly read_at: string | null;
  readonly interacted_at: string | null;
  readonly archived_at: string | null;
  readonly [field: string]: unknown;
};

/** `batchActors`: of the newest activities of its batch; absent for a message that came out of none. */
export function messageJson(row: MessageRow, batchActors?: readonly Json[]): Message {
  const actors = new Map(
    (batchActors ?? [row.actor]).flatMap((value) => {
      const reference = referenceFromJson(value);
      return reference === undefined ? [] : [[JSON.stringify(reference), reference] as const];
    }),
  );
  return {
    __typename: 'Message',
    id: ksuidFromUuid(row.id),
    channel_id: row.channel_id,
    channel: {
      id: row.channel_id,
      key: row.channel_key,
      name: row.channel_name,
      type: row.channel_type,
      provider: row.channel_provider,
      created_at: row.channel_created_at.toISOString(),
      updated_at: row.channel_updated_at.toISOString(),
    },
    recipient: recipientReference(row.collection, row.recipient_id),
    actors: [...actors.values()],
    workflow: row.workflow_key,
    source: {
      __typename: 'NotificationSource',
      key: row.workflow_key,
      version_id: versionUuid(row.version_id),
      categories: Array.isArray(row.categories) ? row.categories : [],
      step_ref: row.step_ref,
      type: 'workflow',
      workflow_run_id: row.workflow_run_id,
      workflow_recipient_run_id: row.recipient_run_id,
    },
    tenant: row.tenant,
    status: deliveryStatusName(row.delivery_status),
    engagement_statuses: engagementStatuses(row),
    scheduled_at: iso(row.scheduled_at),
    seen_at: iso(row.seen_at),
    read_at: iso(row.read_at),
    interacted_at: iso(row.interacted_at),
    archived_at: iso(row.archived_at),
    clicked_at: iso(row.link_clicked_at),
    link_clicked_at: iso(row.link_clicked_at),
    data: mergedData(row.run_data, row.trigger_data),
    metadata: {},
    inserted_at: row.inserted_at.toISOString(),
    updated_at: (row.updated_at ?? row.inserted_at).toISOString(),
  };
}

function engagementStatuses(row: MessageRow): string[] {
  const statuses = [
    ['seen', row.seen_at],
    ['read', row.read_at],
    ['interacted', row.interacted_at],
    ['link_clicked', row.link_clicked_at],
    ['archived', row.archived_at],
  ] as const;
  return statuses.flatMap(([name, at]) => (at === null ? [] : [name]));
}

function iso(date: Date | null): string | null {
  return date === null ? null : date.toISOString();
}

/** The trigger's data with what was given for this recipient alone. */
export function mergedData(shared: JsonObject | null, own: JsonObject | null): JsonObject | null {
  return own === null ? shared : deepMerge(shared ?? {}, own);
}
