import { describe, expect, test } from 'vitest';
import { compileTemplate, parse, renderLiquid } from '../../src/templates/compile-template.ts';
import { bareEnvironment } from '../../src/templates/template-environment.ts';
import { TemplateError } from '../../src/templates/template-error.ts';

const scope = {
  recipient: { id: 'u1', name: 'Ann & Bob', tags: ['a', 'b'], plan: null, deep: { x: { y: 'z' } } },
  actor: null,
  data: {
    title: '<b>Hi</b>',
    count: 3,
    price: 1.5,
    yes: true,
    list: [1, 'two', { three: 3 }, null],
    size: 'own',
    recipient: 'shadow',
    'with-dash': 'dash',
    '0': 'zero',
    quote: `"it's"`,
  },
  timestamp: '2026-01-01T00:00:00Z',
};

function codeOf(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return error instanceof TemplateError ? error.code : error;
  }
  return undefined;
}

describe('a plain template', () => {
  const paths = [
    'recipient.name',
    'recipient',
    'recipient.tags',
    'recipient.tags.size',
    'recipient.tags.first',
    'recipient.tags.last',
    'recipient.tags[0]',
    'recipient.tags[-1]',
    'recipient.tags[9]',
    'recipient["name"]',
    'recipient.name.size',
    'recipient.name.length',
    'recipient.name.first',
    'recipient.size',
    'recipient.plan',
    'recipient.plan.x',
    'recipient.deep.x.y',
    'recipient.deep',
    'recipient.missing.too',
    'recipient.constructor',
    'recipient.__proto__',
    'recipient.toString',
    'constructor',
    'toString.name',
    'actor',
    'actor.name',
    'data.title',
    'title',
    'count',
    'count.size',
    'price',
    'yes',
    'list',
    'list[2].three',
    'list.3',
    'list.last.x',
    'size',
    'data.size',
    'data.recipient',
    'with-dash',
    'data["with-dash"]',
    'data[0]',
    'quote',
    'nothing',
    'timestamp',
    'timestamp.size',
    '"text"',
    '42',
    'true',
    'nil',
    'empty',
    'recipient[title]',
    'data.title | upcase',
    'missing | default: "d"',
    'data.title | raw',
    'data.title | escape',
    'list | join: ", "',
    'count | plus: 1',
    'missing | default: title',
    'missing | default: data.title | upcase | append: count',
    'yes | default: "x", allow_false: true',
    'missing | json',
    'list | json',
    'list | map: "three" | compact | join',
    'list | where: "three" | size',
    'list | where_exp: "x", "x == count"',
    'list | first',
    'title | escape | upcase',
    'title | upcase | raw',
    'title | newline_to_br',
    '"lit" | append: title',
    'count | times: price | round',
    'title | slice: 0, count',
    'title | replace: "b", recipient.name',
    'empty | default: "e"',
    'title | truncate: list',
    'timestamp | date: "%Y"',
    'count == 3',
    'title | default: (1..3)',
    'count | pluralize: "a", "b"',
  ];
  for (const escaping of ['none', 'html'] as const) {
    test.each(paths)(`renders {{ %s }} as liquidjs does, escape ${escaping}`, (path) => {
      for (const source of [`{{ ${path} }}`, `a {{- ${path} -}} b\n`, `<{{${path}}}>{{ title }}`]) {
        const expected = renderLiquid(
          parse(source, { escape: escaping, environment: bareEnvironment }),
          escaping,
          scope,
        );
        expect(
          compileTemplate(source, { escape: escaping, environment: bareEnvironment }).render(scope),
        ).toBe(expected);
      }
    });
  }

  test('of constant text is known as constant', () => {
    expect(
      compileTemplate('Hello\n{% raw %}{{ x }}{% endraw %}', {
        escape: 'html',
        environment: bareEnvironment,
      }).constant,
    ).toBe(undefined);
    expect(
      compileTemplate('Hello <b>you</b>', { escape: 'html', environment: bareEnvironment })
        .constant,
    ).toBe('Hello <b>you</b>');
    expect(compileTemplate('', { escape: 'none', environment: bareEnvironment }).constant).toBe('');
  });
});

describe('variables', () => {
  const render = (source: string) =>
    compileTemplate(source, { escape: 'none', environment: bareEnvironment }).render(scope);

  test('of the trigger data are usable at the top level, and shadow nothing', () => {
    expect(render('{{ title }} {{ recipient.name }}')).toBe('<b>Hi</b> Ann & Bob');
    expect(render('{% if count == 3 %}{{ recipient.id }}{% endif %}')).toBe('u1');
  });

  test('that are unknown render as nothing', () => {
    expect(render('[{{ nobody.knows.this }}{% if nope %}x{% endif %}]')).toBe('[]');
  });

  test('cannot reach the prototype of anything', () => {
    for (const path of ['constructor.constructor', 'recipient.__proto__', 'list.map', 'toString']) {
      expect(render(`{{ ${path} }}`)).toBe('');
      expect(render(`{% assign x = ${path} %}{{ x }}`)).toBe('');
    }
  });
});

describe('HTML templates', () => {
  const html = (source: string) =>
    compileTemplate(source, { escape: 'html', environment: bareEnvironment }).render(scope);

  test('escape what comes out of variables', () => {
    expect(html('<p title="{{ quote }}">{{ title }}</p>')).toBe(
      '<p title="&#34;it&#39;s&#34;">&lt;b&gt;Hi&lt;/b&gt;</p>',
    );
    expect(html('{% for x in list %}{{ title }}{% break %}{% endfor %}')).toBe(
      '&lt;b&gt;Hi&lt;/b&gt;',
    );
  });

  test('leave out escaping only after the filter raw', () => {
    expect(html('{{ title | raw }}')).toBe('<b>Hi</b>');
    expect(html('{{ title | raw | append: "<i>" }}')).toBe('&lt;b&gt;Hi&lt;/b&gt;&lt;i&gt;');
  });

  test('do not escape twice what was escaped by a filter', () => {
    expect(html('{{ title | escape }}')).toBe('&lt;b&gt;Hi&lt;/b&gt;');
    expect(html('{{ "a<\nb" | newline_to_br }}')).toBe('a&lt;<br />\nb');
  });
});

describe('filters of the wire contract', () => {
  const render = (source: string) =>
    compileTemplate(source, { escape: 'none', environment: bareEnvironment }).render(scope);

  test.each([
    ['{{ "hello world" | titlecase }}', 'Hello World'],
    ['{{ count | pluralize: "item", "items" }}', 'items'],
    ['{{ 1 | pluralize: "item", "items" }}', 'item'],
    ['{{ "a" | md5 }}', '0cc175b9c0f1b6a831c399e269772661'],
    ['{{ "a" | sha256 }}', 'ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb'],
    [
      '{{ "a" | hmac_sha256: "k" }}',
      '78da91511e675587f5b9df78bedebaf5560da2abb88162ee875dcdf744951d9e',
    ],
    ['{{ list | json }}', '[1,"two",{"three":3},null]'],
    ['{% assign x = \'{"a":[1]}\' | from_json %}{{ x.a[0] }}', '1'],
    ['{{ recipient.tags | intersect: recipient.tags | size }}', '2'],
    ['{{ timestamp | date: "%Y-%m-%d %H:%M", "America/New_York" }}', '2025-12-31 19:00'],
    ['{{ timestamp | date: "%H:%M" }}', '00:00'],
  ])('%s', (source, expected) => {
    expect(render(source)).toBe(expected);
  });
});

describe('a template that cannot be parsed', () => {
  test.each([
    ['{{ x', 1, 1],
    ['ab\n  {% if x %}', 2, 3],
    ['{% nope %}', 1, 1],
    ['{{ x | nope }}', 1, 1],
    ['\n\n{% include "x" %}', 3, 1],
    ['{% render "x" %}', 1, 1],
    ['{% layout "x" %}', 1, 1],
  ])('%j says where', (source, line, column) => {
    let thrown: unknown;
    try {
      compileTemplate(source, { escape: 'none', environment: bareEnvironment });
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject({ code: 'template_syntax_error', line, column });
  });

  test('nests too deeply or is too long, and says so instead of failing', () => {
    for (const source of ['{% if a %}'.repeat(20_000), 'x'.repeat(600_000), '{'.repeat(9999)]) {
      const code = codeOf(() =>
        compileTemplate(source, { escape: 'none', environment: bareEnvironment }),
      );
      expect([undefined, 'template_syntax_error']).toContain(code);
    }
  });
});

describe('a hostile template fails fast', () => {
  test.each([
    '{% for i in (1..100000000) %}x{% endfor %}',
    '{% assign a = (1..2000) %}{% for i in a %}{% for j in a %}{% for k in a %}{% endfor %}{% endfor %}{% endfor %}',
    '{% assign a = "xxxxxxxxxx" %}{% for i in (1..100) %}{% capture a %}{{ a }}{{ a }}{% endcapture %}{% endfor %}',
    '{% assign a = "xxxxxxxxxx" %}{% for i in (1..100) %}{% assign a = a | append: a %}{% endfor %}',
    '{% assign a = "x" %}{% for i in (1..2000) %}{% for j in (1..1000) %}{{ timestamp }}{% endfor %}{% endfor %}',
    '{{ "not json" | from_json }}',
    '{% for i in (1..1000000) %}{% assign x = list | json %}{% endfor %}',
  ])('%s', (source) => {
    const template = compileTemplate(source, { escape: 'none', environment: bareEnvironment });
    expect(codeOf(() => template.render(scope))).toBe('template_render_error');
  });

  test('also when it is plain and only its values are large', () => {
    const big = { data: { text: 'x'.repeat(600_000) } };
    const template = compileTemplate('{{ text }}{{ text }}', {
      escape: 'none',
      environment: bareEnvironment,
    });
    expect(codeOf(() => template.render(big))).toBe('template_render_error');
  });

  test('also when a value cannot become text', () => {
    const hostile = { data: { x: { toString: 1, valueOf: 2 } } };
    const template = compileTemplate('{{ x }}', { escape: 'none', environment: bareEnvironment });
    expect(codeOf(() => template.render(hostile))).toBe('template_render_error');
  });
});

test('a rendered text holds nothing that the database refuses', () => {
  const hostile = { data: { nul: 'a\0b', half: 'x\ud800y' } };
  const render = (source: string) =>
    compileTemplate(source, { escape: 'none', environment: bareEnvironment }).render(hostile);
  expect(render('{{ nul }}')).toBe('ab');
  expect(render('c\0d')).toBe('cd');
  expect(render('{{ half }}')).toBe('x\ufffdy');
  expect(render('{{ half | upcase }}')).toBe('X\ufffdY');
});
