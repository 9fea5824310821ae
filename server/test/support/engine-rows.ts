import type { Database } from '../../src/db/database.ts';
import type { ChunkRef } from '../../src/engine/log/chunk.ts';

export type Step = { step_ref: string; outcome: string; reason?: string; attempt?: number };
export type RunRow = {
  id: string;
  recipient_id: string;
  status: number;
  error_count: number;
  steps: Step[];
};

export const runsOf = (db: Database, runId: string): Promise<RunRow[]> =>
  db.query<RunRow>(
    `select id, recipient_id, status, error_count, steps
     from recipient_run
     where workflow_run_id = $1
     order by id`,
    [runId],
  );

export type Segment = { segment: number; status: number; error_count: number; steps: Step[] };

export const segmentsOf = (db: Database, runId: string): Promise<Segment[]> =>
  db.query<Segment>(
    `select s.segment, s.status, s.error_count, s.steps
     from recipient_run_segment s
     join recipient_run r on r.id = s.recipient_run_id
     where r.workflow_run_id = $1
     order by r.id, s.segment`,
    [runId],
  );

export type MessageRow = {
  id: string;
  recipient_id: string;
  status: number;
  step_ref: string;
  content: { body?: string };
};

export const messagesOf = (db: Database, runId: string): Promise<MessageRow[]> =>
  db.query<MessageRow>(
    `select id, recipient_id, status, step_ref, content
     from message
     where workflow_run_id = $1
     order by id`,
    [runId],
  );

export const receiptsOf = (
  db: Database,
  ref: ChunkRef,
): Promise<{ slice: number; done: number; failed: number }[]> =>
  db.query(
    `select slice, done, failed
     from receipt
     where slot = $1
       and stream = $2
       and sequence = $3
     order by slice`,
    [ref.slot, ref.stream, ref.sequence],
  );
