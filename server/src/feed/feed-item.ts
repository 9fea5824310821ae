import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts';
import { ksuidFromUuid } from '../lib/ksuid.ts';
import { versionUuid } from '../lib/version-uuid.ts';
import { type Activity, type ActivityRow, activity, actorsOf, batchOf } from './activities.ts';
import type { ShowRecipient } from './embedded-recipient.ts';
import { type FeedBlock, feedBlocks } from './feed-blocks.ts';
import { mergedData } from './message-json.ts';
import type { StepTemplate } from './step-templates.ts';
import { type Tracking, trackedFeedContent } from './tracked-links.ts';

export type FeedMode = 'compact' | 'rich';

export type FeedRow = {
  readonly id: string;
  readonly recipient_run_id: string;
  readonly accepted_at: Date | null;
  readonly batch: Json;
  readonly workflow_key: string;
  readonly version_id: number;
  readonly step_ref: string;
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
};

/** What the items of a page are shown with. */
export type FeedView = {
  readonly userId: string;
  readonly mode: FeedMode;
  /** The user and the actors of items that came out of no batch. */
  readonly recipient: ShowRecipient;
  readonly step: (row: FeedRow) => StepTemplate | undefined;
  /** The newest activities of batches, by message. */
  readonly batches: ReadonlyMap<string, readonly ActivityRow[]>;
  /** Absent: links are shown as they were written. */
  readonly tracking?: Tracking | undefined;
};

/** A feed item as it goes over the wire. */
export function feedItem(row: FeedRow, view: FeedView): FeedItem {
  const { mode, tracking } = view;
  const id = ksuidFromUuid(row.id);
  const data = shown(mergedData(row.run_data, row.trigger_data) ?? {});
  const recipient = view.recipient(view.userId, row.inserted_at) ?? null;
  const newest = view.batches.get(row.id);
  const activities = newest
    ? newest.map((one) => {
        const { data: itsData, ...rest } = activity(one, recipient);
        return { ...rest, data: shown(itsData ?? {}) };
      })
    : [onlyActivity(row, view.recipient, { recipient, data })];
  const step = view.step(row);
  const actors = actorsOf(activities);
  const batch = batchOf(row.batch);
  const content = trackedFeedContent(tracking, row.id, row.content);
  const insertedAt = row.inserted_at.toISOString();
  const updatedAt = (row.updated_at ?? row.inserted_at).toISOString();
  const item = {
    __typename: 'FeedItem',
    __cursor: id,
    id,
    activities,
    actors,
    archived_at: iso(row.archived_at),
    blocks: feedBlocks(content, isJsonObject(step?.template) ? step.template : null),
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
      categories: Array.isArray(step?.categories) ? step.categories : [],
    },
    tenant: row.tenant,
    total_activities: batch?.totalActivities ?? 1,
    total_actors: batch?.totalActors ?? actors.length,
    updated_at: updatedAt,
  };
  return mode === 'compact' ? { ...item, ...compact(data, actors) } : item;
}

/** Without the files that an e-mail of the workflow has. */
function shown(data: JsonObject): JsonObject {
  if (!('attachments' in data)) return data;
  const { attachments: _, ...others } = data;
  return others;
}

/** The trigger itself, where there was no batch. */
function onlyActivity(
  row: FeedRow,
  show: ShowRecipient,
  shared: Pick<Activity, 'recipient' | 'data'>,
): Activity {
  const at = row.accepted_at ?? row.inserted_at;
  const time = at.toISOString();
  return {
    __typename: 'Activity',
    id: ksuidFromUuid(row.recipient_run_id),
    actor: show(row.actor, at) ?? null,
    ...shared,
    inserted_at: time,
    updated_at: time,
  };
}

export type FeedItem = {
  readonly id: string;
  readonly __cursor: string;
  readonly blocks: readonly FeedBlock[];
  readonly [field: string]: unknown;
};

/** What the compact mode leaves out; undefined members vanish from the JSON text. */
function compact(
  data: JsonObject,
  actors: readonly JsonObject[],
): { readonly [field: string]: unknown } {
  const flat = Object.entries(data).filter(
    ([, value]) => value === null || typeof value !== 'object',
  );
  return {
    activities: undefined,
    actors: actors.slice(0, 1),
    total_activities: undefined,
    data: Object.fromEntries(flat),
  };
}

function iso(date: Date | null): string | null {
  return date === null ? null : date.toISOString();
}
