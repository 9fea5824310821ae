import type { JsonObject } from '../lib/json.ts';
import type { CompiledStep, CompileEnvironment, ProgramStep } from './step.ts';
import { stepDefinition } from './steps/registry.ts';

type Draft = { readonly step: CompiledStep; next: number; arms?: number[] };

/**
 * Nested steps as one list. A step's arms follow it, then what follows the step; the last step of an arm goes on
 * there, or to the end where the arm terminates. So where a run stands is one number.
 */
export function compileSteps(
  steps: readonly JsonObject[],
  environment: CompileEnvironment,
): readonly ProgramStep[] {
  const program: Draft[] = [];
  const end: Draft[] = [];
  const open = layOut(steps, environment, program, end);
  for (const draft of [...open, ...end]) draft.next = program.length;
  for (const draft of program) {
    if (!draft.arms) continue;
    draft.arms = draft.arms.map((start) =>
      start === NEXT ? draft.next : start === END ? program.length : start,
    );
  }
  return program.map(({ step, next, arms }) => ({ ...step, next, ...(arms ? { arms } : {}) }));
}

/** Where an arm without steps leads, known when all is laid out: to what follows its step, or to the end. */
const NEXT = -1;
const END = -2;

/** Appends steps to the program; returns those that go on with whatever comes after the list. */
function layOut(
  steps: readonly JsonObject[],
  environment: CompileEnvironment,
  program: Draft[],
  end: Draft[],
): Draft[] {
  let open: Draft[] = [];
  for (const step of steps) {
    for (const draft of open) draft.next = program.length;
    const definition = stepDefinition(step, environment);
    if ('unknownType' in definition) {
      throw new Error(`there is no step of the type "${definition.unknownType}"`);
    }
    const draft: Draft = { step: definition.compile(step, environment), next: 0 };
    program.push(draft);
    open = [draft];
    const arms = definition.arms?.(step);
    if (!arms) continue;
    draft.arms = [];
    for (const arm of arms) {
      const empty = arm.terminates ? END : NEXT;
      draft.arms.push(arm.steps.length > 0 ? program.length : empty);
      const last = layOut(arm.steps, environment, program, end);
      if (arm.terminates) end.push(...last);
      else open.push(...last);
    }
  }
  return open;
}
