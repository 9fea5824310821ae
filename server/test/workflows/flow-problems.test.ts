import { describe, expect, test } from 'vitest';
import type { Json, JsonObject } from '../../src/lib/json.ts';
import { workflowProblems } from '../../src/workflows/workflow-problems.ts';
import { environment } from './support.ts';

/** What the order of steps makes wrong. */

const feed = (ref: string, more: JsonObject = {}): JsonObject => ({
  type: 'channel',
  ref,
  channel_key: 'in-app',
  template: { markdown_body: 'Hi' },
  ...more,
});

const ifRead = (ref: string): JsonObject => ({
  conditions: {
    any: [
      { variable: `refs.${ref}.delivery_status`, operator: 'equal_to', argument: '$message.read' },
    ],
  },
});

const when = (plan: string): JsonObject => ({
  all: [{ variable: 'recipient.plan', operator: 'equal_to', argument: plan }],
});

const branch = (ref: string, ...branches: JsonObject[]): JsonObject => ({
  type: 'branch',
  ref,
  branches: branches.map((one, i) => ({ name: `B${i}`, terminates: false, steps: [], ...one })),
});

function found(...steps: Json[]) {
  return workflowProblems({ name: 'W', steps }, environment);
}

describe('a condition on a step', () => {
  test('may name those before it, also before its branch and inside an earlier one', () => {
    const problems = found(
      feed('a'),
      branch(
        'b',
        { conditions: when('pro'), steps: [feed('c', ifRead('a')), feed('d', ifRead('c'))] },
        { steps: [] },
      ),
      feed('e', ifRead('d')),
    );
    expect(problems).toEqual([]);
  });

  test('is refused for a step that comes later, is in another branch, is itself, or is nowhere', () => {
    const problems = found(
      feed('a', ifRead('e')),
      feed('self', ifRead('self')),
      branch(
        'b',
        { conditions: when('pro'), steps: [feed('c')] },
        { steps: [feed('d', ifRead('c'))] },
      ),
      feed('e', ifRead('nowhere')),
    );
    const condition = 'conditions.any[0].variable';
    expect(problems.map(({ path }) => path)).toEqual([
      `$.steps[0].${condition}`,
      `$.steps[1].${condition}`,
      `$.steps[2].branches[1].steps[0].${condition}`,
      `$.steps[3].${condition}`,
    ]);
    expect(problems[2]?.reason).toContain('"c" ($.steps[2].branches[0].steps[0])');
    expect(problems[3]?.reason).toBe('there is no step with the ref "nowhere"');
  });

  test('is refused where no step can have been executed: on the trigger', () => {
    const problems = workflowProblems(
      { name: 'W', ...ifRead('a'), steps: [feed('a')] },
      environment,
    );
    expect(problems.map(({ path }) => path)).toEqual(['$.conditions.any[0].variable']);
  });
});

describe('nobody comes to', () => {
  const ends = { terminates: true };

  test('a step behind branches that all end the run, one of which is always taken', () => {
    const all = branch('b', { ...ends, conditions: when('pro') }, ends);
    expect(found(all, feed('a'), feed('c'))).toEqual([
      {
        path: '$.steps[1]',
        reason: 'is never reached: the run ends in every branch of the step "b"',
      },
    ]);
    const nested = branch('o', { steps: [all] });
    expect(found(nested, feed('a')).map(({ path }) => path)).toEqual(['$.steps[1]']);
    const lot = {
      type: 'random_cohort',
      ref: 'r',
      cohort_branches: [
        { name: 'A', percentage: 50, ...ends, steps: [] },
        { name: 'B', percentage: 50, ...ends, steps: [] },
      ],
    };
    expect(found(lot, feed('a')).map(({ path }) => path)).toEqual(['$.steps[1]']);
  });

  test('but to one behind a branch without default, or with an open end', () => {
    expect(found(branch('b', { ...ends, conditions: when('pro') }), feed('a'))).toEqual([]);
    expect(found(branch('b', { ...ends, conditions: when('pro') }, {}), feed('a'))).toEqual([]);
  });
});
