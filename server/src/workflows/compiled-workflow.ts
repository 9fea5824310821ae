import type { JsonObject } from '../lib/json.ts';
import type { ConditionNeeds } from './condition-needs.ts';
import type { ProgramStep, RunScope } from './step.ts';

/** A published version, ready to run. */
export type CompiledWorkflow = {
  readonly versionId: number;
  readonly environmentId: number;
  readonly key: string;
  readonly name: string;
  readonly categories: readonly string[];
  readonly overridePreferences: boolean;
  /** What templates see as `workflow`. */
  readonly scope: JsonObject;
  /** Trigger conditions; absent: always. */
  readonly conditions?: (scope: RunScope) => boolean;
  /** What its conditions need beside the run; absent: nothing. */
  readonly needs?: ConditionNeeds;
  /** Something of it looks at `activities`. */
  readonly looksAtActivities?: true;
  /** A step looks at the recipients' push tokens or chat connections. */
  readonly needsChannelData?: true;
  /** Whose later triggers are dropped; absent: nobody's. */
  readonly once?: 'once_per_recipient' | 'once_per_recipient_per_tenant';
  /** Every step, those of arms after the step that has them; where each goes on is in it. */
  readonly steps: readonly ProgramStep[];
};
