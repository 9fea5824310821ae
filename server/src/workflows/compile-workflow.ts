import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts';
import type { CompiledWorkflow } from './compiled-workflow.ts';
import { compileConditions } from './conditions.ts';
import type { CompiledStep, CompileEnvironment } from './step.ts';
import { stepDefinition } from './steps/registry.ts';

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
  const { conditions } = content;
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
    steps: (Array.isArray(content.steps) ? content.steps : [])
      .filter(isJsonObject)
      .map((step: JsonObject) => compileStep(step, input.environment)),
  };
}

/** The texts of a list; what is no list has none. */
export function texts(value: Json | undefined): string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
}

function compileStep(step: JsonObject, environment: CompileEnvironment): CompiledStep {
  const definition = stepDefinition(step, environment);
  if ('unknownType' in definition) {
    throw new Error(`there is no step of the type "${definition.unknownType}"`);
  }
  return definition.compile(step, environment);
}
