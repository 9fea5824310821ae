import { describe, expect, test } from 'vitest';
import type { JsonObject } from '../../src/lib/json.ts';
import type { CompileEnvironment, EmailLayout, RunScope } from '../../src/workflows/step.ts';
import { compileEmailBody, emailBodyProblems } from '../../src/workflows/steps/email-body.ts';
import { environmentOf } from '../templates/support.ts';
import { environment as bare, scopeWith } from './support.ts';

const layouts: Readonly<Record<string, EmailLayout>> = {
  plain: {
    html: '<html><body>{{ previewText }}|{{content}}|{{ fromBody }}{% for link in footer_links %}<a href="{{ link.url }}">{{ link.text }}</a>{% endfor %}</body></html>',
    text: '{{ content }}\n--\n{{ vars.branding.name }}{% for link in footer_links %}\n{{ link.text }}: {{ link.url }}{% endfor %}',
    isMjml: false,
    footerLinks: [{ text: 'Help & more', url: 'https://example.com/help' }],
    branding: { primary_color: '#010', name: 'Layout' },
  },
  branded: {
    html: '<body style="color:{{ vars.branding.primary_color }};background:{{ vars.branding.icon_url }}">{{ content }}</body>',
    text: '',
    isMjml: false,
    footerLinks: [],
    branding: { primary_color: '#010', icon_url: null },
  },
  mjml: {
    html: '<mjml><mj-body><mj-section><mj-column>{{ content }}</mj-column></mj-section>{% for link in footer_links %}<mj-section><mj-column><mj-button href="{{ link.url }}">{{ link.text }}</mj-button></mj-column></mj-section>{% endfor %}</mj-body></mjml>',
    text: '',
    isMjml: true,
    footerLinks: [
      { text: 'One', url: 'https://example.com/1' },
      { text: 'Two', url: 'https://example.com/2' },
    ],
  },
  sections: {
    html: '<mjml><mj-body>{{ content }}</mj-body></mjml>',
    text: '',
    isMjml: true,
    footerLinks: [],
  },
  linked: {
    html: '<html>{{ content }}{% for link in footer_links %}<a href="{{ link.url }}">{{ link.text }}</a>{% endfor %}</html>',
    text: '{{ content }}{% for link in footer_links %}\n{{ link.text }}: {{ link.url }}{% endfor %}',
    isMjml: false,
    footerLinks: [
      {
        text: 'Settings of {{ recipient.name }}',
        url: '{{ vars.branding.home }}/{{ data.project }}?a=1&b=2',
      },
    ],
    branding: { home: 'https://x.example' },
  },
  empty: { html: '<html></html>', text: '', isMjml: false, footerLinks: [] },
};

const environment: CompileEnvironment = {
  ...bare,
  layout: (key) => layouts[key],
  templates: environmentOf({
    card: {
      type: 'html',
      content:
        '<b>{{ title }}</b>{% for item in items %}<i>{{ item }}</i>{% endfor %}{{ button.text }}',
    },
  }),
};

const body = (template: JsonObject, scope: RunScope = scopeWith()) =>
  compileEmailBody(template, environment)(scope);
const problems = (template: JsonObject) => emailBodyProblems(template, '$', environment);

describe('a layout', () => {
  test('is around the HTML and the text, and shares its variables with the template [channel/email.template.settings.layout_key] [channel/email.template.settings.pre_content] [layout.footer_links]', () => {
    const template = {
      html_body: '<p>Hi {{ recipient.name }}{% assign fromBody = "later" %}</p>',
      settings: { layout_key: 'plain', pre_content: '{% assign previewText = "first" %}' },
    };
    expect(problems(template)).toEqual([]);
    expect(body(template)).toEqual({
      html: '<html><body>first|<p>Hi Ann &lt;3</p>|later<a href="https://example.com/help">Help &amp; more</a></body></html>',
      text: 'Hi Ann <3\n--\nLayout\nHelp & more: https://example.com/help',
    });
  });

  test('has footer links whose texts and addresses are templates, escaped where it puts them out [layout.footer_links]', () => {
    const template = { html_body: '<p>Hi</p>', settings: { layout_key: 'linked' } };
    expect(problems(template)).toEqual([]);
    expect(body(template, scopeWith({ project: 'p7' }))).toEqual({
      html: '<html><p>Hi</p><a href="https://x.example/p7?a=1&amp;b=2">Settings of Ann &lt;3</a></html>',
      text: 'Hi\nSettings of Ann <3: https://x.example/p7?a=1&b=2',
    });
  });

  test('is around a text of its own, too [channel/email.template.text_body] [layout.text_layout]', () => {
    const template = {
      html_body: '<p>x</p>',
      text_body: 'Hi {{ recipient.name }}',
      settings: { layout_key: 'plain' },
    };
    expect(body(template).text).toBe(
      'Hi Ann <3\n--\nLayout\nHelp & more: https://example.com/help',
    );
    expect(body(template).html).not.toContain('belfry');
  });

  test('has the branding of the tenant over its own, over that of the account [layout.branding_overrides]', () => {
    const template = { html_body: 'x', settings: { layout_key: 'branded' } };
    const vars = { branding: { primary_color: '#acc', icon_url: 'account' } };
    const scope = { ...scopeWith(), vars };
    expect(body(template, scope).html).toBe('<body style="color:#010;background:account">x</body>');
    const ofTenant = { settings: { branding: { primary_color: '#ten' } } };
    expect(body(template, { ...scope, tenant: ofTenant }).html).toContain('color:#ten');
  });

  test('is the built-in one where there is no other default', () => {
    const { html, text } = body({ html_body: '<p>Hi</p>', settings: { layout_key: 'default' } });
    expect(html).toMatch(/^<!doctype html>[\s\S]*<p>Hi<\/p>[\s\S]*<\/html>$/);
    expect(text).toBe('Hi');
  });

  test('can be left out', () => {
    expect(body({ html_body: '<p>Hi</p>', settings: {} })).toEqual({
      html: '<p>Hi</p>',
      text: 'Hi',
    });
    expect(body({ text_body: 'Hi' })).toEqual({ text: 'Hi' });
  });
});

describe('MJML', () => {
  test('is HTML with its Liquid in place, around whole sections too [layout.is_mjml]', () => {
    const template = {
      html_body: '<p>Hi {{ recipient.name }}</p>',
      settings: { layout_key: 'mjml' },
    };
    expect(problems(template)).toEqual([]);
    const { html = '', text } = body(template);
    expect(html).toContain('<tr><td style="word-break:break-word;"><p>Hi Ann &lt;3</p></td></tr>');
    expect(html.match(/<a href="https:\/\/example\.com\/\d"/g)).toHaveLength(2);
    expect(html).not.toMatch(/mj-button|\{%|belfry/);
    expect(text).toBe('Hi Ann <3');
  });

  test('may be in a template, alone or in a layout [channel/email.template.is_mjml]', () => {
    const section =
      '{% if data.show %}<mj-section background-color="{{ vars.color | default: "#eee" }}"><mj-column><mj-text>Hi<br>{{ recipient.name }}</mj-text></mj-column></mj-section>{% endif %}';
    const inLayout = { html_body: section, is_mjml: true, settings: { layout_key: 'sections' } };
    const alone = { html_body: `<mjml><mj-body>${section}</mj-body></mjml>`, is_mjml: true };
    for (const template of [inLayout, alone]) {
      expect(problems(template)).toEqual([]);
      const shown = body(template, scopeWith({ show: true }));
      expect(shown.html).toContain('Hi<br>Ann &lt;3');
      expect(shown.html).toContain('background-color:#eee');
      expect(shown.text).toBe('Hi\nAnn <3');
      expect(body(template).html).not.toContain('Hi<br>');
    }
  });
});

describe('visual blocks', () => {
  const layout = { padding_top: 1, padding_right: 2, padding_bottom: 3, padding_left: 4 };
  const blocks: JsonObject[] = [
    {
      type: 'markdown',
      content: '# Hi {{ recipient.name }}\n\n{% if data.n > 1 %}*many*{% endif %}',
      layout_attrs: layout,
    },
    { type: 'html', content: '<u>{{ data.n }}</u>' },
    {
      type: 'button_set',
      layout_attrs: { ...layout, horizontal_align: 'center', column_gap: 6 },
      buttons: [
        { label: 'Go & see', action: 'https://example.com/?a=1&b={{ data.n }}', variant: 'solid' },
        {
          label: 'Not',
          action: '{{ data.url | default: "https://example.com/no" }}',
          variant: 'outline',
          size_attrs: { size: 'sm', is_fullwidth: true },
          style_attrs: { text_color: '{{ vars.color | default: "#123" }}', border_radius: 2 },
        },
      ],
    },
    {
      type: 'image',
      url: 'https://example.com/a.png',
      alt: 'A "picture"',
      action: 'https://example.com',
      style_attrs: { width: '25%' },
    },
    { type: 'divider' },
    {
      type: 'partial',
      key: 'card',
      name: 'Card',
      attrs: {
        title: 'For {{ recipient.name }}',
        items: '{{ data.list }}',
        button: { text: '{{ data.n }}!' },
      },
    },
  ];
  const scope = scopeWith({ n: 2, list: ['a', '<b>'] });

  test('are HTML [channel/email.template.visual_blocks]', () => {
    expect(problems({ visual_blocks: blocks })).toEqual([]);
    const html = body({ visual_blocks: blocks }, scope).html ?? '';
    for (const part of [
      '<td style="padding:1px 2px 3px 4px;"><div class="block-markdown"><h1>Hi Ann &lt;3</h1>\n<p><em>many</em></p></div></td>',
      '<u>2</u>',
      'text-align:center;',
      'href="https://example.com/?a=1&amp;b=2"',
      '>Go &amp; see</a>',
      'block-button--outline block-button--sm" target="_blank" href="https://example.com/no"',
      'color:#123;',
      '<img class="block-image" src="https://example.com/a.png" alt="A &#34;picture&#34;" style="width:25%;',
      'border-bottom:1px solid',
      '<b>For Ann &lt;3</b><i>a</i><i>&lt;b&gt;</i>2!',
    ]) {
      expect(html).toContain(part);
    }
  });

  test('are text', () => {
    const { text } = body({ visual_blocks: blocks }, scope);
    for (const line of [
      'Hi Ann <3',
      'many',
      'Go & see (https://example.com/?a=1&b=2)',
      'A "picture"',
    ]) {
      expect(text).toContain(line);
    }
  });

  test('fit into a layout of MJML', () => {
    const template = { visual_blocks: blocks, settings: { layout_key: 'mjml' } };
    expect(problems(template)).toEqual([]);
    expect(body(template, scope).html).toContain('<h1>Hi Ann &lt;3</h1>');
  });

  test.each([
    [{ visual_blocks: 'x' }, '$.visual_blocks', 'must be a list of blocks'],
    [
      { visual_blocks: [{ type: 'video' }] },
      '$.visual_blocks[0].type',
      'there is no block "video"',
    ],
    [{ visual_blocks: [{ type: 'image' }] }, '$.visual_blocks[0]', 'lacks "url"'],
    [
      { visual_blocks: [{ type: 'button_set', buttons: [{}] }] },
      '$.visual_blocks[0].buttons[0]',
      'lacks "label"',
    ],
    [{ visual_blocks: [{ type: 'divider' }], html_body: 'x' }, '$.html_body', 'only one is used'],
    [
      { visual_blocks: [{ type: 'partial', key: 'none', attrs: {} }] },
      '$.visual_blocks',
      'there is no partial "none"',
    ],
    [{ visual_blocks: [{ type: 'markdown', content: '{% if %}' }] }, '$.visual_blocks', ''],
    [{ html_body: '{% visual_block 0 %}' }, '$.html_body', 'tag "visual_block" not found'],
    [{}, '$', 'lacks "html_body"'],
    [
      { html_body: 'x', settings: { layout_key: 'nope' } },
      '$.settings.layout_key',
      'there is no layout "nope"',
    ],
    [
      { html_body: 'x', settings: { layout_key: 'empty' } },
      '$.settings.layout_key',
      'no {{ content }}',
    ],
    [{ html_body: 'x', settings: { pre_content: '{% if %}' } }, '$.settings.pre_content', ''],
    [{ html_body: '<mjml>', is_mjml: true }, '$.html_body', '<mjml> is not closed'],
    [
      { html_body: 'x', is_mjml: true, settings: { layout_key: 'plain' } },
      '$.is_mjml',
      'needs a layout of MJML',
    ],
  ])(
    'and everything else of a mail is checked before it is published: %j',
    (template, path, reason) => {
      expect(problems(template as JsonObject)).toContainEqual({
        path,
        reason: expect.stringContaining(reason),
      });
    },
  );
});
