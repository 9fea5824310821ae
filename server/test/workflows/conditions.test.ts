import { describe, expect, test } from 'vitest';
import { operators } from '../../src/workflows/condition-operators.ts';
import {
  compileConditionList,
  compileConditions,
  conditionListProblems,
  conditionProblems,
  explainConditions,
} from '../../src/workflows/conditions.ts';
import { runScope } from '../../src/workflows/scope.ts';

const now = '2026-03-01T12:00:00.000Z';
const scope = runScope({
  recipient: { id: 'u1', plan: 'pro', age: 30, tags: ['a', 'b'], nothing: null, email: '' },
  actor: { id: 'u2', plan: 'pro' },
  tenant: null,
  data: {
    count: 5,
    text: 'hello world',
    five: '5',
    flag: true,
    list: ['x', 'y', 3],
    none: [],
    object: { a: [1, { b: 2 }] },
    past: '2026-02-01T00:00:00Z',
    future: '2026-04-01T00:00:00+02:00',
    day: '2026-03-01',
    'odd key': 1,
    recipient: { plan: 'shadow' },
  },
  workflow: { key: 'w', categories: ['c1', 'c2'] },
  vars: { app: 'Belfry' },
  timestamp: now,
});

const bare = {
  recipient: { id: 'u1' },
  actor: null,
  tenant: null,
  data: {},
  workflow: {},
  vars: {},
  timestamp: now,
};

function holds(variable: string, operator: string, argument?: unknown): boolean {
  return compileConditions({ all: [{ variable, operator, argument }] })(scope);
}

describe('a condition [condition.equal_to] [condition.not_equal_to] [condition.greater_than] [condition.greater_than_or_equal_to] [condition.less_than] [condition.less_than_or_equal_to] [condition.is_between] [condition.contains] [condition.not_contains] [condition.contains_all] [condition.not_contains_all] [condition.empty] [condition.not_empty] [condition.exists] [condition.not_exists] [condition.is_timestamp] [condition.is_not_timestamp] [condition.is_timestamp_before] [condition.is_timestamp_on_or_after] [condition.is_timestamp_between] [condition.is_timestamp_before_now] [condition.is_timestamp_on_or_after_now] [condition.is_timestamp_before_date] [condition.is_timestamp_on_or_after_date]', () => {
  test.each([
    // [variable, operator, argument, holds]
    ['recipient.plan', 'equal_to', 'pro', true],
    ['recipient.plan', 'equal_to', '"pro"', true],
    ['recipient.plan', 'equal_to', 'actor.plan', true],
    ['recipient.plan', 'equal_to', '"actor.plan"', false],
    ['recipient.plan', 'not_equal_to', 'free', true],
    ['data.count', 'equal_to', '5', true],
    ['data.count', 'equal_to', 5, true],
    ['data.five', 'equal_to', '5', true],
    ['data.five', 'equal_to', '"5"', true],
    ['data.flag', 'equal_to', 'true', true],
    ['data.flag', 'equal_to', 'false', false],
    ['data.list', 'equal_to', '["x","y",3]', true],
    ['data.object', 'equal_to', '{"a":[1,{"b":2}]}', true],
    ['data.missing', 'equal_to', '""', true],
    ['data.missing', 'equal_to', '', true],
    ['data.missing', 'not_equal_to', 'x', true],
    ['recipient.nothing', 'equal_to', 'null', true],
    ['count', 'equal_to', '5', true],
    ['data.object.a[1].b', 'equal_to', '2', true],
    ['data.object.a.1.b', 'equal_to', '2', true],
    ['data["odd key"]', 'equal_to', '1', true],
    ['recipient.constructor', 'exists', undefined, false],
    ['data.list.length', 'exists', undefined, true],
    ['data.count', 'greater_than', '4', true],
    ['data.count', 'greater_than', '5', false],
    ['data.count', 'greater_than_or_equal_to', '5', true],
    ['data.five', 'less_than', '10', true],
    ['data.count', 'less_than_or_equal_to', 'recipient.age', true],
    ['data.missing', 'less_than', '10', false],
    ['data.text', 'less_than', '10', false],
    ['data.count', 'is_between', '[1, 5]', true],
    ['data.count', 'is_between', '[6, 9]', false],
    ['data.count', 'is_between', 'nonsense', false],
    ['data.text', 'contains', 'lo wo', true],
    ['data.text', 'not_contains', 'bye', true],
    ['data.list', 'contains', 'y', true],
    ['data.list', 'contains', '3', true],
    ['data.list', 'contains', '["q","x"]', true],
    ['data.list', 'not_contains', '["q"]', true],
    ['data.list', 'contains_all', '["x","y"]', true],
    ['data.list', 'contains_all', '["x","q"]', false],
    ['data.list', 'not_contains_all', '["x","q"]', true],
    ['data.missing', 'contains', 'x', false],
    ['recipient.tags', 'contains', 'data.list', false],
    ['workflow.categories', 'contains', 'c2', true],
    ['recipient.email', 'empty', undefined, true],
    ['data.none', 'empty', undefined, true],
    ['data.missing', 'empty', undefined, true],
    ['recipient.nothing', 'empty', undefined, true],
    ['data.count', 'not_empty', undefined, true],
    ['recipient.email', 'exists', undefined, true],
    ['recipient.nothing', 'exists', undefined, false],
    ['data.missing', 'not_exists', undefined, true],
    ['tenant.id', 'not_exists', undefined, true],
    ['data.past', 'is_timestamp', undefined, true],
    ['data.day', 'is_timestamp', undefined, true],
    ['data.text', 'is_timestamp', undefined, false],
    ['data.text', 'is_not_timestamp', undefined, true],
    ['data.past', 'is_timestamp_before', 'data.future', true],
    ['data.past', 'is_timestamp_before', '2026-01-01', false],
    ['data.past', 'is_timestamp_before', '"2026-02-02T00:00:00Z"', true],
    ['data.past', 'is_timestamp_on_or_after', '60 days ago', true],
    ['data.past', 'is_timestamp_on_or_after', '3 days ago', false],
    ['data.future', 'is_timestamp_before', '8 weeks from now', true],
    ['data.future', 'is_timestamp_before', '{"unit":"days","value":1}', false],
    ['data.past', 'is_timestamp_before', '{{ data.future }}', true],
    ['data.past', 'is_timestamp_before_now', undefined, true],
    ['data.future', 'is_timestamp_on_or_after_now', undefined, true],
    ['data.past', 'is_timestamp_between', '["2026-01-01","2026-03-01"]', true],
    ['data.text', 'is_timestamp_between', '["2026-01-01","2026-03-01"]', false],
    ['data.day', 'is_timestamp_on_or_after_date', '2026-03-01T23:00:00Z', true],
    ['data.day', 'is_timestamp_before_date', '2026-03-02T00:00:00Z', true],
    ['run.total_activities', 'equal_to', '1', true],
    ['run.total_actors', 'equal_to', '1', true],
    ['data.count', 'no_such_operator', '5', false],
  ] as const)('%s %s %s: %s', (variable, operator, argument, expected) => {
    expect(holds(variable, operator, argument)).toBe(expected);
  });

  test('and its opposite never both hold', () => {
    const opposites = [
      ['equal_to', 'not_equal_to'],
      ['contains', 'not_contains'],
      ['contains_all', 'not_contains_all'],
      ['empty', 'not_empty'],
      ['exists', 'not_exists'],
      ['is_timestamp', 'is_not_timestamp'],
    ] as const;
    for (const left of values) {
      for (const right of values) {
        for (const [one, other] of opposites) {
          const a = operators[one]?.(left, right, 0, 'Etc/UTC');
          expect(operators[other]?.(left, right, 0, 'Etc/UTC')).toBe(!a);
        }
      }
    }
  });

  test('is equal to itself and not to anything smaller, whatever the value', () => {
    for (const value of values) {
      if (value !== undefined)
        expect(operators.equal_to?.(value, structuredClone(value), 0, 'Etc/UTC')).toBe(true);
      expect(operators.greater_than?.(value, value, 0, 'Etc/UTC')).toBe(false);
      expect(operators.less_than?.(value, value, 0, 'Etc/UTC')).toBe(false);
    }
  });

  test('never throws, whatever variable and argument are', () => {
    for (const operator of [...Object.keys(operators), 'constructor', '']) {
      for (const variable of ['', '.', 'data', 'data..x', 'data[', '__proto__', '{{', '5', '"x"']) {
        for (const argument of values) {
          const group = { all: [{ variable, operator, argument }] };
          if (variable === '{{') expect(conditionProblems(group, '$')).not.toEqual([]);
          else expect(typeof compileConditions(group)(scope)).toBe('boolean');
        }
      }
    }
  });
});

const values = [
  undefined,
  null,
  true,
  0,
  -1.5,
  '',
  'a',
  '5',
  5,
  [],
  ['a'],
  [null],
  {},
  { a: 1 },
  { unit: 'days', value: 'x' },
  '2026-01-01',
  'x'.repeat(1000),
];

describe('a group [condition_group.all] [condition_group.any]', () => {
  const yes = { variable: 'data.count', operator: 'equal_to', argument: '5' };
  const no = { variable: 'data.count', operator: 'equal_to', argument: '6' };

  test.each([
    [{ all: [yes, yes] }, true],
    [{ all: [yes, no] }, false],
    [{ any: [no, yes] }, true],
    [{ any: [no, no] }, false],
    [{ any: [no, { all: [yes, yes] }] }, true],
    [{ any: [no, { all: [yes, no] }] }, false],
    [{ all: [{ any: [no, yes] }, yes] }, true],
    [{ all: [] }, true],
    [{ any: [] }, true],
    [{}, true],
    [null, true],
  ])('%j: %s', (group, expected) => {
    expect(compileConditions(group)(scope)).toBe(expected);
    expect(conditionProblems(group, '$')).toEqual([]);
  });

  test('of preferences is a list of which all must hold', () => {
    expect(compileConditionList([yes, yes])(scope)).toBe(true);
    expect(compileConditionList([yes, no])(scope)).toBe(false);
    expect(compileConditionList([])(scope)).toBe(true);
    expect(compileConditionList(['nonsense'])(scope)).toBe(false);
    expect(conditionListProblems([{ ...yes, operator: 'eq' }], '$.c')[0]?.path).toBe(
      '$.c[0].operator',
    );
  });
});

describe('which condition was false is told', () => {
  const yes = { variable: 'recipient.plan', operator: 'equal_to', argument: 'pro' };
  test.each([
    [{ all: [yes] }, undefined],
    [{ all: [yes, { ...yes, argument: 'free' }] }, 'recipient.plan equal_to "free" was false'],
    [
      { all: [{ variable: 'data.count', operator: 'less_than', argument: 'recipient.age' }, yes] },
      undefined,
    ],
    [
      { all: [{ variable: 'data.count', operator: 'greater_than', argument: 'recipient.age' }] },
      'data.count greater_than recipient.age was false',
    ],
    [{ all: [{ variable: 'data.x', operator: 'exists' }, yes] }, 'data.x exists was false'],
    [
      {
        any: [
          { variable: 'data.x', operator: 'exists' },
          { all: [yes, { ...yes, argument: '5' }] },
        ],
      },
      'none of these was true: data.x exists; recipient.plan equal_to 5',
    ],
  ])('%j', (group, expected) => {
    expect(explainConditions(compileConditions(group), scope)).toBe(expected);
  });

  test('and what stands after it is not evaluated', () => {
    const failing = {
      variable: '{{ data.text | date: "%s" | divided_by: 0 }}',
      operator: 'exists',
    };
    const no = { ...yes, argument: 'free' };
    expect(compileConditions({ all: [no, failing] })(scope)).toBe(false);
    expect(compileConditions({ any: [yes, failing] })(scope)).toBe(true);
  });
});

describe('membership of an audience', () => {
  const inBeta = runScope({ ...bare, audiences: { recipient: { beta: true }, actor: {} } });
  test.each([
    ['recipient', 'is_audience_member', 'beta', true],
    ['recipient.id', 'is_audience_member', '"beta"', true],
    ['recipient', 'is_not_audience_member', 'beta', false],
    ['actor', 'is_audience_member', 'beta', false],
    ['actor', 'is_not_audience_member', 'beta', true],
    ['recipient', 'is_audience_member', 'constructor', false],
  ])(
    '%s %s %s: %s [condition.is_audience_member] [condition.is_not_audience_member]',
    (variable, operator, argument, expected) => {
      expect(compileConditions({ all: [{ variable, operator, argument }] })(inBeta)).toBe(expected);
    },
  );

  test('cannot be claimed by trigger data', () => {
    const claimed = runScope({ ...bare, data: { $audiences: { recipient: { beta: true } } } });
    const condition = { variable: 'recipient', operator: 'is_audience_member', argument: 'beta' };
    expect(compileConditions({ all: [condition] })(claimed)).toBe(false);
  });
});

describe('a random cohort [condition.is_in_random_cohort]', () => {
  const isIn = (id: string, argument: string) =>
    compileConditions({
      all: [{ variable: 'recipient.id', operator: 'is_in_random_cohort', argument }],
    })(runScope({ ...bare, recipient: { id } }));
  const ids = Array.from({ length: 4000 }, (_, i) => `user-${i}`);

  test('has its share of recipients, the same ones each time, and grows with its percentage', () => {
    const quarter = ids.filter((id) => isIn(id, '25'));
    expect(quarter.length).toBeGreaterThan(850);
    expect(quarter.length).toBeLessThan(1150);
    expect(quarter.every((id) => isIn(id, '25') && isIn(id, '25.1'))).toBe(true);
    expect(ids.some((id) => isIn(id, '0'))).toBe(false);
    expect(ids.every((id) => isIn(id, '100'))).toBe(true);
  });
});

describe('a defect of a condition is told with its path', () => {
  test.each([
    [[], '$.c'],
    [{ some: [] }, '$.c'],
    [{ all: [], any: [] }, '$.c'],
    [{ all: {} }, '$.c.all'],
    [{ all: [5] }, '$.c.all[0]'],
    [{ all: [{ operator: 'exists' }] }, '$.c.all[0].variable'],
    [{ all: [{ variable: 'a', operator: 'eq' }] }, '$.c.all[0].operator'],
    [{ all: [{ variable: 'recipient', operator: 'is_audience_member' }] }, '$.c.all[0].argument'],
    [{ any: [{ all: [{ variable: 'a', operator: 'x' }] }] }, '$.c.any[0].all[0].operator'],
    [
      { all: [{ variable: 'data.id', operator: 'is_audience_member', argument: 'vip' }] },
      '$.c.all[0].variable',
    ],
    [
      { all: [{ variable: 'data.a', operator: 'equal_to', argument: '$message.seen' }] },
      '$.c.all[0].variable',
    ],
    [
      {
        all: [
          { variable: 'refs.a.delivery_status', operator: 'equal_to', argument: '$message.lost' },
        ],
      },
      '$.c.all[0].argument',
    ],
    [
      {
        all: [
          { variable: 'refs.a.delivery_status', operator: 'less_than', argument: '$message.sent' },
        ],
      },
      '$.c.all[0].operator',
    ],
    [
      { all: [{ variable: 'recipient.id', operator: 'is_in_random_cohort', argument: '101' }] },
      '$.c.all[0].argument',
    ],
    [{ all: [{ variable: 'a', operator: 'equal_to', argument: '{{ x' }] }, '$.c.all[0].argument'],
  ])('%j at %s', (group, path) => {
    expect(conditionProblems(group, '$.c').map((problem) => problem.path)).toEqual([path]);
  });

  test('also when there are too many or they nest too deeply', () => {
    const condition = { variable: 'a', operator: 'exists' };
    const many = { all: Array.from({ length: 5000 }, () => condition) };
    expect(conditionProblems(many, '$')).toHaveLength(1);
    let deep: unknown = condition;
    for (let i = 0; i < 1000; i++) deep = { all: [deep] };
    expect(conditionProblems(deep, '$')).toHaveLength(1);
  });
});

describe('days are those of the recipient’s calendar [condition.is_timestamp_before_date] [condition.is_timestamp_on_or_after_date]', () => {
  const at = (timezone: unknown) => ({
    ...scope,
    recipient: { id: 'u1', ...(timezone === undefined ? {} : { timezone: String(timezone) }) },
    data: { late: '2026-03-02T03:00:00Z', day: '2026-03-02' },
  });
  test.each([
    ['data.late', '2026-03-02', undefined, false],
    ['data.late', '2026-03-02', 'America/New_York', true],
    ['data.late', '2026-03-02', 'Nowhere/Else', false],
    // A date is that day for everybody.
    ['data.day', '2026-03-02', 'America/New_York', false],
    ['data.day', '2026-03-03', 'Pacific/Auckland', true],
    // At noon of the first of March in UTC it is the second in Kiritimati.
    ['data.day', '1 minute ago', 'Pacific/Kiritimati', false],
    ['data.day', '1 hour from now', undefined, false],
    ['data.late', '13 hours from now', 'America/New_York', false],
    ['data.late', '17 hours from now', 'America/New_York', true],
    ['data.late', '999999999 weeks from now', 'America/New_York', true],
    ['data.late', 'no day', 'America/New_York', false],
  ])('%s before %j in %s: %s', (variable, argument, timezone, isBefore) => {
    const one = (operator: string) =>
      compileConditionList([{ variable, operator, argument }])(at(timezone));
    expect(one('is_timestamp_before_date')).toBe(isBefore);
    if (argument !== 'no day') expect(one('is_timestamp_on_or_after_date')).toBe(!isBefore);
  });
});

test('a text in quotes of its own is no path, and neither is what a template renders', () => {
  const holds = (value: string, argument: string) =>
    compileConditionList([{ variable: 'data.a', operator: 'equal_to', argument }])({
      ...scope,
      data: { a: value, csv: 'other' },
    });
  expect(holds('other', 'data.csv')).toBe(true);
  expect(holds('data.csv', 'data.csv')).toBe(false);
  expect(holds('data.csv', '"data.csv"')).toBe(true);
  expect(holds('data.csv', '{{ data.a }}')).toBe(true);
});
