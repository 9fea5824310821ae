import type { CompiledWorkflow } from '../../workflows/compiled-workflow.ts';
import type { ChannelType, MessageContent, RunScope, StepInput } from '../../workflows/step.ts';
import { StepError } from '../../workflows/step-error.ts';
import { RUN_STATUS, type RunStatus } from '../status.ts';

/** Times that a failing step is tried, the first included. */
const STEP_ATTEMPTS = 3;
const FIRST_RETRY_MS = 30_000;

export type RunInput = {
  readonly workflow: CompiledWorkflow;
  readonly scope: RunScope;
  readonly settings: StepInput['settings'];
  /** The step to go on with, and how often it failed before. */
  readonly step: number;
  readonly attempt: number;
  readonly nowMs: number;
  /** Why the recipient must not get a message on this channel, or undefined. */
  readonly refusal: (channel: { id: string; type: ChannelType }) => string | undefined;
};

export type RenderedMessage = {
  readonly stepRef: string;
  readonly channelId: string;
  readonly channelType: ChannelType;
  readonly content: MessageContent;
};

/** One line of a run's trace. */
export type StepRecord = {
  readonly step_ref: string;
  readonly step_type: string;
  readonly outcome: 'message' | 'skipped' | 'waiting' | 'continued' | 'halted' | 'error';
  readonly reason?: string;
  readonly attempt?: number;
};

export type RunResult = {
  readonly status: RunStatus;
  readonly errorCount: number;
  readonly steps: readonly StepRecord[];
  readonly messages: readonly RenderedMessage[];
  /** Where and when a paused run goes on. */
  readonly resume?: { readonly dueMs: number; readonly step: number; readonly attempt: number };
};

/**
 * Takes a recipient run from `step` to its end or its next pause. Pure: what it wants to happen is in the
 * result. A step that throws pauses the run and is tried again, twice; then the run ends with an error.
 */
export function advanceRun(input: RunInput): RunResult {
  const { workflow, scope, settings, nowMs } = input;
  const steps: StepRecord[] = [];
  const messages: RenderedMessage[] = [];
  if (input.step === 0 && workflow.conditions) {
    const record = { step_ref: 'trigger', step_type: 'trigger' };
    try {
      if (!workflow.conditions(scope)) {
        steps.push({ ...record, outcome: 'halted', reason: 'conditions' });
        return { status: RUN_STATUS.completed, errorCount: 0, steps, messages };
      }
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      steps.push({ ...record, outcome: 'error', reason });
      return { status: RUN_STATUS.completed, errorCount: 1, steps, messages };
    }
  }
  for (let index = input.step; index < workflow.steps.length; index++) {
    const step = workflow.steps[index];
    if (!step) break;
    const record = { step_ref: step.ref, step_type: step.type };
    try {
      if (step.conditions && !step.conditions(scope)) {
        steps.push({ ...record, outcome: 'skipped', reason: 'conditions' });
        continue;
      }
      const refusal =
        step.channel && !workflow.overridePreferences ? input.refusal(step.channel) : undefined;
      if (refusal !== undefined) {
        steps.push({ ...record, outcome: 'skipped', reason: refusal });
        continue;
      }
      const outcome = step.execute({ scope, nowMs, settings });
      switch (outcome.kind) {
        case 'message':
          messages.push({
            stepRef: step.ref,
            channelId: outcome.channelId,
            channelType: outcome.channelType,
            content: outcome.content,
          });
          steps.push({ ...record, outcome: 'message' });
          break;
        case 'continue':
          steps.push({
            ...record,
            outcome: 'continued',
            ...(outcome.reason === undefined ? {} : { reason: outcome.reason }),
          });
          break;
        case 'halt':
          steps.push({ ...record, outcome: 'halted', reason: outcome.reason });
          return { status: RUN_STATUS.completed, errorCount: 0, steps, messages };
        case 'wait':
          steps.push({
            ...record,
            outcome: 'waiting',
            reason: `until ${new Date(outcome.untilMs).toISOString()}`,
          });
          return {
            status: RUN_STATUS.paused,
            errorCount: 0,
            steps,
            messages,
            resume: { dueMs: Math.max(outcome.untilMs, nowMs), step: index + 1, attempt: 0 },
          };
      }
    } catch (error) {
      if (error instanceof StepError) {
        // Trying again cannot help this recipient; the other steps can still reach it.
        steps.push({ ...record, outcome: 'skipped', reason: error.message });
        continue;
      }
      const failed = (index === input.step ? input.attempt : 0) + 1;
      const reason = error instanceof Error ? error.message : String(error);
      steps.push({ ...record, outcome: 'error', reason, attempt: failed });
      if (failed >= STEP_ATTEMPTS) {
        return { status: RUN_STATUS.completed, errorCount: 1, steps, messages };
      }
      return {
        status: RUN_STATUS.paused,
        errorCount: 1,
        steps,
        messages,
        resume: { dueMs: nowMs + FIRST_RETRY_MS * 2 ** (failed - 1), step: index, attempt: failed },
      };
    }
  }
  return { status: RUN_STATUS.completed, errorCount: 0, steps, messages };
}
