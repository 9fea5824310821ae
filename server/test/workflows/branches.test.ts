import { describe, expect, test } from 'vitest';
import type { JsonObject } from '../../src/lib/json.ts';
import { cohortPosition } from '../../src/workflows/cohort.ts';
import { compileWorkflow } from '../../src/workflows/compile-workflow.ts';
import { workflowProblems } from '../../src/workflows/workflow-problems.ts';
import { environment, execute, scopeWith } from './support.ts';

const when = (value: string): JsonObject => ({
  all: [{ variable: 'data.plan', operator: 'equal_to', argument: value }],
});
const branch = (branches: readonly JsonObject[]): JsonObject => ({
  type: 'branch',
  ref: 'b',
  branches,
});
const feed = (ref: string): JsonObject => ({
  type: 'channel',
  ref,
  channel_key: 'in-app',
  template: { markdown_body: 'Hi' },
});
const problems = (...steps: JsonObject[]) => workflowProblems({ name: 'W', steps }, environment);
const paths = (...steps: JsonObject[]): string[] => problems(...steps).map(({ path }) => path);

function program(...steps: JsonObject[]) {
  const content = { name: 'Test', steps };
  return compileWorkflow({ versionId: 1, environmentId: 1, key: 'test', content, environment });
}

describe('a branch', () => {
  const step = branch([
    { name: 'Pro', conditions: when('pro'), steps: [feed('a')] },
    { name: 'Also pro', conditions: when('pro'), steps: [] },
    { name: 'Default', conditions: null, steps: [] },
  ]);

  test('takes the first arm whose conditions hold, and says which [branch.branches] [branch.conditions]', () => {
    expect(execute(step, scopeWith({ plan: 'pro' }))).toEqual({
      kind: 'branch',
      arm: 0,
      reason: '"Pro": its conditions hold',
    });
  });

  test('takes the arm without conditions when no other holds, wherever it stands [branch.conditions]', () => {
    expect(execute(step, scopeWith({ plan: 'free' }))).toMatchObject({ arm: 2 });
    const first = branch([{ steps: [] }, { conditions: when('pro') }]);
    expect(execute(first, scopeWith({ plan: 'pro' }))).toMatchObject({ arm: 1 });
    expect(execute(first, scopeWith({ plan: 'free' }))).toMatchObject({ arm: 0 });
  });

  test('goes on with what follows when nothing holds', () => {
    const only = branch([{ conditions: when('pro') }]);
    expect(execute(only)).toEqual({
      kind: 'branch',
      arm: undefined,
      reason: 'the conditions of no branch hold',
    });
  });

  test('leads to its arms, they to what follows, and those that terminate to the end [branch.terminates] [branch.steps]', () => {
    const { steps } = program(
      branch([
        { conditions: when('a'), steps: [feed('a1'), feed('a2')] },
        { conditions: when('b'), steps: [feed('b1')], terminates: true },
        { conditions: when('c'), steps: [], terminates: true },
        { steps: [] },
      ]),
      feed('after'),
    );
    expect(steps.map(({ ref, next, arms }) => ({ ref, next, arms }))).toEqual([
      { ref: 'b', next: 4, arms: [1, 3, 5, 4] },
      { ref: 'a1', next: 2, arms: undefined },
      { ref: 'a2', next: 4, arms: undefined },
      { ref: 'b1', next: 5, arms: undefined },
      { ref: 'after', next: 5, arms: undefined },
    ]);
  });

  test('has at most ten arms, of which one has no conditions', () => {
    const arm = { conditions: when('a'), steps: [] };
    expect(paths(branch(Array.from({ length: 10 }, () => arm)))).toEqual([]);
    expect(paths(branch(Array.from({ length: 11 }, () => arm)))).toEqual(['$.steps[0].branches']);
    expect(paths(branch([]))).toEqual(['$.steps[0].branches']);
    expect(paths(branch([{}, arm, {}]))).toEqual(['$.steps[0].branches[2]']);
  });

  test('has its own conditions and the steps of its arms checked, with their places', () => {
    const wrong = { conditions: { all: [{}] }, steps: [feed('a'), { type: 'nonsense', ref: 'n' }] };
    expect(paths(branch([wrong]), feed('a'))).toEqual([
      '$.steps[0].branches[0].conditions.all[0].variable',
      '$.steps[0].branches[0].conditions.all[0].operator',
      '$.steps[0].branches[0].steps[1].type',
      '$.steps[1].ref',
    ]);
  });

  test('is at most five deep', () => {
    const nest = (depth: number): JsonObject => ({
      ...branch([{ steps: depth > 1 ? [nest(depth - 1)] : [] }]),
      ref: `b${depth}`,
    });
    expect(paths(nest(5))).toEqual([]);
    const inside = '.branches[0].steps[0]'.repeat(5);
    expect(paths(nest(6))).toEqual([`$.steps[0]${inside}`]);
    expect(paths(nest(7))).toEqual([`$.steps[0]${inside}`]);
  });

  test('counts the steps of all arms', () => {
    const many = (prefix: string) => Array.from({ length: 26 }, (_, i) => feed(`${prefix}${i}`));
    const arms = [{ conditions: when('a'), steps: many('a') }, { steps: many('b') }];
    expect(problems(branch(arms))).toEqual([
      { path: '$.steps', reason: 'has 52 channel steps, at most 50 are allowed' },
    ]);
  });
});

describe('a cohort', () => {
  const cohorts = (...percentages: (number | string)[]): JsonObject => ({
    type: 'random_cohort',
    ref: 'x',
    cohort_branches: percentages.map((percentage, i) => ({ name: `c${i}`, percentage, steps: [] })),
  });

  test('is the same for a recipient in every run, and as large as it says [random_cohort.cohort_branches] [random_cohort.percentage]', () => {
    const step = cohorts(10, '33.3', 56.7);
    const counts = [0, 0, 0];
    for (let i = 0; i < 3000; i++) {
      const scope = scopeWith({}, { id: `user-${i}` });
      const outcome = execute(step, scope);
      if (outcome.kind !== 'branch' || outcome.arm === undefined) throw new Error('no cohort');
      expect(execute(step, scopeWith({ other: i }, { id: `user-${i}` }))).toEqual(outcome);
      counts[outcome.arm] = (counts[outcome.arm] ?? 0) + 1;
    }
    expect(counts[0]).toBeGreaterThan(240);
    expect(counts[0]).toBeLessThan(360);
    expect(counts[1]).toBeGreaterThan(900);
    expect(counts[1]).toBeLessThan(1100);
  });

  test('says which it was and why', () => {
    expect(execute(cohorts(100, 0))).toMatchObject({
      kind: 'branch',
      arm: 0,
      reason: expect.stringMatching(/^"c0": "u1" is at \d+\.\d %$/),
    });
  });

  test('follows from a key when there is one [random_cohort.cohort_key]', () => {
    const byTeam = { ...cohorts(50, 50), cohort_key: 'data.team' };
    const rendered = { ...cohorts(50, 50), cohort_key: '{{ data.team }}' };
    for (let i = 0; i < 50; i++) {
      const first = execute(byTeam, scopeWith({ team: `t${i}` }, { id: 'a' }));
      expect(execute(byTeam, scopeWith({ team: `t${i}` }, { id: 'b' }))).toEqual(first);
      expect(execute(rendered, scopeWith({ team: `t${i}` }, { id: 'c' }))).toEqual(first);
    }
    expect(execute(byTeam, scopeWith())).toEqual(execute(cohorts(50, 50)));
  });

  test('is independent of the cohorts of other experiments', () => {
    const both = Array.from({ length: 2000 }, (_, i) => `user-${i}`).filter(
      (id) => cohortPosition('w/a', id) < 50 && cohortPosition('w/b', id) < 50,
    );
    expect(both.length).toBeGreaterThan(430);
    expect(both.length).toBeLessThan(570);
  });

  test.each([
    [cohorts(50, 50), []],
    [cohorts('33.3', '33.3', '33.4'), []],
    [cohorts('50.0', 50), []],
    [cohorts(100), ['$.steps[0].cohort_branches']],
    [cohorts(...Array.from({ length: 11 }, () => 9)), ['$.steps[0].cohort_branches']],
    [cohorts(50, 49.9), ['$.steps[0].cohort_branches']],
    [
      cohorts(50.05, 49.95),
      ['$.steps[0].cohort_branches[0].percentage', '$.steps[0].cohort_branches[1].percentage'],
    ],
    [
      cohorts(-10, 110),
      ['$.steps[0].cohort_branches[0].percentage', '$.steps[0].cohort_branches[1].percentage'],
    ],
    [{ ...cohorts(50, 50), cohort_key: 'not a path' }, ['$.steps[0].cohort_key']],
    [{ ...cohorts(50, 50), cohort_key: '{{ data.x' }, ['$.steps[0].cohort_key']],
  ])('%j has defects at %j', (step, expected) => {
    expect(paths(step)).toEqual(expected);
  });

  test('ends the run after a cohort that terminates [random_cohort.terminates] [random_cohort.steps]', () => {
    const step = cohorts(50, 50);
    const [a, b] = [
      { percentage: 50, steps: [feed('a')], terminates: true },
      { percentage: 50, steps: [feed('b')] },
    ];
    const { steps } = program({ ...step, cohort_branches: [a, b] }, feed('after'));
    expect(steps.map(({ next }) => next)).toEqual([3, 4, 3, 4]);
  });
});
