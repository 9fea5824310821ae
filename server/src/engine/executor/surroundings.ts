import type { PackPolicy } from '../../bodies/packs.ts';
import type { EnvironmentsInUse } from '../../control/environments-in-use.ts';
import type { Queryable } from '../../db/database.ts';
import type { Clock } from '../../lib/clock.ts';
import type { JsonObject } from '../../lib/json.ts';
import type { SecretBox } from '../../lib/secret-box.ts';
import type { CompiledWorkflow } from '../../workflows/compiled-workflow.ts';
import type { BatchScope } from '../../workflows/scope.ts';
import type { BatchOfRun } from '../../workflows/step.ts';
import type { StepSecrets } from '../../workflows/step-secrets.ts';
import {
  type ChunkTrigger,
  environmentOfLane,
  type FanOut,
  isResumed,
  mayBeStopped,
  type ObjectReference,
  type RunsBody,
} from '../log/chunk.ts';
import { type ClosedWindow, readBatches } from '../windows/read-batches.ts';
import type { DecodedChunk } from './chunk-cache.ts';
import { type EnvironmentDefaults, NO_DEFAULTS } from './environment-defaults.ts';
import { type Surroundings, settledUntil } from './evaluate-run.ts';
import { haveSubscribers } from './fan-out-page.ts';
import { loadNeeds } from './load-needs.ts';

import { collectionOf, createRecipientLoader, idOf } from './load-recipients.ts';
import { loadStops, type Stops } from './load-stops.ts';
import { LookUps } from './look-ups.ts';
import { isDatabaseTrouble } from './receipts.ts';
import type { RecipientLinks } from './recipient-links.ts';
import { stepSecrets } from './sealed-requests.ts';
import type { GovernedTriggers } from './set-aside.ts';

/** What is known without the slices. */
export type LoadServices = RecipientLinks & {
  readonly clock: Clock;
  readonly workflows: { readonly get: (versionId: number) => Promise<CompiledWorkflow> };
  readonly environments: EnvironmentsInUse;
  readonly environmentDefaults: (environmentId: number) => Promise<EnvironmentDefaults>;
  /** Seals requests that have secrets in them; absent: nothing has. */
  readonly secretBox?: SecretBox;
  /** Absent: no object store is configured. */
  readonly bodies?: PackPolicy;
};

/** Runs of a chunk, by their numbers: from the first to before the last. Those of governed triggers need nothing. */
export type WantedRuns = {
  readonly chunk: DecodedChunk<RunsBody>;
  readonly from: number;
  readonly to: number;
  readonly governed: GovernedTriggers;
};

const NO_BATCH: BatchScope = { activities: [], actors: [], totalActivities: 0, totalActors: 0 };

const NO_VARS: JsonObject = {};

/** Loads what the runs need, set-wise: recipients once, workflow versions from memory. */
export async function loadSurroundings(
  services: LoadServices,
  db: Queryable,
  parts: readonly WantedRuns[],
  ordersVersion: number,
): Promise<Surroundings> {
  const loader = createRecipientLoader();
  const workflows = new Map<number, CompiledWorkflow | Error>();
  const vars = new Map<number, Variables>();
  const defaults = new Map<number, EnvironmentDefaults>();
  const resumed: { environmentId: number; trigger: ChunkTrigger }[] = [];
  const fanOuts: { environmentId: number; fan: FanOut }[] = [];
  const inBatches: (ClosedWindow & BatchOfRun)[] = [];
  for (const { chunk, from, to, governed } of parts) {
    const environmentId = environmentOfLane(chunk.laneId);
    defaults.set(environmentId, NO_DEFAULTS);
    const seen = new Set<number>();
    const withChannelData = new Set<number>();
    for (let index = from; index < Math.min(to, chunk.body.runs.length); index++) {
      const run = chunk.body.runs[index];
      if (!run || governed.has(run[0])) continue;
      const batch = run[2]?.batch;
      if (batch) {
        const workflowKey = chunk.body.triggers[run[0]]?.key ?? '';
        inBatches.push({ ...batch, environmentId, workflowKey, recipient: run[1] });
      }
      const trigger = chunk.body.triggers[run[0]];
      if (!trigger) continue;
      const number = loader.want(environmentId, collectionOf(run[1]), idOf(run[1]), trigger.tenant);
      if (withChannelData.has(run[0])) loader.wantChannelData(number);
      const state = run[2];
      if (state?.sub) loader.want(environmentId, ...state.sub[0], null);
      if (state?.fan && !isResumed(state)) fanOuts.push({ environmentId, fan: state.fan });
      if (seen.has(run[0])) continue;
      seen.add(run[0]);
      if (trigger.actor !== null) {
        loader.want(environmentId, collectionOf(trigger.actor), idOf(trigger.actor), null);
      }
      if (trigger.tenant !== null) {
        loader.want(environmentId, '$tenants', trigger.tenant, null);
      }
      const workflow = workflows.get(trigger.version) ?? (await workflowOrError(services, trigger));
      workflows.set(trigger.version, workflow);
      if (!(workflow instanceof Error) && workflow.needsChannelData) {
        withChannelData.add(run[0]);
        loader.wantChannelData(number);
      }
      if (mayBeStopped(trigger, run[2])) resumed.push({ environmentId, trigger });
    }
  }
  for (const environmentId of defaults.keys()) {
    vars.set(environmentId, await varsOf(services, environmentId));
    defaults.set(environmentId, await services.environmentDefaults(environmentId));
  }
  const stops: Stops | undefined = resumed.length > 0 ? await loadStops(db, resumed) : undefined;
  const recipients = await loader.load(db);
  const legs = fanOuts.length > 0 ? await legsOf(db, fanOuts) : undefined;
  const scopes = inBatches.length > 0 ? await readBatches(db, inBatches) : [];
  const batches = new Map(inBatches.map(({ window }, i) => [window, scopes[i]]));
  const lookUps = new LookUps();
  const known: Pick<Surroundings, 'nowMs' | 'workflow' | 'recipient' | 'environmentDefaults'> = {
    nowMs: services.clock.now(),
    workflow: (versionId) =>
      workflows.get(versionId) ?? new Error('the workflow version is unknown'),
    recipient: (environmentId, collection, id, tenant) =>
      recipients[loader.want(environmentId, collection, id, tenant)] ?? {
        scope: { id },
        preferences: undefined,
        tenantPreferences: undefined,
      },
    environmentDefaults: (environmentId) => defaults.get(environmentId) ?? NO_DEFAULTS,
  };
  const { unsubscribeUrl, preferencesUrl } = services;
  return {
    ...known,
    ...(unsubscribeUrl ? { unsubscribeUrl } : {}),
    ...(preferencesUrl ? { preferencesUrl } : {}),
    ...(services.bodies ? { bodies: services.bodies } : {}),
    ...(await loadNeeds(db, parts, workflows.values(), known)),
    ordersVersion,
    breathe: () => new Promise((resolve) => setImmediate(resolve)),
    vars: (environmentId) => vars.get(environmentId)?.vars ?? NO_VARS,
    secrets: (environmentId) => vars.get(environmentId)?.secrets,
    lookUps,
    loadLookUps: (wants) => lookUps.load(db, wants),
    batch: ({ window }) => batches.get(window) ?? NO_BATCH,
    legs: (fan) => legs?.get(fan) ?? [],
    stopped: (environmentId, trigger, run) =>
      stops?.reason(environmentId, trigger, run[1], settledUntil(run[2])),
  };
}

/** The objects of triggers that somebody subscribes to. */
async function legsOf(
  db: Queryable,
  fanOuts: readonly { readonly environmentId: number; readonly fan: FanOut }[],
): Promise<ReadonlyMap<FanOut, readonly ObjectReference[]>> {
  const objects = fanOuts.flatMap(({ environmentId, fan }) =>
    fan.direct.flatMap((object) =>
      typeof object === 'string' ? [] : [{ environmentId, fan, object }],
    ),
  );
  const has = await haveSubscribers(db, objects);
  const legs = new Map<FanOut, ObjectReference[]>();
  for (const [i, { fan, object }] of objects.entries()) {
    if (has[i]) legs.set(fan, [...(legs.get(fan) ?? []), object]);
  }
  return legs;
}

type Variables = { readonly vars: JsonObject; readonly secrets?: StepSecrets | undefined };

async function varsOf(
  { environments, secretBox }: LoadServices,
  environmentId: number,
): Promise<Variables> {
  try {
    const environment = environments.peek(environmentId) ?? (await environments.get(environmentId));
    const { vars, secrets } = environment;
    return secretBox ? { vars, secrets: stepSecrets(secretBox, environmentId, secrets) } : { vars };
  } catch (error) {
    if (isDatabaseTrouble(error)) throw error;
    // An environment that is gone must not keep its neighbours' work from being done.
    return { vars: NO_VARS };
  }
}

/** A version that cannot be made ready fails its runs, not its neighbours; a database error is thrown. */
async function workflowOrError(
  services: LoadServices,
  trigger: ChunkTrigger,
): Promise<CompiledWorkflow | Error> {
  try {
    return await services.workflows.get(trigger.version);
  } catch (error) {
    if (isDatabaseTrouble(error)) throw error;
    return error instanceof Error ? error : new Error(String(error));
  }
}
