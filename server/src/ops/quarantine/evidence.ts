import type { Names } from '../names.ts';
import { partsOf, rounded, times } from '../top.ts';
import type { Culprit } from '../traffic.ts';
import type { Decision, Observation } from './decide.ts';
import { type Level, rankOf } from './levels.ts';

/** What was seen of an account when its level changed, or is seen now. */
export type Evidence = {
  readonly arrivals_per_s: number;
  /** What is normal for it; null while nobody knows. */
  readonly normal_per_s: number | null;
  /** Arrivals over normal; null while that is unknown or nearly nothing. */
  readonly factor: number | null;
  /** Of all queued runs, 0 to 1. */
  readonly queue_share: number;
  readonly queued_runs: number;
  readonly oldest_age_ms: number;
  /** When the loud arrivals began, or else the level. */
  readonly since: string;
  readonly environment: { readonly id: number; readonly slug: string | null } | null;
  readonly key: { readonly id: string; readonly hint: string } | null;
  /** Of most of its traffic; null: workflows that do not exist, or no traffic. */
  readonly workflow: string | null;
  readonly source: string | null;
};

export type Sight = {
  readonly seen: Observation;
  readonly decision: Decision;
  /** The loudest second since its level left normal. */
  readonly peakPerS: number;
  readonly totalQueuedRuns: number;
  readonly environmentId: number | undefined;
  readonly culprit: Culprit;
};

/** Ids of the environments whose names evidence about it needs. */
export function environmentOf({ culprit, environmentId }: Sight): number | undefined {
  const { caller } = culprit;
  return (caller && partsOf(caller.key).environmentId) ?? environmentId;
}

export function evidenceOf(sight: Sight, names: Names): Evidence {
  const { seen, decision, peakPerS, totalQueuedRuns, culprit } = sight;
  const normal = decision.surge ? decision.surge.normalPerS : seen.normalPerS;
  const parts = culprit.caller && partsOf(culprit.caller.key);
  const environmentId = environmentOf(sight);
  const since = decision.loudSinceMs ?? decision.sinceMs;
  return {
    arrivals_per_s: rounded(peakPerS, 1),
    normal_per_s: normal === undefined ? null : rounded(normal, 3),
    factor: normal === undefined || normal < 0.01 ? null : rounded(peakPerS / normal, 1),
    queue_share: totalQueuedRuns > 0 ? rounded(seen.queuedRuns / totalQueuedRuns, 4) : 0,
    queued_runs: seen.queuedRuns,
    oldest_age_ms: Math.round(seen.oldestAgeMs),
    since: new Date(Math.min(since, decision.sinceMs)).toISOString(),
    environment:
      environmentId === undefined
        ? null
        : { id: environmentId, slug: names.environment(environmentId) ?? null },
    key: parts?.key ?? null,
    workflow: parts?.workflow || null,
    source: culprit.source ?? null,
  };
}

/**
 * One line that an operator can read at night:
 * `account acme (production), key ...ab12, workflow digest: 61 times its normal, 83 % of the queue, since 04:00:20 UTC`.
 */
export function lineOf(
  account: { readonly id: number; readonly name: string | null },
  e: Evidence,
): string {
  const who = [
    `account ${account.name ?? `#${account.id}`}${e.environment?.slug ? ` (${e.environment.slug})` : ''}`,
    ...(e.key ? [`key ...${e.key.hint}`] : []),
    ...(e.workflow !== null ? [`workflow ${e.workflow}`] : []),
  ].join(', ');
  const facts = [
    e.factor === null
      ? `${Math.round(e.arrivals_per_s)} runs/s where no normal is known`
      : `${times(e.factor)} times its normal`,
    `${Math.round(100 * e.queue_share)} % of the queue`,
    `since ${e.since.slice(11, 19)} UTC`,
  ].join(', ');
  return `${who}: ${facts}`;
}

/** Whether somebody who asks who it is should hear of it: not of one that is large as ever. */
export function isCulprit(level: Level, { factor }: Evidence): boolean {
  return (
    rankOf(level) >= rankOf('surge') || (level === 'noisy' && (factor === null || factor >= 3))
  );
}
