import { expect, test } from 'vitest';
import { compileTemplate } from '../../src/templates/compile-template.ts';
import { bareEnvironment } from '../../src/templates/template-environment.ts';

const items = Array.from({ length: 190_000 }, (_, index) => ({ n: { m: index } }));
const render = (source: string, data: object) =>
  compileTemplate(source, { escape: 'none', environment: bareEnvironment }).render({
    data,
  } as never);

test.each([
  ['an output', (filters: string) => `{{ data.items ${filters} | size }}`],
  ['an assignment', (filters: string) => `{% assign x = data.items ${filters} %}{{ x | size }}`],
])('filters that evaluate each item of a long list are stopped in time, in %s', (_, template) => {
  const filters = '| where_exp: "i", "i.n.m != -1 or i.n.m == 1 or i.n.m == 2" '.repeat(20);
  expect(() => render(template(filters), { items })).toThrowError(
    expect.objectContaining({
      code: 'template_render_error',
      message: expect.stringContaining('render limit exceeded'),
    }),
  );
});

test('filters that are stopped in time give what they gave', () => {
  const data = { items: [{ n: 3 }, { n: 1 }, { n: 2 }] };
  const source =
    '{{ data.items | sort: "n" | map: "n" | join }} {{ data.items | sum: "n" }} ' +
    '{% assign x = data.items | where_exp: "i", "i.n > 1" %}{{ x | size }} ' +
    '{{ data.items | group_by: "n" | size }} {{ data.items | find: "n", 2 | json }}';
  expect(render(source, data)).toBe('1 2 3 6 2 3 {"n":2}');
});

test.each([
  ['outputs', '{{ a }}'.repeat(10_001)],
  ['tags', '{% if a %}b{% endif %}'.repeat(5_001)],
  ['lines of a liquid tag', `{%- liquid\n${'echo a\n'.repeat(10_001)}-%}`],
])('a template with too many %s is refused before it is parsed', (_, source) => {
  expect(() =>
    compileTemplate(source, { escape: 'none', environment: bareEnvironment }),
  ).toThrowError(
    expect.objectContaining({
      code: 'template_syntax_error',
      message: expect.stringContaining('at most 10000 outputs and tags'),
    }),
  );
});
