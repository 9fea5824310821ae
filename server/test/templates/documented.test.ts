import { expect, test } from 'vitest';
import { documentedTemplates } from './documented.ts';
import { environmentOf, rendered } from './support.ts';

/** What docs/workflows/templates.md shows; what looks somebody up is in engine/look-ups.test.ts. */

const filters = documentedTemplates('Filters');
const shared = documentedTemplates('Partials and translations');
const inHtml = documentedTemplates('E-mails');

test('the page of templates has examples', () => {
  expect(filters.length).toBeGreaterThan(9);
  expect(shared.length).toBeGreaterThan(5);
  expect(inHtml.length).toBeGreaterThan(2);
});

test.each(filters)('the documented template %s gives %s', (source, expected) => {
  expect(rendered(source)).toBe(expected);
});

const environment = environmentOf(
  { card: { type: 'html', content: '<b>{{ title }}</b>' } },
  {
    translations: [
      {
        locale: 'en',
        content: {
          orders: { shipped: { one: '{{ count }} order', other: '{{ count }} orders' } },
          Hello: 'Hello',
        },
      },
      { locale: 'en', namespace: 'mail', content: { bye: 'Bye, {{ name }}' } },
      { locale: 'es', content: { Hello: 'Hola' } },
    ],
  },
);

test.each(shared)(
  'the documented template %s, with what it shares, gives %s',
  (source, expected) => {
    const scope = { data: { title: 'Spring' }, recipient: { id: 'u1', locale: 'es' } };
    expect(rendered(source, scope, 'html', environment)).toBe(expected);
  },
);

test.each(inHtml)('the documented template %s gives %s in HTML', (source, expected) => {
  expect(rendered(source, { data: { name: 'Ann & Bo' } }, 'html').trim()).toBe(expected);
});
