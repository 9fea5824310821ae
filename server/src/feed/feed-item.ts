import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts';
import { ksuidFromUuid } from '../lib/ksuid.ts';
import { type EmbeddedRow, embeddedRecipient } from './embedded-recipient.ts';
import { type FeedBlock, feedBlocks } from './feed-blocks.ts';
import { mergedData } from './message-json.ts';
import { versionUuid } from './version-uuid.ts';

export type FeedMode = 'compact' | 'rich';

export type FeedRow = {
  readonly id: string;
  readonly workflow_key: string;
  readonly version_id: number;
  readonly workflow_run_id: string;
  readonly tenant: string | null;
  readonly content: JsonObject;
  readonly trigger_data: JsonObject | null;
  readonly inserted_at: Date;
  readonly updated_at: Date | null;
  readonly seen_at: Date | null;
  readonly read_at: Date | null;
  readonly interacted_at: Date | null;
  readonly archived_at: Date | null;
  readonly link_clicked_at: Date | null;
  readonly run_data: JsonObject | null;
  readonly actor: Json;
  readonly actor_row: EmbeddedRow | null;
  readonly user_row: EmbeddedRow | null;
  readonly categories: Json;
  readonly template: Json;
};

/** A feed item as it goes over the wire. */
export function feedItem(row: FeedRow, userId: string, mode: FeedMode): FeedItem {
  const id = ksuidFromUuid(row.id);
  const data = mergedData(row.run_data, row.trigger_data) ?? {};
  const actor = embeddedRecipient(row.actor, row.actor_row);
  const insertedAt = row.inserted_at.toISOString();
  const updatedAt = (row.updated_at ?? row.inserted_at).toISOString();
  return {
    __typename: 'FeedItem',
    __cursor: id,
    id,
    activities: [
      {
        __typename: 'Activity',
        id: ksuidFromUuid(row.workflow_run_id),
        actor: actor ?? null,
        recipient: embeddedRecipient(userId, row.user_row) ?? null,
        data,
        inserted_at: insertedAt,
        updated_at: insertedAt,
      },
    ],
    actors: actor ? [actor] : [],
    archived_at: iso(row.archived_at),
    blocks: feedBlocks(row.content, isJsonObject(row.template) ? row.template : null),
    clicked_at: iso(row.link_clicked_at),
    data,
    inserted_at: insertedAt,
    interacted_at: iso(row.interacted_at),
    link_clicked_at: iso(row.link_clicked_at),
    read_at: iso(row.read_at),
    seen_at: iso(row.seen_at),
    source: {
      __typename: 'Workflow',
      key: row.workflow_key,
      version_id: versionUuid(row.version_id),
      categories: Array.isArray(row.categories) ? row.categories : [],
    },
    tenant: row.tenant,
    total_activities: 1,
    total_actors: actor ? 1 : 0,
    updated_at: updatedAt,
    ...(mode === 'compact' ? compact(data) : {}),
  };
}

export type FeedItem = {
  readonly id: string;
  readonly __cursor: string;
  readonly blocks: readonly FeedBlock[];
  readonly [field: string]: unknown;
};

/** What the compact mode leaves out; undefined members vanish from the JSON text. */
function compact(data: JsonObject): { readonly [field: string]: unknown } {
  const flat = Object.entries(data).filter(
    ([, value]) => value === null || typeof value !== 'object',
  );
  return { activities: undefined, total_activities: undefined, data: Object.fromEntries(flat) };
}

function iso(date: Date | null): string | null {
  return date === null ? null : date.toISOString();
}
