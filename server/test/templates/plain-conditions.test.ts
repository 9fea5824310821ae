import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { Json } from '../../src/lib/json.ts';
import { compileTemplate, parse, renderLiquid } from '../../src/templates/compile-template.ts';
import { plainTemplate } from '../../src/templates/plain-template.ts';
import type { Escape } from '../../src/templates/setting.ts';
import { bareEnvironment } from '../../src/templates/template-environment.ts';
import { TemplateError } from '../../src/templates/template-error.ts';

/** `v` is absent from the scope where it is undefined here. */
const values: readonly (Json | undefined)[] = [
  undefined,
  null,
  '',
  ' \n',
  '0',
  '3',
  'pro',
  'a "quoted" <b>',
  0,
  -1,
  3,
  1.5,
  true,
  false,
  [],
  [null],
  ['pro', 3],
  [[], ['pro']],
  {},
  { size: 3 },
  { size: null },
  { x: { y: 'pro' } },
  { equals: 'pro', indexOf: 'pro', length: 3 },
];

const operands = [
  'v',
  'w',
  'data.v',
  'recipient.v',
  'recipient.deep.v',
  'recipient.missing.v',
  'v.size',
  'v.first',
  'v.x.y',
  'v[0]',
  'v[-1]',
  'constructor',
];
const literals = ['"pro"', "''", '"3"', '3', '0', '-1.5', 'true', 'false', 'nil', 'null'];
const rules = ['empty', 'blank'];
const comparisons = ['==', '!=', '>', '<', '>=', '<=', 'contains'];

const conditions = [
  ...operands,
  ...literals,
  ...rules,
  ...comparisons.flatMap((operator) => [
    ...[...operands, ...literals, ...rules].map((right) => `v ${operator} ${right}`),
    ...[...literals, ...rules].map((left) => `${left} ${operator} v`),
    `nil ${operator} true`,
    `recipient.list ${operator} v`,
    `recipient.list ${operator} nil`,
    `recipient.list ${operator} blank`,
    `recipient.list ${operator} recipient.same`,
    `recipient.name ${operator} empty`,
  ]),
  'v and w',
  'v or w',
  'not v',
  'not v == 3',
  'not v and w or v',
  'v or w and false',
  'v and false or true',
  'true or v and false',
  'false and v or w',
  'v == 3 or w == "pro" and v != nil',
  'v > 0 and v < 10 and w == blank',
  'v == empty or v contains "pro" or not w',
  'v == w == true',
  'v | size',
  'v | default: w',
  'v == 3 | default: "x"',
  'nil | default: v',
  'empty',
];

const scopes = values.flatMap((v, index) => {
  const w = values[(index + 7) % values.length];
  const own = { ...(v === undefined ? {} : { v }), ...(w === undefined ? {} : { w }) };
  const recipient = {
    ...own,
    name: 'Ann & Bob',
    list: ['pro', 3, null, ['x']],
    same: ['pro', 3, null, ['x']],
    deep: own,
  };
  // Once in the data, once at the top level, where null hides what the data have.
  return [{ recipient, data: own }, ...(v === undefined ? [] : [{ v, recipient, data: { w: 1 } }])];
});

/** What liquidjs alone makes of a template is what the compiled template makes of it. */
function expectSame(source: string, escaping: Escape): void {
  const parsed = parse(source, { escape: escaping, environment: bareEnvironment });
  const compiled = compileTemplate(source, { escape: escaping, environment: bareEnvironment });
  for (const scope of scopes) {
    const expected = renderLiquid(parsed, escaping, scope);
    expect(compiled.render(scope), `${source} of ${JSON.stringify(scope)}`).toBe(expected);
  }
}

const isPlain = (source: string, escaping: Escape = 'none') =>
  plainTemplate(parse(source, { escape: escaping, environment: bareEnvironment })) !== undefined;

describe.each(['none', 'html'] as const)('a condition, escape %s', (escaping) => {
  // A machine that stalls would let a rendering run into its time limit.
  beforeAll(() => {
    vi.useFakeTimers({ toFake: ['performance'] });
  });
  afterAll(() => {
    vi.useRealTimers();
  });

  test.each(conditions)('holds for the values for which it holds in liquidjs: %s', (condition) => {
    const source =
      `{% if ${condition} %}<{{ v }}>{% else %}no{% endif %} ` +
      `{% unless ${condition} %}none{% elsif w %}{{ w }}{% endunless %} {{ ${condition} }}`;
    expect(isPlain(source, escaping)).toBe(true);
    expectSame(source, escaping);
  });

  test.each([
    '{% if v %}1{% if w %}2{% else %}3{% endif %}4{% elsif w %}5{% else %}6{% endif %}7',
    '{% unless v %}1{% elsif w %}2{% else %}3{% endunless %}',
    '{% unless v %}{% unless w %}a{% endunless %}{% else %}{% else %}b{% endunless %}',
    '{% if v %}{% elsif w %}{% endif %}',
    'a {%- if v -%} b {{- v -}} c {%- else %} d {% endif -%} e',
    '{% comment %}{{ v }}{% if %}{% endcomment %}a{% if v %}{%- comment -%} x {%- endcomment %} b{% endif %}',
    '{% if v == 3 %}{{ v | plus: 1 }}{% elsif v contains "pro" %}{{ w | json }}{% endif %}',
    '{% if v %}{{ recipient.name }}{{ recipient.name | raw }}{{ "<" }}{{ 3 }}{{ nil }}{% endif %}',
  ])('chooses the branch that liquidjs chooses: %s', (source) => {
    expect(isPlain(source, escaping)).toBe(true);
    expectSame(source, escaping);
  });

  test.each([
    '{% assign x = v %}{% if x %}{{ x }}{% endif %}',
    '{% if v %}{% assign x = w %}{% endif %}{{ x }}',
    '{% for x in v %}{% if x %}{{ x }}{% break %}{% endif %}{% endfor %}',
    '{% if v[w] %}a{% endif %}',
    '{% if recipient[recipient.name] == (1..3) %}a{% endif %}',
    '{% if empty == nil %}a{% endif %}{% if blank != empty %}b{% endif %}',
    '{% if v == not w %}a{% endif %}',
    '{% if v w %}a{% endif %}{% if == %}b{% endif %}',
    '{% case v %}{% when 3 %}a{% else %}b{% endcase %}',
    `{% if ${'v and '.repeat(100)} w %}a{% else %}b{% endif %}`,
    `${'{% if true %}'.repeat(50)}{{ v }}${'{% endif %}'.repeat(50)}`,
  ])('that is more than plain is left to liquidjs: %s', (source) => {
    expect(isPlain(source, escaping)).toBe(false);
    expectSame(source, escaping);
  });
});

test('comments leave constant text constant', () => {
  const source = 'a{% comment %}{{ x }}{% endcomment %}b';
  expect(compileTemplate(source, { escape: 'none', environment: bareEnvironment }).constant).toBe(
    'ab',
  );
});

describe('a plain template with conditions fails fast', () => {
  function errorOf(source: string, data: { readonly [key: string]: Json }): unknown {
    expect(isPlain(source)).toBe(true);
    try {
      return compileTemplate(source, { escape: 'none', environment: bareEnvironment }).render({
        data,
      }).length;
    } catch (error) {
      return error;
    }
  }
  const renderError = (at: object = {}) => ({ code: 'template_render_error', ...at });

  test('when its branches write too much', () => {
    const source = '{% if v %}\n{{ v }}{% if v %}{{ v }}{% endif %}{% endif %}';
    const error = errorOf(source, { v: 'x'.repeat(600_000) });
    expect(error).toBeInstanceOf(TemplateError);
    expect(error).toMatchObject(renderError({ line: 2 }));
  });

  test('when its conditions take too long', () => {
    const list = Array.from({ length: 300_000 }, () => [1]);
    const source = '{% if a == b %}{% endif %}'.repeat(5_000);
    expect(errorOf(source, { a: list, b: [...list] })).toMatchObject(renderError());
  });

  test('when a value cannot be compared, and says where', () => {
    const hostile = { toString: 1, valueOf: 2 };
    const source = '\n{% if false %}{% elsif "a" contains x %}{% endif %}';
    expect(errorOf(source, { x: hostile })).toMatchObject(renderError({ line: 2, column: 1 }));
    expect(errorOf('{% if x > 1 %}{% endif %}', { x: hostile })).toMatchObject(renderError());
  });
});
