import { expect, test } from 'vitest';
import { compileTriggerDataSchema, triggerDataProblems } from '../../src/workflows/trigger-data.ts';

function problems(schema: object, data: object) {
  const compiled = compileTriggerDataSchema({ trigger_data_json_schema: schema as never });
  return compiled ? triggerDataProblems(compiled, data as never) : [];
}

test('data that breaks the schema is told field by field', () => {
  const schema = {
    $schema: 'http://json-schema.org/draft-07/schema#',
    type: 'object',
    required: ['title'],
    properties: {
      title: { type: 'string' },
      items: { type: 'array', items: { $ref: '#/definitions/item' } },
      kind: { enum: ['a', 'b'] },
    },
    definitions: { item: { type: 'object', properties: { n: { type: 'integer', minimum: 1 } } } },
  };
  expect(problems(schema, { title: 'x', items: [{ n: 1 }], kind: 'a', more: true })).toEqual([]);
  const found = problems(schema, { items: [{ n: 1 }, { n: 0.5 }], kind: 'c' });
  expect(found.map((problem) => problem.path)).toEqual(
    expect.arrayContaining(['data', 'data.items[1].n', 'data.kind']),
  );
  expect(found.find((problem) => problem.path === 'data')?.reason).toContain('title');
});

test('a workflow without a schema takes any data', () => {
  expect(compileTriggerDataSchema({})).toBeUndefined();
  expect(compileTriggerDataSchema({ trigger_data_json_schema: {} })).toBeUndefined();
});

test('a hostile regular expression or reference is stopped and told', () => {
  const pattern = { properties: { a: { type: 'string', pattern: '^(a+)+$' } } };
  expect(problems(pattern, { a: 'aaaa' })).toEqual([]);
  expect(problems(pattern, { a: 'b' })).toMatchObject([{ path: 'data.a' }]);
  expect(problems(pattern, { a: `${'a'.repeat(60)}!` })).toMatchObject([{ path: 'data' }]);
  expect(problems({ $ref: '#' }, {})).toMatchObject([{ path: 'data' }]);
});

test('a schema whose references double the work at each level is stopped and told', () => {
  const twice = (level: number) => {
    const next = { $ref: `#/definitions/level${level + 1}` };
    return { allOf: [next, next] };
  };
  const levels = Array.from({ length: 40 }, (_, level) => [`level${level}`, twice(level)] as const);
  const definitions = { ...Object.fromEntries(levels), level40: { type: 'object' } };
  expect(problems({ definitions, $ref: '#/definitions/level0' }, {})).toMatchObject([
    { path: 'data', reason: expect.stringContaining('timed out') },
  ]);
});
