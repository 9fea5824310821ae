import { plainArray } from '../../db/array-literal.ts';
import type { Queryable, Statement } from '../../db/database.ts';
import { faultPoint } from '../../lib/fault-point.ts';
import type { Json, JsonObject } from '../../lib/json.ts';
import type { BatchQuestion, ClosedBatch } from '../../workflows/step.ts';
import type { Asker } from '../executor/evaluate-run.ts';
import { countBatches, readBatches } from './read-batches.ts';

export type CloseQuestion = {
  readonly by: Asker;
  readonly about: Extract<BatchQuestion, { op: 'close' }>;
};

const LOCK: Statement = {
  name: 'lock_closing_batch_windows',
  text: `select id, closes_at
  from batch_window
  where id = any($1::bigint[])
  order by environment_id, key
  for update`,
};

const DELETE: Statement = {
  name: 'delete_batch_windows',
  text: `delete from batch_window
  where id = any($1::bigint[])`,
};

const TAKE_CARRIERS: Statement = {
  name: 'take_batch_carriers',
  text: `delete from batch_carrier
  where window_id = any($1::bigint[])
  returning window_id`,
};

/**
 * Closes the windows of runs that wake up, if their time has come. Deleting a window waits for those who are joining;
 * what is in it is read by a later statement, which sees them.
 */
export async function closeBatches(
  tx: Queryable,
  nowMs: number,
  questions: readonly CloseQuestion[],
): Promise<JsonObject[]> {
  const windows = [...new Set(questions.map(({ about }) => about.window))];
  const rows = await tx.query<{ id: number; closes_at: Date }>(LOCK, [plainArray(windows)]);
  const laterMs = new Map<number, number>();
  const abandoned = new Set(
    questions.flatMap(({ about }) => (about.isAbandoned ? [about.window] : [])),
  );
  for (const { id, closes_at: closesAt } of rows) {
    if (closesAt.getTime() > nowMs && !abandoned.has(id)) laterMs.set(id, closesAt.getTime());
  }
  const due = rows.flatMap(({ id }) => (laterMs.has(id) ? [] : [id]));
  if (due.length > 0) await tx.query(DELETE, [plainArray(due)]);
  faultPoint('batch.after-seal');
  const carried = await takeCarriers(
    tx,
    questions.filter(({ about }) => about.hasCarrier && !laterMs.has(about.window)),
  );
  const closing = questions.filter(
    ({ about }) =>
      !laterMs.has(about.window) &&
      !about.isAbandoned &&
      (!about.hasCarrier || carried.has(about.window)),
  );
  const scopes = await closed(tx, nowMs, closing);
  faultPoint('batch.after-read');
  return questions.map((question) => {
    const { window, hasCarrier, isAbandoned } = question.about;
    const untilMs = laterMs.get(window);
    if (untilMs !== undefined) return { isEarly: true, carries: window, untilMs, hasCarrier };
    if (hasCarrier && !carried.has(window)) return { isGone: true };
    return isAbandoned ? { taken: true } : (scopes.get(question) ?? { isGone: true });
  });
}

async function takeCarriers(
  tx: Queryable,
  questions: readonly CloseQuestion[],
): Promise<ReadonlySet<number>> {
  if (questions.length === 0) return new Set();
  const rows = await tx.query<{ window_id: number }>(TAKE_CARRIERS, [
    plainArray(questions.map(({ about }) => about.window)),
  ]);
  return new Set(rows.map((row) => row.window_id));
}

/** What closed batches give to their runs. */
async function closed(
  tx: Queryable,
  nowMs: number,
  questions: readonly CloseQuestion[],
): Promise<ReadonlyMap<CloseQuestion, JsonObject>> {
  if (questions.length === 0) return new Map();
  const asked = questions.map(({ by, about }) => ({
    environmentId: by.environmentId,
    workflowKey: by.trigger.key,
    recipient: by.recipient,
    window: about.window,
    order: about.order,
    limit: about.limit,
    closedMs: nowMs,
  }));
  const counts = await countBatches(tx, asked);
  const batches = asked.map((batch, i) => {
    const { totalActivities = 0, totalActors = 0 } = counts[i] ?? {};
    return { ...batch, totalActivities, totalActors };
  });
  const scopes = await readBatches(tx, batches);
  const answers = new Map<CloseQuestion, JsonObject>();
  questions.forEach((question, i) => {
    const batch = batches[i];
    const scope = scopes[i];
    if (!batch || !scope) return;
    const { window, order, limit, closedMs, totalActivities, totalActors } = batch;
    const closing: ClosedBatch = {
      batch: { window, order, limit, closedMs, totalActivities, totalActors },
      activities: scope,
      data: combinedData(scope.activities, question.by.trigger.data),
    };
    answers.set(question, closing);
  });
  return answers;
}

const MAX_TEXT = 256;

/**
 * The data of a run that comes out of a batch: the scalars of the activities that templates get, the last one's where
 * several have a key, texts cut; and the attachments of the trigger that opened it.
 */
function combinedData(activities: readonly JsonObject[], opener: JsonObject): JsonObject {
  const combined: Record<string, Json> = {};
  for (const { data } of activities) {
    if (typeof data !== 'object' || data === null || Array.isArray(data)) continue;
    for (const [key, value] of Object.entries(data)) {
      if (typeof value === 'string') combined[key] = value.slice(0, MAX_TEXT);
      else if (typeof value !== 'object' || value === null) combined[key] = value;
    }
  }
  if (opener.attachments !== undefined) combined.attachments = opener.attachments;
  return combined;
}
