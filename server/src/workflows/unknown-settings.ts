import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts';
import type { CompileEnvironment, Problem } from './step.ts';
import { stepList } from './step-list.ts';
import { stepDefinition } from './steps/registry.ts';
import { Workflow } from './workflow-schema.ts';

/** What the management API shows of a workflow, so that its answer can be pushed as it is. */
const SHOWN = new Set([
  'key',
  'sha',
  'environment',
  'valid',
  'created_at',
  'updated_at',
  'deleted_at',
  'archived_at',
  'created_by',
  'updated_by',
]);

/** Where a workflow without problems has settings that nobody reads: mostly misspelt. */
export function unknownSettings(content: JsonObject, environment: CompileEnvironment): Problem[] {
  const shown = Object.fromEntries(Object.entries(content).filter(([name]) => !SHOWN.has(name)));
  return [
    ...unknownIn(Workflow, shown, '$'),
    ...unknownInSteps(stepList(content.steps), '$.steps', environment),
  ];
}

/** As deep as steps without problems are. */
function unknownInSteps(
  steps: readonly JsonObject[],
  path: string,
  environment: CompileEnvironment,
): Problem[] {
  return steps.flatMap((step, index) => {
    const place = `${path}[${index}]`;
    const definition = stepDefinition(step, environment);
    if ('unknownType' in definition) return [];
    const arms = definition.arms?.(step) ?? [];
    return [
      ...unknownIn(definition.schema, step, place),
      ...arms.flatMap((arm) => unknownInSteps(arm.steps, `${place}.${arm.path}`, environment)),
    ];
  });
}

/** An object whose schema names no property may have any. */
function unknownIn(schema: unknown, value: Json | undefined, path: string): Problem[] {
  if (Array.isArray(value)) {
    const items = variants(schema).find((one) => isJsonObject(one.items))?.items;
    return value.flatMap((item, index) => unknownIn(items, item, `${path}[${index}]`));
  }
  if (!isJsonObject(value)) return [];
  const properties = variants(schema).find((one) => isJsonObject(one.properties))?.properties;
  if (!isJsonObject(properties) || Object.keys(properties).length === 0) return [];
  return Object.entries(value).flatMap(([name, inner]) => {
    const at = `${path}.${name}`;
    if (Object.hasOwn(properties, name)) return unknownIn(properties[name], inner, at);
    // Of the files, not of the workflow.
    if (name.startsWith('$') || name.startsWith('__')) return [];
    return [{ path: at, reason: 'is not a known setting, and does nothing' }];
  });
}

function variants(schema: unknown): JsonObject[] {
  if (!isJsonObject(schema)) return [];
  return Array.isArray(schema.anyOf) ? schema.anyOf.filter(isJsonObject) : [schema];
}
