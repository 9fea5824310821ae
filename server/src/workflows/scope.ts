import type { JsonObject } from '../lib/json.ts';
import { type Lookup, lookup } from '../templates/template-scope.ts';
import type { RunScope } from './step.ts';

export type RunScopeInput = {
  readonly recipient: JsonObject;
  readonly actor: JsonObject | null;
  readonly tenant: JsonObject | null;
  /** The trigger's data, this recipient's own merged in. Shared, never copied. */
  readonly data: JsonObject;
  /** `CompiledWorkflow.scope` */
  readonly workflow: JsonObject;
  readonly vars: JsonObject;
  /** ISO 8601, UTC; made once a slice. */
  readonly timestamp: string;
  readonly refs?: JsonObject;
  /** Absent: the run came out of no batch. */
  readonly batch?: BatchScope;
  /** Whether somebody looks at the one activity of a run outside of a batch; it is a copy of the data. */
  readonly listsActivity?: boolean;
  readonly audiences?: JsonObject;
  /** Absent: templates cannot look anybody up. */
  readonly lookup?: Lookup;
};

/** What a run sees of the batch that it came out of. */
export type BatchScope = {
  readonly activities: readonly JsonObject[];
  readonly actors: readonly JsonObject[];
  readonly totalActivities: number;
  readonly totalActors: number;
};

const NO_REFS: JsonObject = {};
const NO_AUDIENCES: JsonObject = {};

/**
 * What one recipient's templates and conditions see. Always the same keys in the same order, so
 * that all scopes share one hidden class; templates find data keys at the top level without a copy
 * (see `templates/template-scope.ts`), and no data key can shadow a name of the scope.
 */
export function runScope(input: RunScopeInput): RunScope {
  const { actor, batch } = input;
  const run = batch
    ? { total_activities: batch.totalActivities, total_actors: batch.totalActors }
    : actor
      ? ONE_ACTIVITY
      : ONE_ACTIVITY_OF_NOBODY;
  return {
    recipient: input.recipient,
    actor,
    tenant: input.tenant,
    data: input.data,
    workflow: input.workflow,
    vars: input.vars,
    timestamp: input.timestamp,
    run,
    total_activities: run.total_activities,
    total_actors: run.total_actors,
    refs: input.refs ?? NO_REFS,
    activities: batch?.activities ?? (input.listsActivity ? [onlyActivity(input)] : NO_ACTIVITIES),
    actors: batch?.actors ?? (actor ? [actor] : []),
    $audiences: input.audiences ?? NO_AUDIENCES,
    [lookup]: input.lookup,
  };
}

const NO_ACTIVITIES: readonly JsonObject[] = [];

function onlyActivity({ data, actor, recipient }: RunScopeInput | RunScope): JsonObject {
  return activityOf(data, actor, recipient);
}

const ONE_ACTIVITY = { total_activities: 1, total_actors: 1 };
const ONE_ACTIVITY_OF_NOBODY = { total_activities: 1, total_actors: 0 };

/** The scope of a run that has come out of a batch. */
export function withBatch(scope: RunScope, batch: BatchScope): RunScope {
  const { activities, actors, totalActivities, totalActors } = batch;
  const totals = { total_activities: totalActivities, total_actors: totalActors };
  return { ...scope, run: totals, ...totals, activities, actors };
}

/** The scope of a run whose data, recipient or tenant has become another; out of a batch, activities stay what they were. */
export function withChanges(
  scope: RunScope,
  changes: {
    readonly data?: JsonObject | undefined;
    readonly recipient?: JsonObject | undefined;
    readonly tenant?: JsonObject | undefined;
  },
  isOfBatch: boolean,
): RunScope {
  const changed = {
    ...scope,
    data: changes.data ?? scope.data,
    recipient: changes.recipient ?? scope.recipient,
    tenant: changes.tenant ?? scope.tenant,
  };
  if (isOfBatch || scope.activities.length === 0) return changed;
  return { ...changed, activities: [onlyActivity(changed)] };
}

/** What templates see of an activity: its data, who did it and for whom, whatever the data has under these names. */
export function activityOf(
  data: JsonObject,
  actor: JsonObject | null,
  recipient: JsonObject,
): JsonObject {
  return { ...data, data, actor, recipient };
}
