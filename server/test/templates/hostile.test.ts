import { expect, test } from 'vitest';
import { environmentOf, failure, rendered } from './support.ts';

const big = 'x'.repeat(45_000);
const environment = environmentOf(
  {
    loop: { type: 'markdown', content: '{% for i in (1..9999) %}{% render "loop" %}{% endfor %}' },
  },
  {
    translations: [
      {
        locale: 'en',
        content: { a: '{{ "b" | t }}{{ "b" | t }}', b: '{{ "a" | t }}{{ "a" | t }}' },
      },
    ],
  },
);

test.each([
  [
    'markdown again and again',
    '{% for i in (1..100000) %}{{ data.big | from_markdown }}{% endfor %}',
  ],
  [
    'markdown of brackets',
    '{{ data.brackets | from_markdown }}{{ data.brackets | from_markdown }}{% for i in (1..99999) %}{{ data.brackets | from_markdown }}{% endfor %}',
  ],
  ['too long a markdown', '{{ data.big | append: data.big | from_markdown }}'],
  [
    'JSON again and again',
    '{% for i in (1..100000) %}{% assign x = data.json | from_json %}{% endfor %}',
  ],
  ['many locales', '{% for i in (1..1000000) %}{{ i | format_number: "de" }}{% endfor %}'],
  ['partials in partials', '{% render "loop" %}'],
  ['translations in translations', '{{ "a" | t }}'],
  ['titles', '{% for i in (1..1000000) %}{% assign x = data.big | titlecase %}{% endfor %}'],
])('%s ends with an error of this template', (_, source) => {
  const scope = {
    data: { big, brackets: '['.repeat(45_000), json: JSON.stringify([big]) },
    recipient: { id: 'u1' },
  };
  expect(failure(() => rendered(source, scope, 'html', environment)).code).toBe(
    'template_render_error',
  );
});
