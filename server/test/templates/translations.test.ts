import { describe, expect, test } from 'vitest';
import { parseTranslation } from '../../src/templates/parse-translation.ts';
import { environmentOf, failure, rendered } from './support.ts';

const environment = environmentOf(
  {},
  {
    defaultLocale: 'en',
    translations: [
      {
        locale: 'en',
        content: {
          welcome: 'Welcome, {{ name }}!',
          bye: 'Bye',
          only: 'only here',
          html: '<b>{{ name }}</b>',
          orders: {
            shipping: { zero: 'none', one: 'one order', other: '{{ count }} orders' },
            plain: { one: 'one', other: 'many' },
          },
          'dotted.key': 'as written',
          who: 'for {{ recipient.id }}',
          loop: '{{ "loop" | t }}',
          'Hello {{ recipient.name }}!': 'Hello {{ recipient.name }}!',
        },
      },
      {
        locale: 'fr',
        content: {
          bye: 'Au revoir',
          'Hello {{ recipient.name }}!': 'Salut {{ recipient.name }} !',
        },
      },
      { locale: 'fr-BE', content: { bye: 'Adieu' } },
      { locale: 'en', namespace: 'shipping', content: { canceled: 'shipment canceled' } },
      { locale: 'fr', tenant: 'acme', content: { bye: 'Acme dit au revoir' } },
      { locale: 'en', tenant: 'acme', content: { only: 'only at Acme' } },
    ],
  },
);

const say = (
  source: string,
  recipient: object = {},
  tenant: string | null = null,
  escaping: 'none' | 'html' = 'none',
) =>
  rendered(
    source,
    {
      recipient: { id: 'u1', ...recipient },
      tenant: tenant === null ? null : { id: tenant },
      data: { n: 3 },
    } as never,
    escaping,
    environment,
  );

describe('the filter t [template.filter.t]', () => {
  test.each([
    ['the region', `{{ "bye" | t }}`, 'fr-BE', null, 'Adieu'],
    ['the language', `{{ "bye" | t }}`, 'fr-CA', null, 'Au revoir'],
    ['a locale with an underscore', `{{ "bye" | t }}`, 'fr_BE', null, 'Adieu'],
    ['the default', `{{ "bye" | t }}`, 'de', null, 'Bye'],
    ['the default of somebody without a locale', `{{ "bye" | t }}`, undefined, null, 'Bye'],
    [
      'the language of the tenant before the region',
      `{{ "bye" | t }}`,
      'fr-BE',
      'acme',
      'Acme dit au revoir',
    ],
    [
      'the default of the tenant before the language',
      `{{ "only" | t }}`,
      'fr',
      'acme',
      'only at Acme',
    ],
    ['another tenant', `{{ "bye" | t }}`, 'fr', 'other', 'Au revoir'],
  ])('takes the text of %s', (_, source, locale, tenant, expected) => {
    expect(say(source, locale === undefined ? {} : { locale }, tenant)).toBe(expected);
  });

  test.each([
    [`{{ "shipping:canceled" | t }}`, 'shipment canceled'],
    [`{{ "dotted.key" | t }}`, 'as written'],
    [`{{ "welcome" | t: name: "Ann" }}`, 'Welcome, Ann!'],
    [`{{ "who" | t }}`, 'for u1'],
    [`{{ "bye" | t | upcase }}`, 'BYE'],
    [`{{ "orders.shipping" | t: count: 0 }}`, 'none'],
    [`{{ "orders.shipping" | t: count: 1 }}`, 'one order'],
    [`{{ "orders.shipping" | t: count: n }}`, '3 orders'],
    [`{{ "orders.plain" | t: count: 0 }}`, 'many'],
    [`{{ "no.such.key" | t }}`, 'no.such.key'],
    [`{% assign x = "welcome" | t: name: "Ann" %}{{ x }}`, 'Welcome, Ann!'],
  ])('knows namespaces, paths, variables and numbers: %s', (source, expected) => {
    expect(say(source)).toBe(expected);
  });

  test.each([
    [`{{ "html" | t: name: recipient.name }}`, '<b>A &amp; B</b>'],
    [`{{ "html" | t: name: recipient.name | upcase }}`, '&lt;B&gt;A &amp; B&lt;/B&gt;'],
    [`{% assign x = "html" | t: name: recipient.name %}{{ x }}`, '&lt;b&gt;A &amp; B&lt;/b&gt;'],
    [`{{ recipient.name | t }}`, 'A &amp; B'],
  ])('escapes in HTML exactly once: %s', (source, expected) => {
    expect(say(source, { name: 'A & B' }, null, 'html')).toBe(expected);
  });

  test('whose text leads to itself ends', () => {
    expect(failure(() => say(`{{ "loop" | t }}`)).message).toContain(
      'translations lead to each other',
    );
  });
});

test('the tag t has a translation of its text, or its text [template.tag.t]', () => {
  const source = `{% t %}Hello {{ recipient.name }}!{% endt %} {%- t -%} No text of it {%- endt %}`;
  expect(say(source, { name: 'Ann', locale: 'fr' })).toBe('Salut Ann ! No text of it ');
  expect(say(source, { name: 'Ann', locale: 'en' })).toBe('Hello Ann! No text of it ');
  expect(failure(() => say('{% t %}open')).message).toContain('tag "t" not closed');
});

describe('the content of a translation [translation.format]', () => {
  test('is JSON', () => {
    expect(parseTranslation('json', '{"a":{"b":"c"}}')).toEqual({ a: { b: 'c' } });
  });

  test('is PO, with plurals', () => {
    const po = `msgid ""\nmsgstr ""\n"Language: de\\n"\n\nmsgid "bye"\nmsgstr "Tschüss"\n\nmsgid "{{ count }} item"\nmsgid_plural "{{ count }} items"\nmsgstr[0] "ein Ding"\nmsgstr[1] "{{ count }} Dinge"\n\nmsgid "open"\nmsgstr ""\n`;
    expect(parseTranslation('po', po)).toEqual({
      bye: 'Tschüss',
      '{{ count }} item': { one: 'ein Ding', other: '{{ count }} Dinge' },
    });
  });

  test.each([
    ['[]', 'must be a JSON object'],
    ['{"a":{"b":1}}', '"a.b" must be a text or an object'],
    ['{', 'is no JSON'],
    [`${'{"a":'.repeat(25)}""${'}'.repeat(25)}`, 'nests more than 20'],
    [`{"a":"${'x'.repeat(1024 * 1024)}"}`, 'at most 1048576 characters'],
  ])('is refused with a reason: %.20s', (content, reason) => {
    expect(failure(() => parseTranslation('json', content)).message).toContain(reason);
  });
});
