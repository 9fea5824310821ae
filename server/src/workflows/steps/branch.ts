import { Type } from 'typebox';
import { isJsonObject, type JsonObject } from '../../lib/json.ts';
import { compileConditions, conditionProblems } from '../conditions.ts';
import { nullable } from '../nullable.ts';
import type { Arm, Problem, StepDefinition } from '../step.ts';
import { stepList } from '../step-list.ts';
import { stepFields } from './channel-step.ts';

const MAX_BRANCHES = 10;

/**
 * Goes on with the first branch whose conditions hold; else with the one that has none, wherever it stands; else
 * with what follows the step.
 */
export const branchStep: StepDefinition = {
  type: 'branch',
  schema: Type.Object({
    ref: stepFields.ref,
    name: stepFields.name,
    description: stepFields.description,
    type: Type.Literal('branch'),
    branches: Type.Array(
      Type.Object({
        name: nullable(Type.String()),
        conditions: nullable(Type.Object({})),
        steps: nullable(Type.Array(Type.Object({}))),
        terminates: nullable(Type.Boolean()),
      }),
      { minItems: 1, maxItems: MAX_BRANCHES },
    ),
  }),

  problems: (step, path) => {
    const branches = stepList(step.branches);
    const defaults = branches.flatMap((branch, index) => (hasConditions(branch) ? [] : [index]));
    return [
      ...branches.flatMap(({ conditions }, index) =>
        conditionProblems(conditions, `${path}.branches[${index}].conditions`),
      ),
      ...defaults.slice(1).map((index): Problem => {
        const reason = `branches[${defaults[0]}] has no conditions either; only one can be the default`;
        return { path: `${path}.branches[${index}]`, reason };
      }),
    ];
  },

  arms: (step) => armsOf(step, 'branches'),
  alwaysTakesArm: (step) => !stepList(step.branches).every(hasConditions),

  compile: (step) => {
    const branches = stepList(step.branches).map((branch, index) => ({
      name: nameOf(branch, `branches[${index}]`),
      holds: hasConditions(branch) ? compileConditions(branch.conditions) : undefined,
    }));
    const last = branches.findIndex(({ holds }) => holds === undefined);
    return {
      ref: String(step.ref),
      type: 'branch',
      execute: ({ scope }) => {
        const arm = branches.findIndex(({ holds }) => holds?.(scope));
        const name = branches[arm]?.name;
        if (name !== undefined)
          return { kind: 'branch', arm, reason: `"${name}": its conditions hold` };
        const other = branches[last]?.name;
        return other === undefined
          ? { kind: 'branch', arm: undefined, reason: 'the conditions of no branch hold' }
          : { kind: 'branch', arm: last, reason: `"${other}": the conditions of no other hold` };
      },
    };
  },
};

/** The arms of a step that has them in the list `field`, each with `steps` and `terminates`. */
export function armsOf(step: JsonObject, field: string): Arm[] {
  return stepList(step[field]).map((branch, index) => ({
    steps: stepList(branch.steps),
    path: `${field}[${index}].steps`,
    terminates: branch.terminates === true,
  }));
}

/** What a trace calls an arm. */
export function nameOf(branch: JsonObject, place: string): string {
  return typeof branch.name === 'string' && branch.name !== '' ? branch.name : place;
}

function hasConditions({ conditions }: JsonObject): boolean {
  return isJsonObject(conditions) && Object.keys(conditions).length > 0;
}
