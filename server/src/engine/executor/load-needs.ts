import type { Queryable } from '../../db/database.ts';
import type { JsonObject } from '../../lib/json.ts';
import { MembershipLoader, type Memberships } from '../../recipients/memberships.ts';
import { tenantPreferenceSet } from '../../recipients/preference-layers.ts';
import type { CompiledWorkflow } from '../../workflows/compiled-workflow.ts';
import { audiencesAskedBy } from '../../workflows/condition-cache.ts';
import { environmentOfLane, type RunState } from '../log/chunk.ts';
import type { Surroundings } from './evaluate-run.ts';
import { loadMessageStatus, type MessageRefs } from './load-message-status.ts';
import { collectionOf, idOf } from './load-recipients.ts';
import type { WantedRuns } from './surroundings.ts';

/** What conditions need beside the runs; absent where none needs it. */
export type LoadedNeeds = {
  readonly memberships?: Memberships;
  readonly messageRefs?: MessageRefs;
};

type Known = Pick<Surroundings, 'nowMs' | 'workflow' | 'recipient' | 'environmentDefaults'>;

const NOTHING: LoadedNeeds = {};

/** Loads what the conditions of these runs' workflows and preferences ask about; most ask about nothing. */
export async function loadNeeds(
  db: Queryable,
  parts: readonly WantedRuns[],
  workflows: Iterable<CompiledWorkflow | Error>,
  known: Known,
): Promise<LoadedNeeds> {
  let isNeeded = parts.some(
    ({ chunk }) => known.environmentDefaults(environmentOfLane(chunk.laneId)).hasAudiences,
  );
  for (const workflow of workflows) isNeeded ||= !(workflow instanceof Error) && !!workflow.needs;
  if (!isNeeded) return NOTHING;
  const people = new MembershipLoader();
  const states: RunState[] = [];
  for (const { chunk, from, to, governed } of parts) {
    const environmentId = environmentOfLane(chunk.laneId);
    const { hasAudiences, preferences } = known.environmentDefaults(environmentId);
    for (const run of chunk.body.runs.slice(from, to)) {
      const trigger = chunk.body.triggers[run[0]];
      if (!trigger || governed.has(run[0])) continue;
      const { tenant, actor } = trigger;
      const workflow = known.workflow(trigger.version);
      if (workflow instanceof Error) continue;
      const { needs } = workflow;
      if (needs?.messages && run[2]?.messages) states.push(run[2]);
      const collection = collectionOf(run[1]);
      const id = idOf(run[1]);
      const of = (set: JsonObject | undefined): readonly string[] =>
        set && hasAudiences ? audiencesAskedBy(set) : [];
      const recipient = known.recipient(environmentId, collection, id, tenant);
      if (!hasAudiences && !needs?.audiences.length) continue;
      const keys = [
        ...(needs?.audiences ?? []),
        ...of(preferences),
        ...of(recipient.preferences),
        ...of(recipient.tenantPreferences),
        ...(tenant === null
          ? []
          : of(
              tenantPreferenceSet(known.recipient(environmentId, '$tenants', tenant, null).scope),
            )),
      ];
      people.want(environmentId, collection, id, tenant, keys);
      if (actor !== null)
        people.want(environmentId, collectionOf(actor), idOf(actor), tenant, keys);
    }
  }
  return {
    memberships: await people.load(db, known.nowMs, (environmentId, collection, id, tenant) =>
      known.recipient(environmentId, collection, id, tenant),
    ),
    ...(states.length > 0 ? { messageRefs: await loadMessageStatus(db, states) } : {}),
  };
}
