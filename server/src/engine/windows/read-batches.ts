import { plainArray, textArray } from '../../db/array-literal.ts';
import type { Queryable, Statement } from '../../db/database.ts';
import { keptActivity } from '../../feed/kept-activities.ts';
import type { JsonObject } from '../../lib/json.ts';
import { activityOf, type BatchScope } from '../../workflows/scope.ts';
import type { BatchOfRun } from '../../workflows/step.ts';
import { collectionOf, createRecipientLoader, idOf } from '../executor/load-recipients.ts';
import type { WireReference } from '../log/chunk.ts';

/** A closed window, and whose it is. */
export type ClosedWindow = Pick<BatchOfRun, 'window' | 'order' | 'limit' | 'closedMs'> & {
  readonly environmentId: number;
  readonly workflowKey: string;
  readonly recipient: WireReference;
};

const WINDOWS = `unnest($1::bigint[], $2::int[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::int[])
    with ordinality as w(id, environment_id, workflow_key, collection, recipient_id, closed_at, rows, n)`;

const KEPT = keptActivity({
  environmentId: 'w.environment_id',
  workflowKey: 'w.workflow_key',
  collection: 'w.collection',
  recipientId: 'w.recipient_id',
  closedAt: 'w.closed_at',
});

const COUNT: Statement = {
  name: 'count_batches',
  text: `select w.n::int as n, count(*)::int as activities, count(distinct a.actor)::int as actors
  from ${WINDOWS}
  join batch_activity a on a.window_id = w.id
  where ${KEPT}
  group by w.n`,
};

const read = (direction: 'asc' | 'desc'): Statement => ({
  name: `read_batches_${direction}`,
  text: `select w.n::int as n, a.workflow_run_id, a.actor, a.data
  from ${WINDOWS}
  cross join lateral (
    select a.accepted_at, a.run_id, a.workflow_run_id, a.actor, a.data
    from batch_activity a
    where a.window_id = w.id
      and ${KEPT}
    order by a.accepted_at ${direction}, a.run_id ${direction}
    limit w.rows
  ) as a
  order by w.n, a.accepted_at, a.run_id`,
});
const READ = { asc: read('asc'), desc: read('desc') };

const DATA: Statement = {
  name: 'read_batch_data',
  text: `select id, data
  from workflow_run
  where id = any($1::uuid[])`,
};

/** How many activities, and different actors, are in each. */
export async function countBatches(
  tx: Queryable,
  windows: readonly ClosedWindow[],
): Promise<{ readonly totalActivities: number; readonly totalActors: number }[]> {
  const rows = await tx.query<{ n: number; activities: number; actors: number }>(
    COUNT,
    values(windows),
  );
  const counts = new Map(rows.map((row) => [row.n, row]));
  return windows.map((_, i) => {
    const { activities = 0, actors = 0 } = counts.get(i + 1) ?? {};
    return { totalActivities: activities, totalActors: actors };
  });
}

type ActivityRow = {
  readonly n: number;
  readonly workflow_run_id: string;
  readonly actor: string | null;
  readonly data: JsonObject | null;
};

type Activity = { readonly row: ActivityRow; readonly actor: number | undefined };

/**
 * What templates see of closed windows: their first or last activities in order of time. Data is that of the triggers,
 * each read once.
 */
export async function readBatches(
  tx: Queryable,
  windows: readonly (ClosedWindow & Pick<BatchOfRun, 'totalActivities' | 'totalActors'>)[],
): Promise<BatchScope[]> {
  const loader = createRecipientLoader();
  const recipients = windows.map(({ environmentId, recipient }) =>
    loader.want(environmentId, collectionOf(recipient), idOf(recipient), null),
  );
  const activities: Activity[][] = windows.map(() => []);
  for (const order of ['asc', 'desc'] as const) {
    const positions = windows.flatMap((window, i) => (window.order === order ? [i] : []));
    if (positions.length === 0) continue;
    const chosen = positions.flatMap((i) => windows[i] ?? []);
    for (const row of await tx.query<ActivityRow>(READ[order], values(chosen))) {
      const position = positions[row.n - 1] ?? -1;
      const window = windows[position];
      if (!window) continue;
      const reference = row.actor === null ? undefined : (JSON.parse(row.actor) as WireReference);
      const actor =
        reference === undefined
          ? undefined
          : loader.want(window.environmentId, collectionOf(reference), idOf(reference), null);
      activities[position]?.push({ row, actor });
    }
  }
  const data = await triggerData(tx, activities.flat());
  const loaded = await loader.load(tx);
  return windows.map(({ totalActivities, totalActors }, i) => {
    const own = activities[i] ?? [];
    const recipient = loaded[recipients[i] ?? -1]?.scope ?? {};
    const scopeOf = (actor: number | undefined): JsonObject | null =>
      loaded[actor ?? -1]?.scope ?? null;
    const actors = new Set(own.flatMap(({ actor }) => actor ?? []));
    return {
      totalActivities,
      totalActors,
      actors: [...actors].map(scopeOf).filter((actor) => actor !== null),
      activities: own.map(({ row, actor }) =>
        activityOf(row.data ?? data.get(row.workflow_run_id) ?? {}, scopeOf(actor), recipient),
      ),
    };
  });
}

async function triggerData(
  tx: Queryable,
  activities: readonly Activity[],
): Promise<ReadonlyMap<string, JsonObject>> {
  const ids = new Set(
    activities.flatMap(({ row }) => (row.data === null ? [row.workflow_run_id] : [])),
  );
  if (ids.size === 0) return new Map();
  const rows = await tx.query<{ id: string; data: JsonObject }>(DATA, [plainArray([...ids])]);
  return new Map(rows.map(({ id, data }) => [id, data]));
}

function values(windows: readonly ClosedWindow[]): unknown[] {
  return [
    plainArray(windows.map(({ window }) => window)),
    plainArray(windows.map(({ environmentId }) => environmentId)),
    textArray(windows.map(({ workflowKey }) => workflowKey)),
    textArray(windows.map(({ recipient }) => collectionOf(recipient))),
    textArray(windows.map(({ recipient }) => idOf(recipient))),
    textArray(windows.map(({ closedMs }) => new Date(closedMs).toISOString())),
    plainArray(windows.map(({ limit }) => limit)),
  ];
}
