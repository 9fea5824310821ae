import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts';
import type { CompiledWorkflow } from './compiled-workflow.ts';
import { looksAtActivities, workflowNeeds } from './condition-needs.ts';
import { compileConditions } from './conditions.ts';
import { compileSteps } from './program.ts';
import type { CompileEnvironment } from './step.ts';
import { stepList } from './step-list.ts';

export type CompileWorkflowInput = {
  readonly versionId: number;
  readonly environmentId: number;
  readonly key: string;
  /** Without problems: see `workflowProblems`. */
  readonly content: JsonObject;
  readonly environment: CompileEnvironment;
};

/** A published version, ready to run: every template parsed, every channel resolved. */
export function compileWorkflow(input: CompileWorkflowInput): CompiledWorkflow {
  const { content, key } = input;
  const name = typeof content.name === 'string' ? content.name : key;
  const categories = texts(content.categories);
  const settings = isJsonObject(content.settings) ? content.settings : {};
  const overridePreferences = settings.override_preferences === true;
  const { conditions, trigger_frequency: frequency } = content;
  const needs = workflowNeeds(content, input.environment);
  const steps = compileSteps(stepList(content.steps), input.environment);
  return {
    versionId: input.versionId,
    environmentId: input.environmentId,
    key,
    name,
    categories,
    overridePreferences,
    scope: {
      id: key,
      key,
      name,
      categories,
      commercial: settings.is_commercial === true,
      override_preferences: overridePreferences,
    },
    ...(isJsonObject(conditions) && Object.keys(conditions).length > 0
      ? { conditions: compileConditions(conditions) }
      : {}),
    ...(needs ? { needs } : {}),
    ...(looksAtActivities(content, input.environment) ? { looksAtActivities: true as const } : {}),
    ...(steps.some((step) => step.needsChannelData) ? { needsChannelData: true as const } : {}),
    ...(frequency === 'once_per_recipient' || frequency === 'once_per_recipient_per_tenant'
      ? { once: frequency }
      : {}),
    steps,
  };
}

/** The texts of a list; what is no list has none. */
export function texts(value: Json | undefined): string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
}
