import type { Json, JsonObject } from '../lib/json.ts';

/** A row of `schedule`, as `SCHEDULE_COLUMNS` reads it. */
export type ScheduleRow = {
  readonly id: string;
  readonly workflow_key: string;
  readonly collection: string;
  readonly recipient_id: string;
  /** A reference as it is in JSON. */
  readonly actor: Json;
  readonly tenant: string | null;
  readonly data: JsonObject;
  readonly repeats: readonly JsonObject[];
  readonly scheduled_at: Date | null;
  readonly starts_at: Date;
  readonly ending_at: Date | null;
  readonly last_occurrence_at: Date | null;
  readonly next_occurrence_at: Date | null;
  readonly inserted_at: Date;
  readonly updated_at: Date;
};

export const SCHEDULE_COLUMNS = `s.id, s.workflow_key, s.collection, s.recipient_id, s.actor, s.tenant, s.data, s.repeats,
    s.scheduled_at, s.starts_at, s.ending_at, s.last_occurrence_at, s.next_occurrence_at, s.inserted_at, s.updated_at`;

/** Rules of one schedule. */
export const MAX_REPEATS = 10;
