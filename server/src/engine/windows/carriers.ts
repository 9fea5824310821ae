import { plainArray, textArray } from '../../db/array-literal.ts';
import type { Queryable, Statement } from '../../db/database.ts';
import { faultPoint } from '../../lib/fault-point.ts';
import type { Effect } from '../../workflows/step.ts';
import type { Asked, ParkedRun } from '../executor/evaluate-run.ts';
import { GatheredRuns } from '../executor/products.ts';
import { type NewChunk, RUNS, type RunState } from '../log/chunk.ts';

const PARK: Statement = {
  name: 'park_batch_carriers',
  text: `insert into batch_carrier (window_id, lane_id, flow, run)
  select window_id, lane_id, flow, run
  from unnest($1::bigint[], $2::int[], $3::smallint[], $4::json[]) as c(window_id, lane_id, flow, run)
  on conflict (window_id) do update
  set run = excluded.run`,
};

const WAKE: Statement = {
  name: 'wake_batch_carriers',
  text: `delete from batch_carrier
  where window_id = any($1::bigint[])
  returning window_id, lane_id, flow, run`,
};

type CarrierRow = {
  readonly window_id: number;
  readonly lane_id: number;
  readonly flow: number;
  readonly run: Pick<ParkedRun, 'trigger' | 'recipient' | 'state'>;
};

/** Keeps the parked runs of windows that may close early, and wakes those whose windows do. */
export async function writeCarriers(
  tx: Queryable,
  nowMs: number,
  effects: readonly Asked<Effect>[],
): Promise<readonly NewChunk[]> {
  const parked = effects.flatMap(({ about, parked: run }) =>
    about.op === 'park' && run ? [{ window: Number(about.window), run }] : [],
  );
  if (parked.length > 0) {
    await tx.query(PARK, [
      plainArray(parked.map(({ window }) => window)),
      plainArray(parked.map(({ run }) => run.laneId)),
      plainArray(parked.map(({ run }) => run.flow)),
      textArray(
        parked.map(({ run: { trigger, recipient, state } }) =>
          JSON.stringify({ trigger, recipient, state }),
        ),
      ),
    ]);
    faultPoint('batch.after-park');
  }
  const due = new Map(
    effects.flatMap(({ about }) =>
      about.op === 'wake' ? [[Number(about.window), Number(about.dueMs)] as const] : [],
    ),
  );
  if (due.size === 0) return [];
  const rows = await tx.query<CarrierRow>(WAKE, [plainArray([...due.keys()])]);
  faultPoint('batch.after-wake');
  const woken = new GatheredRuns();
  for (const { window_id: window, lane_id: laneId, flow, run } of rows) {
    const { trigger, recipient, state } = run;
    const dueMs = due.get(window) ?? nowMs;
    woken.add(RUNS, { laneId, flow }, dueMs, trigger, recipient, wokenState(state));
  }
  return woken.chunks();
}

/** Nobody else can wake it any more. */
function wokenState(state: RunState): RunState {
  const { claim } = state;
  const answer = { ...state.answer, is_woken: true };
  if (claim?.question.kind !== 'batch' || claim.question.op !== 'close')
    return { ...state, answer };
  return {
    ...state,
    answer,
    claim: { ...claim, question: { ...claim.question, hasCarrier: false } },
  };
}
