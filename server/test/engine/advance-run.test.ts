import { expect, test } from 'vitest';
import { advanceRun } from '../../src/engine/executor/advance-run.ts';
import { MAX_MESSAGE_PARTS } from '../../src/lib/address.ts';
import type { ProgramStep, StepMessage } from '../../src/workflows/step.ts';
import { scopeWith } from '../workflows/support.ts';

const message: StepMessage = { channelId: 'c', channelType: 'push', content: {} };

function stepWith(ref: string, messages: number, next: number): ProgramStep {
  return {
    ref,
    type: 'channel',
    next,
    execute: () => ({ kind: 'message', messages: Array<StepMessage>(messages).fill(message) }),
  };
}

function advance(steps: readonly ProgramStep[], step = 0) {
  const advanced = advanceRun({
    workflow: {
      versionId: 1,
      environmentId: 1,
      key: 'wide',
      name: 'wide',
      categories: [],
      overridePreferences: false,
      scope: {},
      steps,
    },
    scope: scopeWith({}),
    settings: {},
    isFirst: false,
    step,
    attempt: 0,
    isOfBatch: false,
    nowMs: 0,
    timezone: undefined,
    refusal: () => undefined,
  });
  if (advanced.kind !== 'result') throw new Error(advanced.kind);
  return advanced;
}

test('a step with more messages than an execution has ids sends what it can, says so, and ends', () => {
  const { messages, resume, steps } = advance([stepWith('many', MAX_MESSAGE_PARTS + 18, 1)]);
  expect(messages).toHaveLength(MAX_MESSAGE_PARTS);
  expect(resume).toBeUndefined();
  expect(steps[0]?.reason).toBe('a step sends 62 messages at most, 18 were left out');
});

test('steps with more messages together go on in a further execution', () => {
  const both = [stepWith('first', 40, 1), stepWith('second', 40, 2)];
  const { messages, resume } = advance(both);
  expect(messages).toHaveLength(40);
  expect(resume).toMatchObject({ step: 1, dueMs: 0 });
  const rest = advance(both, resume?.step);
  expect(rest.messages).toHaveLength(40);
  expect(rest.resume).toBeUndefined();
});
