import { plainArray, textArray } from '../../db/array-literal.ts';
import type { Queryable, Statement } from '../../db/database.ts';
import type { JsonObject } from '../../lib/json.ts';
import type { OnceQuestion, ThrottleQuestion } from '../../workflows/step.ts';
import type { Asked } from '../executor/evaluate-run.ts';
import { collectionOf, idOf } from '../executor/load-recipients.ts';
import { inLockOrder, windowKey } from './window-key.ts';

const THROTTLE: Statement = {
  name: 'take_from_throttles',
  text: `insert into throttle_window (environment_id, key, closes_at, taken)
  select t.environment_id, t.key, t.closes_at, t.taken
  from unnest($1::int[], $2::uuid[], $3::timestamptz[], $4::bigint[]) as t(environment_id, key, closes_at, taken)
  order by t.environment_id, t.key
  on conflict (environment_id, key) do update
  set taken = case
        when throttle_window.closes_at <= $5::timestamptz then excluded.taken
        else throttle_window.taken + excluded.taken
      end,
      closes_at = case
        when throttle_window.closes_at <= $5::timestamptz then excluded.closes_at
        else throttle_window.closes_at
      end
  returning environment_id, key::text, closes_at, taken`,
};

const ONCE: Statement = {
  name: 'take_once',
  text: `insert into once_run (environment_id, key, run_id)
  select o.environment_id, o.key, o.run_id
  from unnest($1::int[], $2::uuid[], $3::uuid[]) as o(environment_id, key, run_id)
  order by o.environment_id, o.key
  on conflict (environment_id, key) do nothing
  returning environment_id, key::text`,
};

/** Of the runs of a key, the first that there is room for pass. */
export async function passThrottles(
  tx: Queryable,
  nowMs: number,
  questions: readonly Asked<ThrottleQuestion>[],
): Promise<JsonObject[]> {
  const groups = inLockOrder(questions, ({ by, about }) => ({
    environmentId: by.environmentId,
    key: windowKey('throttle', by.trigger.key, by.ref, ...who(by.recipient), about.key),
  }));
  const rows = await tx.query<{
    environment_id: number;
    key: string;
    closes_at: Date;
    taken: number;
  }>(THROTTLE, [
    plainArray(groups.map(({ environmentId }) => environmentId)),
    plainArray(groups.map(({ key }) => key)),
    textArray(
      groups.map(({ positions }) => {
        const first = questions[positions[0] ?? -1];
        return new Date(first?.about.closesMs ?? nowMs).toISOString();
      }),
    ),
    plainArray(groups.map(({ positions }) => positions.length)),
    new Date(nowMs).toISOString(),
  ]);
  const taken = new Map(rows.map((row) => [`${row.environment_id} ${row.key}`, row]));
  const answers: JsonObject[] = questions.map(() => ({}));
  for (const { environmentId, key, positions } of groups) {
    const row = taken.get(`${environmentId} ${key}`);
    if (!row) continue;
    const before = row.taken - positions.length;
    positions.forEach((position, i) => {
      const limit = questions[position]?.about.limit ?? 0;
      answers[position] = { passes: before + i < limit, closesMs: row.closes_at.getTime() };
    });
  }
  return answers;
}

/** The first run of a key is the first for ever. */
export async function takeOnce(
  tx: Queryable,
  _nowMs: number,
  questions: readonly Asked<OnceQuestion>[],
): Promise<JsonObject[]> {
  const groups = inLockOrder(questions, ({ by, about }) => ({
    environmentId: by.environmentId,
    key: windowKey(
      'once',
      by.trigger.key,
      ...who(by.recipient),
      about.perTenant,
      about.perTenant ? by.trigger.tenant : null,
    ),
  }));
  const rows = await tx.query<{ environment_id: number; key: string }>(ONCE, [
    plainArray(groups.map(({ environmentId }) => environmentId)),
    plainArray(groups.map(({ key }) => key)),
    plainArray(groups.map(({ positions }) => questions[positions[0] ?? -1]?.by.runId)),
  ]);
  const isNew = new Set(rows.map((row) => `${row.environment_id} ${row.key}`));
  const answers: JsonObject[] = questions.map(() => ({ isFirst: false }));
  for (const { environmentId, key, positions } of groups) {
    const [first] = positions;
    if (first !== undefined && isNew.has(`${environmentId} ${key}`))
      answers[first] = { isFirst: true };
  }
  return answers;
}

function who(recipient: Parameters<typeof idOf>[0]): readonly [collection: string, id: string] {
  return [collectionOf(recipient), idOf(recipient)];
}
