import { plainArray, textArray } from '../../db/array-literal.ts';
import type { Queryable } from '../../db/database.ts';
import type { JsonObject } from '../../lib/json.ts';
import type { Effect, WaitQuestion } from '../../workflows/step.ts';
import type { Asked } from '../executor/evaluate-run.ts';
import { collectionOf, idOf } from '../executor/load-recipients.ts';
import type { NewChunk } from '../log/chunk.ts';

/** Registers runs that wait for events, beside the timers at which their waits end. */
export async function writeListeners(
  tx: Queryable,
  _nowMs: number,
  effects: readonly Asked<Effect>[],
): Promise<readonly NewChunk[]> {
  const column = (value: (effect: Asked<Effect>) => string): string =>
    textArray(effects.map(value));
  await tx.query(
    {
      name: 'listen',
      text: `insert into event_wait
    (run_id, ref, environment_id, collection, recipient_id, kind, source, event, workflow_run_id, lane_id, flow,
     trigger, state, expires_at)
  select run_id, ref, environment_id, collection, recipient_id, kind, source, event, workflow_run_id, lane_id, flow,
         trigger, state, to_timestamp(until_ms / 1000)
  from unnest($1::uuid[], $2::text[], $3::int[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
              $9::uuid[], $10::int[], $11::smallint[], $12::jsonb[], $13::jsonb[], $14::double precision[])
    as w(run_id, ref, environment_id, collection, recipient_id, kind, source, event, workflow_run_id, lane_id, flow,
         trigger, state, until_ms)`,
    },
    [
      column(({ by }) => by.runId),
      column(({ by }) => by.ref),
      plainArray(effects.map(({ by }) => by.environmentId)),
      column(({ by }) => collectionOf(by.recipient)),
      column(({ by }) => idOf(by.recipient)),
      ...['listenTo', 'source', 'event'].map((name) => column(({ about }) => String(about[name]))),
      column(({ by }) => by.trigger.id),
      plainArray(effects.map(({ about }) => Number(about.laneId))),
      plainArray(effects.map(({ about }) => Number(about.flow))),
      column(({ by: { trigger } }) => {
        const { data: _, ...rest } = trigger;
        return JSON.stringify(rest);
      }),
      column(({ about }) => JSON.stringify(about.state)),
      plainArray(effects.map(({ about }) => Number(about.untilMs))),
    ],
  );
  return [];
}

/**
 * Ends waits: `taken` says whether the run is the asker's. Of several wake-ups of a run one gets it, whichever
 * transaction is committed first, and within one the first.
 */
export async function takeWaits(
  tx: Queryable,
  _nowMs: number,
  questions: readonly Asked<WaitQuestion>[],
): Promise<readonly JsonObject[]> {
  const rows = await tx.query<{ run_id: string; ref: string }>(
    {
      name: 'take_waits',
      text: `with locked as materialized (
    select w.run_id, w.ref
    from event_wait w
    join (select distinct * from unnest($1::uuid[], $2::text[]) as a(run_id, ref)) asked using (run_id, ref)
    order by w.run_id, w.ref
    for update of w
  )
  delete from event_wait w
  using locked
  where w.run_id = locked.run_id
    and w.ref = locked.ref
  returning w.run_id, w.ref`,
    },
    [textArray(questions.map(({ by }) => by.runId)), textArray(questions.map(({ by }) => by.ref))],
  );
  const open = new Set(rows.map((row) => `${row.run_id} ${row.ref}`));
  return questions.map(({ by, about }) => ({
    taken: open.delete(`${by.runId} ${by.ref}`),
    event: about.event ?? null,
  }));
}
