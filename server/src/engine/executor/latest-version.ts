import { plainArray, textArray } from '../../db/array-literal.ts';
import type { Queryable } from '../../db/database.ts';
import type { CompiledWorkflow } from '../../workflows/compiled-workflow.ts';
import { type ChunkRun, type ChunkTrigger, environmentOfLane, SLICE_RUNS } from '../log/chunk.ts';
import type { PreparedSlice } from './evaluate.ts';
import { isDatabaseTrouble } from './receipts.ts';

type Versions = { readonly get: (versionId: number) => Promise<CompiledWorkflow> };

/** A run whose batch closes and that goes on with the newest version of its workflow. */
type Waking = {
  readonly slice: PreparedSlice;
  readonly index: number;
  readonly environmentId: number;
  readonly trigger: ChunkTrigger;
  readonly ref: string;
};

/**
 * Puts runs whose batches do not pin the version onto the newest one, at the batch step of the same ref. Those whose newest
 * version has no such step stay where they are. Slices without such runs are returned as they are, unread.
 */
export async function onLatestVersions(
  versions: Versions,
  db: Queryable,
  slices: readonly PreparedSlice[],
): Promise<readonly PreparedSlice[]> {
  const waking = slices.flatMap(wakingRuns);
  if (waking.length === 0) return slices;
  const published = await publishedVersions(db, waking);
  const moved = new Map<PreparedSlice, (Waking & { version: number; step: number })[]>();
  for (const run of waking) {
    const version = published.get(`${run.environmentId} ${run.trigger.key}`);
    if (version === undefined || version === run.trigger.version) continue;
    const step = await batchStepOf(versions, version, run.ref);
    if (step === undefined) continue;
    moved.set(run.slice, [...(moved.get(run.slice) ?? []), { ...run, version, step }]);
  }
  return slices.map((slice) => withVersions(slice, moved.get(slice) ?? []));
}

function wakingRuns(slice: PreparedSlice): Waking[] {
  const { chunk, governed } = slice;
  // Nothing that waited for a time is without one.
  if (chunk.dueMs === undefined) return [];
  const from = slice.slice * SLICE_RUNS;
  return chunk.body.runs.slice(from, from + SLICE_RUNS).flatMap(([number, , state], i) => {
    const ref = state?.answer?.latest;
    const trigger = chunk.body.triggers[number];
    if (typeof ref !== 'string' || !trigger || governed.has(number)) return [];
    return [
      { slice, index: from + i, environmentId: environmentOfLane(chunk.laneId), trigger, ref },
    ];
  });
}

async function publishedVersions(
  db: Queryable,
  waking: readonly Waking[],
): Promise<ReadonlyMap<string, number>> {
  const rows = await db.query<{ environment_id: number; key: string; version: number }>(
    `select distinct w.environment_id, w.key, w.published_version_id as version
     from unnest($1::int[], $2::text[]) as r(environment_id, key)
     join workflow w using (environment_id, key)`,
    [
      plainArray(waking.map(({ environmentId }) => environmentId)),
      textArray(waking.map(({ trigger }) => trigger.key)),
    ],
  );
  return new Map(rows.map(({ environment_id: id, key, version }) => [`${id} ${key}`, version]));
}

async function batchStepOf(
  versions: Versions,
  version: number,
  ref: string,
): Promise<number | undefined> {
  try {
    const { steps } = await versions.get(version);
    const step = steps.findIndex((it) => it.ref === ref && it.type === 'batch');
    return step < 0 ? undefined : step;
  } catch (error) {
    if (isDatabaseTrouble(error)) throw error;
    // It cannot run: the version that the batch was opened with can.
    return undefined;
  }
}

/** The slice with its runs under triggers of other versions; what is in memory of its chunk stays as it is. */
function withVersions(
  slice: PreparedSlice,
  moved: readonly { index: number; trigger: ChunkTrigger; version: number; step: number }[],
): PreparedSlice {
  if (moved.length === 0) return slice;
  const { chunk } = slice;
  const triggers = [...chunk.body.triggers];
  const runs: ChunkRun[] = [...chunk.body.runs];
  const numbers = new Map<ChunkTrigger, number>();
  for (const { index, trigger, version, step } of moved) {
    const run = runs[index];
    if (!run) continue;
    const known = numbers.get(trigger);
    const number = known ?? triggers.push({ ...trigger, version }) - 1;
    numbers.set(trigger, number);
    runs[index] = [number, run[1], { ...run[2], step }];
  }
  return { ...slice, chunk: { ...chunk, body: { triggers, runs } } };
}
