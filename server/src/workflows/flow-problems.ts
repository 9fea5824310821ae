import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts';
import type { CompileEnvironment, Problem } from './step.ts';
import { stepDefinition } from './steps/registry.ts';

/** More than any valid workflow nests. */
const MAX_DEPTH = 8;

/** A path in a condition that begins with a step's ref. */
const REF = /^\s*refs(?:\.([^.[\]\s"'{}|]+)|\[(?:"([^"]+)"|'([^']+)')\])/;

type Walk = {
  readonly environment: CompileEnvironment;
  /** Where each step of the workflow is, by its ref. */
  readonly places: ReadonlyMap<string, string>;
  readonly problems: Problem[];
};

/**
 * What the order of steps makes wrong: conditions on steps that cannot have been executed before, and steps and
 * branches that no run comes to. `places` has every step's path by its ref.
 */
export function flowProblems(
  content: JsonObject,
  steps: readonly JsonObject[],
  environment: CompileEnvironment,
  places: ReadonlyMap<string, string>,
): Problem[] {
  const walk: Walk = { environment, places, problems: [] };
  checkRefs(content.conditions ?? null, '$.conditions', new Set(), walk);
  walkList(steps, '$.steps', new Set(), walk, 0);
  return walk.problems;
}

/** Adds the refs of a list's steps to those that came before; says whether a run may go on behind it. */
function walkList(
  steps: readonly JsonObject[],
  path: string,
  before: Set<string>,
  walk: Walk,
  depth: number,
): boolean {
  let ended: string | undefined;
  for (const [index, step] of steps.entries()) {
    const place = `${path}[${index}]`;
    if (ended !== undefined) {
      const reason = `is never reached: the run ends in every branch of the step ${ended}`;
      walk.problems.push({ path: place, reason });
      return false;
    }
    const goesOn = walkStep(step, place, before, walk, depth);
    if (typeof step.ref === 'string') before.add(step.ref);
    if (!goesOn) ended = JSON.stringify(step.ref ?? place);
  }
  return ended === undefined;
}

function walkStep(
  step: JsonObject,
  path: string,
  before: Set<string>,
  walk: Walk,
  depth: number,
): boolean {
  const definition = stepDefinition(step, walk.environment);
  const arms = 'unknownType' in definition ? undefined : definition.arms?.(step);
  if ('unknownType' in definition || !arms || depth >= MAX_DEPTH) {
    checkRefs(step, path, before, walk);
    return true;
  }
  checkRefs(withoutSteps(step), path, before, walk);
  let goesOn = definition.alwaysTakesArm?.(step) !== true;
  const after = new Set(before);
  for (const arm of arms) {
    const inside = new Set(before);
    const armGoesOn = walkList(arm.steps, `${path}.${arm.path}`, inside, walk, depth + 1);
    if (armGoesOn && !arm.terminates) goesOn = true;
    for (const ref of inside) after.add(ref);
  }
  for (const ref of after) before.add(ref);
  return goesOn;
}

/** The step without what is in its arms, all other paths as they are. */
function withoutSteps(value: JsonObject): JsonObject {
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [
      key,
      key === 'steps'
        ? null
        : Array.isArray(item)
          ? item.map((one) => (isJsonObject(one) ? withoutSteps(one) : one))
          : item,
    ]),
  );
}

/** Finds conditions, wherever in the value they are. */
function checkRefs(value: Json, path: string, before: ReadonlySet<string>, walk: Walk): void {
  if (Array.isArray(value)) {
    value.forEach((item, index) => {
      checkRefs(item, `${path}[${index}]`, before, walk);
    });
    return;
  }
  if (!isJsonObject(value)) return;
  const isCondition = typeof value.operator === 'string';
  for (const [key, item] of Object.entries(value)) {
    if (isCondition && typeof item === 'string' && (key === 'variable' || key === 'argument')) {
      checkRef(item, `${path}.${key}`, before, walk);
    } else {
      checkRefs(item, `${path}.${key}`, before, walk);
    }
  }
}

function checkRef(text: string, path: string, before: ReadonlySet<string>, walk: Walk): void {
  const [, plain, double, single] = REF.exec(text) ?? [];
  const ref = plain ?? double ?? single;
  if (ref === undefined || before.has(ref)) return;
  const place = walk.places.get(ref);
  const reason =
    place === undefined
      ? `there is no step with the ref "${ref}"`
      : `the step "${ref}" (${place}) has not been executed here: it comes later, or in another branch`;
  walk.problems.push({ path, reason });
}
