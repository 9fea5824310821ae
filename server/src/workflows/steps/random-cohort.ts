import { Type } from 'typebox';
import type { Json, JsonObject } from '../../lib/json.ts';
import { cohortPosition } from '../cohort.ts';
import { nullable } from '../nullable.ts';
import type { Problem, StepDefinition } from '../step.ts';
import { stepList } from '../step-list.ts';
import { armsOf, nameOf } from './branch.ts';
import { stepFields } from './channel-step.ts';
import { compileKeySetting, keySettingProblems } from './key-setting.ts';

/** Percentages have one decimal place at most, so they are counted in tenths. */
const WHOLE = 1000;

/**
 * An experiment: which cohort a recipient is in follows from a key (its id, if nothing else is said), the workflow
 * and the step alone, so it is the same in every run.
 */
export const randomCohortStep: StepDefinition = {
  type: 'random_cohort',
  schema: Type.Object({
    ref: stepFields.ref,
    name: stepFields.name,
    description: stepFields.description,
    type: Type.Literal('random_cohort'),
    cohort_key: nullable(Type.String()),
    cohort_branches: Type.Array(
      Type.Object({
        name: nullable(Type.String()),
        percentage: Type.Union([Type.Number(), Type.String()]),
        steps: nullable(Type.Array(Type.Object({}))),
        terminates: nullable(Type.Boolean()),
      }),
      { minItems: 2, maxItems: 10 },
    ),
  }),

  problems: (step, path, environment) => [
    ...keySettingProblems(step, 'cohort_key', path, environment),
    ...percentageProblems(stepList(step.cohort_branches), `${path}.cohort_branches`),
  ],

  arms: (step) => armsOf(step, 'cohort_branches'),
  alwaysTakesArm: () => true,

  compile: (step, environment) => {
    const ref = String(step.ref);
    const keyOf = compileKeySetting(step, 'cohort_key', environment);
    let end = 0;
    const cohorts = stepList(step.cohort_branches).map((branch, index) => {
      end += tenths(branch.percentage) ?? 0;
      return { name: nameOf(branch, `cohort_branches[${index}]`), end: end / 10 };
    });
    return {
      ref,
      type: 'random_cohort',
      execute: ({ scope }) => {
        const key = keyOf(scope) || String(scope.recipient.id);
        const position = cohortPosition(`${String(scope.workflow.key)}/${ref}`, key);
        const arm = cohorts.findIndex((cohort) => position < cohort.end);
        return {
          kind: 'branch',
          arm,
          reason: `"${cohorts[arm]?.name}": "${key}" is at ${position.toFixed(1)} %`,
        };
      },
    };
  },
};

function percentageProblems(branches: readonly JsonObject[], path: string): Problem[] {
  const shares = branches.map((branch) => tenths(branch.percentage));
  const wrong = shares.flatMap((share, index): Problem[] => {
    const reason = 'must be from 0 to 100 with at most one decimal place, such as 50 or "33.3"';
    return share === undefined ? [{ path: `${path}[${index}].percentage`, reason }] : [];
  });
  if (wrong.length > 0) return wrong;
  const sum = shares.reduce((total: number, share) => total + (share ?? 0), 0);
  if (sum === WHOLE) return [];
  return [{ path, reason: `the percentages are ${sum / 10} together, they must be 100` }];
}

/** A percentage in tenths of a per cent, or undefined when it is none. */
function tenths(percentage: Json | undefined): number | undefined {
  const match = /^(\d{1,3})(?:\.(\d)0*)?$/.exec(String(percentage).trim());
  if (!match) return undefined;
  const value = Number(match[1]) * 10 + Number(match[2] ?? 0);
  return value <= WHOLE ? value : undefined;
}
