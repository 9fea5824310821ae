import { isJsonObject, type JsonObject } from '../lib/json.ts';
import { conditionProblems } from './conditions.ts';
import { flowProblems } from './flow-problems.ts';
import { schemaProblems } from './schema-problems.ts';
import type { CompileEnvironment, Problem } from './step.ts';
import { stepList } from './step-list.ts';
import { stepDefinition, stepTypes } from './steps/registry.ts';
import { triggerDataSchemaProblems } from './trigger-data.ts';
import { Workflow } from './workflow-schema.ts';

const MAX_CHANNEL_STEPS = 50;
const MAX_STEPS = 100;
/** Branches and cohorts inside of each other. */
const MAX_DEPTH = 5;

/** Everything that is wrong with a workflow's JSON, each with its JSON path. */
export function workflowProblems(content: unknown, environment: CompileEnvironment): Problem[] {
  if (!isJsonObject(content)) return [{ path: '$', reason: 'must be a JSON object' }];
  const problems = schemaProblems(Workflow, content, '$');
  problems.push(...conditionProblems(content.conditions, '$.conditions'));
  problems.push(
    ...triggerDataSchemaProblems(content.trigger_data_json_schema, '$.trigger_data_json_schema'),
  );
  const steps = stepList(content.steps);
  const placed = everyStep(steps, '$.steps', environment);
  const places = new Map(placed.map(({ step, path }) => [String(step.ref), path]));
  return [
    ...problems,
    ...countProblems(placed),
    ...stepsProblems(placed, environment),
    ...flowProblems(content, steps, environment, places),
  ];
}

/** The key of a workflow, as part of the wire contract. */
export function workflowKeyProblem(key: unknown): string | undefined {
  if (typeof key === 'string' && /^[a-z0-9_-]{3,255}$/.test(key)) return undefined;
  return `the key ${JSON.stringify(key) ?? ''} must have 3 to 255 of a-z, 0-9, "_" and "-"`;
}

type PlacedStep = { readonly step: JsonObject; readonly path: string; readonly depth: number };

/** Steps and those inside them, in the order of the file; `depth` is the number of steps that a step is inside of. */
function everyStep(
  steps: readonly JsonObject[],
  path: string,
  environment: CompileEnvironment,
  depth = 0,
): PlacedStep[] {
  return steps.flatMap((step, index) => {
    const place = { step, path: `${path}[${index}]`, depth };
    const definition = stepDefinition(step, environment);
    // What is too deep is told once, where it begins.
    if ('unknownType' in definition || depth >= MAX_DEPTH) return [place];
    const arms = definition.arms?.(step) ?? [];
    const inside = arms.flatMap((arm) =>
      everyStep(arm.steps, `${place.path}.${arm.path}`, environment, depth + 1),
    );
    return [place, ...inside];
  });
}

function countProblems(steps: readonly PlacedStep[]): Problem[] {
  const problems: Problem[] = [];
  const channelSteps = steps.filter(({ step }) => step.type === 'channel').length;
  if (channelSteps > MAX_CHANNEL_STEPS) {
    const reason = `has ${channelSteps} channel steps, at most ${MAX_CHANNEL_STEPS} are allowed`;
    problems.push({ path: '$.steps', reason });
  }
  if (steps.length > MAX_STEPS) {
    const reason = `has ${steps.length} steps, at most ${MAX_STEPS} are allowed`;
    problems.push({ path: '$.steps', reason });
  }
  return problems;
}

function stepsProblems(steps: readonly PlacedStep[], environment: CompileEnvironment): Problem[] {
  const places = new Map<string, string>();
  return steps.slice(0, MAX_STEPS).flatMap(({ step, path, depth }) => {
    const problems = stepProblems(step, path, environment);
    if (depth >= MAX_DEPTH && (step.type === 'branch' || step.type === 'random_cohort')) {
      problems.push({
        path,
        reason: `is inside of ${depth} others, at most ${MAX_DEPTH - 1} are allowed`,
      });
    }
    if (typeof step.ref !== 'string') return problems;
    const earlier = places.get(step.ref);
    if (!earlier) places.set(step.ref, path);
    else
      problems.push({ path: `${path}.ref`, reason: `"${step.ref}" is the ref of ${earlier} too` });
    return problems;
  });
}

function stepProblems(step: JsonObject, path: string, environment: CompileEnvironment): Problem[] {
  const definition = stepDefinition(step, environment);
  if (!('unknownType' in definition)) {
    // Beyond the schema only when it holds, so that no defect is told twice.
    const problems = schemaProblems(definition.schema, step, path);
    return problems.length > 0 ? problems : definition.problems(step, path, environment);
  }
  const types = stepTypes().join(', ');
  if (definition.unknownType === 'channel') {
    const key = JSON.stringify(step.channel_key ?? null);
    const reason = `the account has no channel ${key}, and the step names no channel_type`;
    return [{ path: `${path}.channel_key`, reason }];
  }
  const reason = `there is no step of the type "${definition.unknownType}"; there are ${types}`;
  return [{ path: `${path}.type`, reason }];
}
