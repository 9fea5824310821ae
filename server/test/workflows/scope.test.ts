import { expect, test } from 'vitest';
import { advanceRun } from '../../src/engine/executor/advance-run.ts';
import { compileTemplate } from '../../src/templates/compile-template.ts';
import { bareEnvironment } from '../../src/templates/template-environment.ts';
import { compileConditions } from '../../src/workflows/conditions.ts';
import { withBatch } from '../../src/workflows/scope.ts';
import type { ProgramStep, RunScope, StepOutcome } from '../../src/workflows/step.ts';
import { scopeWith } from './support.ts';

const LIST =
  '{% for a in activities %}[{{ a.n }} {{ a.data.n }} {{ a.actor.name }} {{ a.recipient.id }}]{% endfor %}';
const shown = (scope: RunScope) =>
  compileTemplate(LIST, { escape: 'none', environment: bareEnvironment }).render(scope);

/** What a step that follows these outcomes sees. */
function scopeAfter(...outcomes: readonly StepOutcome[]): RunScope {
  let seen = scopeWith({ n: 1 });
  const steps = outcomes.map(
    (outcome, at): ProgramStep => ({
      ref: `s${at}`,
      type: 'update_data',
      next: at + 1,
      execute: () => outcome,
    }),
  );
  const last: ProgramStep = {
    ref: 'last',
    type: 'branch',
    next: steps.length + 1,
    execute: ({ scope }) => {
      seen = scope;
      return { kind: 'continue' };
    },
  };
  advanceRun({
    workflow: {
      versionId: 1,
      environmentId: 1,
      key: 'k',
      name: 'k',
      categories: [],
      overridePreferences: false,
      scope: {},
      steps: [...steps, last],
    },
    scope: seen,
    settings: {},
    isFirst: false,
    step: 0,
    attempt: 0,
    isOfBatch: false,
    nowMs: 0,
    timezone: undefined,
    refusal: () => undefined,
  });
  return seen;
}

test('outside of a batch a run has one activity: its own data, actor and recipient', () => {
  expect(shown(scopeWith({ n: 7 }))).toBe('[7 7 Zed u1]');
  const condition = (argument: string) =>
    compileConditions({
      all: [{ variable: '{{ activities[0].n }}', operator: 'equal_to', argument }],
    });
  expect(condition('7')(scopeWith({ n: 7 }))).toBe(true);
  expect(condition('8')(scopeWith({ n: 7 }))).toBe(false);
});

test('the one activity follows what steps change of the data and the recipient', () => {
  const data = { kind: 'continue', data: { n: 2 } } as const;
  const recipient = { kind: 'continue', recipient: { id: 'u9' } } as const;
  expect(shown(scopeAfter(data))).toBe('[2 2 Zed u1]');
  expect(shown(scopeAfter(data, recipient))).toBe('[2 2 Zed u9]');
});

test('the activities of a batch stay what they were when steps change the data', () => {
  const activities = [{ n: 'a', data: { n: 'a' }, actor: { name: 'Bo' }, recipient: { id: 'u1' } }];
  const of = { activities, actors: [], totalActivities: 3, totalActors: 1 };
  const batch = {
    window: 1,
    order: 'asc',
    limit: 10,
    closedMs: 0,
    totalActivities: 3,
    totalActors: 1,
  } as const;
  const closed = { kind: 'continue', batch, activities: of, data: { n: 'a' } } as const;
  const scope = scopeAfter(closed, { kind: 'continue', data: { n: 5 } });
  expect(shown(scope)).toBe('[a a Bo u1]');
  expect(scope.data).toEqual({ n: 5 });
  expect(shown(withBatch(scopeWith({ n: 1 }), of))).toBe('[a a Bo u1]');
});
