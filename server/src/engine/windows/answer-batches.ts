import type { Queryable } from '../../db/database.ts';
import type { JsonObject } from '../../lib/json.ts';
import type { BatchQuestion } from '../../workflows/step.ts';
import type { Asked } from '../executor/evaluate-run.ts';
import { type CloseQuestion, closeBatches } from './close-batches.ts';
import { type JoinQuestion, joinBatches } from './join-batches.ts';

/** Runs that join batches, and runs whose batches close. */
export async function answerBatches(
  tx: Queryable,
  nowMs: number,
  questions: readonly Asked<BatchQuestion>[],
): Promise<readonly JsonObject[]> {
  const answers = new Array<JsonObject>(questions.length);
  const closes: (CloseQuestion & { readonly position: number })[] = [];
  const joins: (JoinQuestion & { readonly position: number })[] = [];
  questions.forEach(({ by, about }, position) => {
    if (about.op === 'close') closes.push({ by, about, position });
    else joins.push({ by, about, position });
  });
  const give = (asked: readonly { readonly position: number }[], replies: readonly JsonObject[]) =>
    asked.forEach(({ position }, i) => {
      answers[position] = replies[i] ?? {};
    });
  if (closes.length > 0) give(closes, await closeBatches(tx, nowMs, closes));
  if (joins.length > 0) give(joins, await joinBatches(tx, nowMs, joins));
  return answers;
}
