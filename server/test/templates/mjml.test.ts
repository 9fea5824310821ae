import { describe, expect, test } from 'vitest';
import { mjmlToHtml } from '../../src/templates/mjml.ts';
import { splitLiquid } from '../../src/templates/split-liquid.ts';
import { failure } from './support.ts';

const inBody = (content: string) => `<mjml><mj-body>${content}</mj-body></mjml>`;

describe('MJML becomes HTML', () => {
  test('with Liquid in texts, in attributes and around elements of every level', () => {
    const html = mjmlToHtml(
      inBody(
        '{% if a %}<mj-section><mj-column>{% for i in list %}<mj-text>{{ i }}<br>&nbsp;</mj-text>{% endfor %}' +
          '{% if b %}<p>{{ c }}</p>{% endif %}</mj-column></mj-section>{% endif %}' +
          `<mj-section><mj-column><mj-button href="{{ u | default: "/" }}">Go {% if x > 1 %}y{% endif %}</mj-button></mj-column></mj-section>`,
      ),
    );
    expect(html).toMatch(
      /\{% if a %\}[\s\S]*<tbody>\{% for i in list %\}<tr>[\s\S]*\{\{ i \}\}<br>&nbsp;[\s\S]*<\/tr>\{% endfor %\}/,
    );
    expect(html).toContain(
      '{% if b %}<tr><td style="word-break:break-word;"><p>{{ c }}</p></td></tr>{% endif %}',
    );
    expect(html).toContain('href="{{ u | default: "/" }}"');
    expect(html).toContain('Go {% if x > 1 %}y{% endif %}</a>');
    expect(html).not.toMatch(/<mj/);
  });

  test('with HTML between its elements, comments left in place', () => {
    const html = mjmlToHtml(inBody('<!-- <mj-section> --><hr><mj-section></mj-section>'));
    expect(html).toContain('<!-- <mj-section> --><hr>');
  });

  test.each([
    ['<mjml>', '<mjml> is not closed'],
    ['<p>no</p>', 'there is text outside of <mjml>'],
    [inBody('</mj-section>'), '</mj-section> closes what is not open'],
    [inBody('<mj-text>'), '<mj-text> is not closed'],
    [inBody('<mj-text a="'), 'the tag <mj-text does not end'],
    [inBody('<mj-nothing></mj-nothing>'), 'MJML has no element <mj-nothing>'],
    [inBody('<mj-include path="/etc/passwd" />'), 'MJML has no element <mj-include>'],
    [
      inBody('<mj-section {% if x %}full-width{% endif %}></mj-section>'),
      'within the value of an attribute',
    ],
    [inBody(`${'<mj-wrapper>'.repeat(31)}${'</mj-wrapper>'.repeat(31)}`), 'nests at most 30'],
    [inBody('<mj-section></mj-section>'.repeat(2_001)), 'at most 2000 elements'],
    ['x'.repeat(513 * 1024), 'at most 524288 characters'],
    ['<mj-x a="'.repeat(50_000), 'does not end'],
    ['{{'.repeat(200_000), 'text outside'],
    ['{% raw %}'.repeat(50_000), 'text outside'],
    [`<mjml>${'<!--'.repeat(100_000)}</mjml>`, 'there is text in <mjml>'],
    [inBody('<mj-text></mj-text'.repeat(20_000)), 'is not closed'],
  ])('or is refused at once: %.60s', (source, reason) => {
    expect(failure(() => mjmlToHtml(source)).message).toContain(reason);
  });

  test('after one that was refused as well', () => {
    failure(() => mjmlToHtml('<mjml></mjml><mjml></mjml>'));
    expect(mjmlToHtml(inBody('<mj-section></mj-section>'))).toContain('</html>');
  });
});

test('a source is split into text, outputs and tags, and is whole again when joined', () => {
  const source =
    'a{{ b }}c{% if d %}{% raw %}{{ e }}{% endraw %}{%- comment -%}{{{%- endcomment -%}f{{ g';
  const parts = splitLiquid(source);
  expect(parts.map(({ kind, text }) => `${kind} ${text}`)).toEqual([
    'text a',
    'output {{ b }}',
    'text c',
    'tag {% if d %}',
    'tag {% raw %}{{ e }}{% endraw %}',
    'tag {%- comment -%}{{{%- endcomment -%}',
    'text f{{ g',
  ]);
  expect(parts.map(({ text }) => text).join('')).toBe(source);
});
