import { plainArray, textArray } from '../../db/array-literal.ts';
import type { Queryable, Statement } from '../../db/database.ts';
import { faultPoint } from '../../lib/fault-point.ts';
import type { JsonObject } from '../../lib/json.ts';
import type { BatchQuestion } from '../../workflows/step.ts';
import type { Asker } from '../executor/evaluate-run.ts';
import { collectionOf, idOf } from '../executor/load-recipients.ts';
import { type Joined, joinWindow, type OpenWindow, type Wake } from './join-windows.ts';
import { inLockOrder, windowKey } from './window-key.ts';

export type JoinQuestion = {
  readonly by: Asker;
  readonly about: Extract<BatchQuestion, { op: 'join' }>;
};

const LOCK: Statement = {
  name: 'lock_batch_windows',
  text: `insert into batch_window (environment_id, key)
  select k.environment_id, k.key
  from unnest($1::int[], $2::uuid[]) as k(environment_id, key)
  order by k.environment_id, k.key
  on conflict (environment_id, key) do update
  set joined = batch_window.joined
  returning environment_id, key::text, id, opened_at, closes_at, joined`,
};

const NUMBERS: Statement = {
  name: 'batch_window_numbers',
  text: `select nextval('batch_window_number') as id
  from generate_series(1, $1::int)`,
};

const WRITE: Statement = {
  name: 'write_batch_windows',
  text: `with windows as (
    update batch_window w
    set id = n.id, opened_at = n.opened_at, closes_at = n.closes_at, joined = n.joined
    from unnest($1::int[], $2::uuid[], $3::bigint[], $4::timestamptz[], $5::timestamptz[], $6::int[])
      as n(environment_id, key, id, opened_at, closes_at, joined)
    where w.environment_id = n.environment_id
      and w.key = n.key
  )
  insert into batch_activity (window_id, run_id, workflow_run_id, actor, accepted_at, cancellation_key, data)
  select a.window_id, a.run_id, a.workflow_run_id, a.actor, to_timestamp(a.accepted_ms / 1000), a.cancellation_key,
         a.data
  from unnest($7::bigint[], $8::uuid[], $9::uuid[], $10::text[], $11::double precision[], $12::text[],
              $13::jsonb[])
    as a(window_id, run_id, workflow_run_id, actor, accepted_ms, cancellation_key, data)`,
};

const FILLED: Statement = {
  name: 'delete_filled_batch_windows',
  text: `delete from batch_window w
  using unnest($1::int[], $2::uuid[]) as k(environment_id, key)
  where w.environment_id = k.environment_id
    and w.key = k.key`,
};

type WindowRow = {
  readonly environment_id: number;
  readonly key: string;
  readonly id: number;
  readonly opened_at: Date | null;
  readonly closes_at: Date | null;
  readonly joined: number;
};

type Activity = { readonly window: number; readonly question: JoinQuestion };
type Decided = {
  readonly environmentId: number;
  readonly key: string;
  readonly after: OpenWindow | undefined;
};

/** Lets runs join the windows of their keys; what became of each, in order. */
export async function joinBatches(
  tx: Queryable,
  nowMs: number,
  questions: readonly JoinQuestion[],
): Promise<JsonObject[]> {
  const groups = inLockOrder(questions, rowOf);
  const locked = await tx.query<WindowRow>(LOCK, [
    plainArray(groups.map(({ environmentId }) => environmentId)),
    plainArray(groups.map(({ key }) => key)),
  ]);
  faultPoint('batch.after-lock');
  const rows = new Map(locked.map((row) => [`${row.environment_id} ${row.key}`, row]));
  const spare = await numbers(tx, questions, rows, nowMs);
  const answers = new Array<JsonObject>(questions.length);
  const activities: Activity[] = [];
  const decided: Decided[] = [];
  for (const { environmentId, key, positions } of groups) {
    const row = rows.get(`${environmentId} ${key}`);
    const joins = positions.flatMap((position) => questions[position] ?? []);
    const nextId = (): number => {
      const id = spare.pop();
      if (id === undefined) throw new RangeError('there are fewer numbers than windows');
      return id;
    };
    const about = joins.map((join) => join.about);
    const { after, answers: joined, wakes } = joinWindow(windowOf(row), about, nowMs, nextId);
    decided.push({ environmentId, key, after });
    joined.forEach((answer, i) => {
      const question = joins[i];
      const position = positions[i];
      if (!question || position === undefined) return;
      if (answer.kind !== 'leads') activities.push({ window: answer.window, question });
      answers[position] = answerOf(
        answer,
        wakes.filter((wake) => wake.by === i),
      );
    });
  }
  await write(tx, decided, activities);
  faultPoint('batch.after-join');
  return answers;
}

function answerOf(joined: Joined, wakes: readonly Wake[]): JsonObject {
  const woken = wakes.map(({ window, dueMs }) => ({ window, dueMs }));
  switch (joined.kind) {
    case 'leads':
      return { leads: true };
    case 'joined':
      return { joined: joined.window, wakes: woken };
    case 'carries': {
      const { window, untilMs, isDone } = joined;
      return { carries: window, untilMs, isDone, wakes: woken };
    }
  }
}

function rowOf({ by, about }: JoinQuestion): { environmentId: number; key: string } {
  const { environmentId, trigger, recipient, ref } = by;
  const version = about.isPinned ? trigger.version : null;
  const who = [collectionOf(recipient), idOf(recipient)] as const;
  const key = windowKey('batch', trigger.key, version, ref, ...who, about.key);
  return { environmentId, key };
}

function windowOf(row: WindowRow | undefined): OpenWindow | undefined {
  if (!row?.opened_at || !row.closes_at) return undefined;
  const { id, opened_at: opened, closes_at: closes, joined } = row;
  return { id, openedMs: opened.getTime(), closesMs: closes.getTime(), joined };
}

/**
 * Numbers for all windows that can be opened: those that came with new rows, and as many as are missing. A key whose
 * window is open and cannot fill up needs none.
 */
async function numbers(
  tx: Queryable,
  questions: readonly JoinQuestion[],
  rows: ReadonlyMap<string, WindowRow>,
  nowMs: number,
): Promise<number[]> {
  const spare: number[] = [];
  let replaced = 0;
  for (const { id, closes_at: closes } of rows.values()) {
    if (closes === null) spare.push(id);
    else if (closes.getTime() <= nowMs) replaced += 1;
  }
  const short = questions.filter(
    ({ about }) => about.limit !== undefined || about.extension,
  ).length;
  const missing = replaced + short;
  if (missing === 0) return spare;
  const more = await tx.query<{ id: number }>(NUMBERS, [missing]);
  return [...spare, ...more.map(({ id }) => id)];
}

async function write(
  tx: Queryable,
  decided: readonly Decided[],
  activities: readonly Activity[],
): Promise<void> {
  const open = decided.flatMap(({ environmentId, key, after }) =>
    after ? [{ environmentId, key, after }] : [],
  );
  await tx.query(WRITE, [
    plainArray(open.map(({ environmentId }) => environmentId)),
    plainArray(open.map(({ key }) => key)),
    plainArray(open.map(({ after }) => after.id)),
    textArray(open.map(({ after }) => new Date(after.openedMs).toISOString())),
    textArray(open.map(({ after }) => new Date(after.closesMs).toISOString())),
    plainArray(open.map(({ after }) => after.joined)),
    plainArray(activities.map(({ window }) => window)),
    plainArray(activities.map(({ question }) => question.by.runId)),
    plainArray(activities.map(({ question }) => question.by.trigger.id)),
    textArray(activities.map(({ question }) => actorText(question))),
    plainArray(activities.map(({ question }) => question.by.trigger.at)),
    textArray(activities.map(({ question }) => question.by.trigger.cancel)),
    textArray(activities.map(({ question }) => ownData(question))),
  ]);
  const filled = decided.filter(({ after }) => after === undefined);
  if (filled.length === 0) return;
  await tx.query(FILLED, [
    plainArray(filled.map(({ environmentId }) => environmentId)),
    plainArray(filled.map(({ key }) => key)),
  ]);
}

function actorText({ by }: JoinQuestion): string | null {
  return by.trigger.actor === null ? null : JSON.stringify(by.trigger.actor);
}

/** The run's data where it is not its trigger's, which is stored once for all its runs. */
function ownData({ by, about }: JoinQuestion): string | null {
  return about.data === by.trigger.data ? null : JSON.stringify(about.data);
}
