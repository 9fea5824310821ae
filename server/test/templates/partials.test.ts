import { describe, expect, test } from 'vitest';
import { environmentOf, failure, rendered } from './support.ts';

const environment = environmentOf({
  greeting: { type: 'html', content: '<p>Hi {{ name }}{{ recipient.name }}{{ secret }}</p>' },
  text: { type: 'text', content: 'Hi {{ name }} & all' },
  payload: { type: 'json', content: '{"n":{{ n | json }}}' },
  notes: { type: 'markdown', content: '# {{ title }}\n\n*ok*' },
  outer: { type: 'html', content: '[{% render "greeting", name: name %}]' },
  flag: {
    type: 'html',
    content:
      '{% if on %}on{% else %}off{% endif %} {% if on == "true" %}true{% endif %} {{ on }} {{ on | json }}',
  },
  list: { type: 'html', content: '{% for item in items %}{{ item.n }}{% endfor %}' },
  branded: { type: 'html', content: '{{ vars.branding.primary_color }}' },
  endless: { type: 'html', content: '.{% render "endless" %}' },
  tree: {
    type: 'html',
    content:
      '({{ n }}{% if n > 0 %}{% assign m = n | minus: 1 %}{% render "tree", n: m %}{% endif %})',
  },
  broken: { type: 'html', content: '{% if %}' },
  wide: { type: 'html', content: '{% for i in (1..1000) %}{% render "wide" %}{% endfor %}' },
});

const scope = {
  recipient: { name: '<Ann>' },
  vars: { branding: { primary_color: '#f00' } },
  data: { secret: 'hidden', items: [{ n: 1 }, { n: 2 }], yes: true, no: false },
};
const html = (source: string) => rendered(source, scope, 'html', environment);
const text = (source: string) => rendered(source, scope, 'none', environment);

describe('the tag render [template.tag.render]', () => {
  test.each([
    [`{% render 'greeting', name: recipient.name %}`, '<p>Hi &lt;Ann&gt;</p>'],
    [`{% render "outer", name: "x" %}`, '[<p>Hi x</p>]'],
    [`{% render "payload", n: data.items %}`, '{"n":[{&#34;n&#34;:1},{&#34;n&#34;:2}]}'],
    [`{% render "notes", title: recipient.name %}`, '<h1>&lt;Ann&gt;</h1>\n<p><em>ok</em></p>'],
    [`{% render "list", items: data.items %}`, '12'],
    [`{% render "branded" %}`, '#f00'],
    [
      `{% for item in data.items %}{% render "text", name: item.n %};{% endfor %}`,
      'Hi 1 & all;Hi 2 & all;',
    ],
    [
      `{% render "flag", on: data.yes %}|{% render "flag", on: data.no %}`,
      'on true true true|off  false false',
    ],
    [`{% render "tree", n: 3 %}`, '(3(2(1(0))))'],
  ])('puts a partial with its own variables there: %s', (source, expected) => {
    expect(html(source)).toBe(expected);
  });

  test('leaves text as text where the template is no HTML', () => {
    expect(text(`{% render "payload", n: data.items %}`)).toBe('{"n":[{"n":1},{"n":2}]}');
    expect(text(`{% render "notes", title: "T" %}`)).toBe('# T\n\n*ok*');
    expect(rendered(`{% render "notes", title: "<T>" %}`, {}, 'markdown', environment)).toBe(
      '# &lt;T&gt;\n\n*ok*',
    );
  });

  test.each([
    [`{% render "nobody" %}`, 'there is no partial "nobody"'],
    [`{% render greeting %}`, "needs a partial's key in quotes"],
    [`{% render "greeting" with data %}`, 'neither "with" nor "for"'],
    [`{% render "greeting" for data.items as item %}`, 'neither "with" nor "for"'],
    [`{% render "broken" %}`, 'in the partial "broken":'],
    [`{% include "greeting" %}`, 'is not supported'],
  ])('is refused when the template is parsed: %s', (source, reason) => {
    expect(failure(() => html(source))).toMatchObject({
      code: 'template_syntax_error',
      message: expect.stringContaining(reason),
    });
  });

  test('ends five partials deep, and in time when each leads to a thousand', () => {
    expect(failure(() => html(`{% render "endless" %}`)).message).toContain('more than 5 deep');
    expect(html(`{% render "tree", n: 4 %}`)).toBe('(4(3(2(1(0)))))');
    expect(failure(() => html(`{% render "tree", n: 5 %}`)).message).toContain('more than 5 deep');
    expect(failure(() => html(`{% render "wide" %}`)).code).toBe('template_render_error');
  });
});
