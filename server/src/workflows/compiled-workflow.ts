import type { JsonObject } from '../lib/json.ts';
import type { CompiledStep, RunScope } from './step.ts';

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
  readonly steps: readonly CompiledStep[];
};
