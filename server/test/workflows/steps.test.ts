import { describe, expect, test } from 'vitest';
import { TemplateError } from '../../src/templates/template-error.ts';
import { StepError } from '../../src/workflows/step-error.ts';
import { htmlToText } from '../../src/workflows/steps/html-to-text.ts';
import { execute, nowMs, scopeWith } from './support.ts';

describe('an in-app feed step', () => {
  const step = { type: 'channel', ref: 'a', channel_key: 'in-app', channel_type: 'in_app_feed' };

  test('keeps the rendered markdown with its variables escaped, and the action [channel/in_app_feed.template.markdown_body] [channel/in_app_feed.template.action_url]', () => {
    const template = {
      markdown_body: '**{{ actor.name }}** says {{ data.text }}\n',
      action_url: 'https://x.example/?q={{ data.text | url_encode }}',
    };
    expect(execute({ ...step, template }, scopeWith({ text: '<script>' }))).toEqual({
      kind: 'message',
      channelId: 'c-feed',
      channelType: 'in_app_feed',
      content: {
        body: '**Zed** says &lt;script&gt;',
        action_url: 'https://x.example/?q=%3Cscript%3E',
      },
    });
  });

  test('keeps buttons instead of an action, and nothing that renders as nothing [channel/in_app_feed.template.action_buttons] [channel/in_app_feed.action]', () => {
    const template = {
      markdown_body: 'x',
      action_url: '{{ data.nothing }}',
      action_buttons: [{ label: 'Go to {{ data.a }}', action: '/{{ data.a }}' }],
    };
    expect(execute({ ...step, template }, scopeWith({ a: 'b' }))).toMatchObject({
      content: { body: 'x', actions: [{ label: 'Go to b', action: '/b' }] },
    });
    expect(
      execute({ ...step, template: { markdown_body: 'x', action_url: '{{ nope }}' } }),
    ).toMatchObject({ content: { body: 'x' } });
  });

  test('fails for the recipient whose data the template cannot render', () => {
    const template = { markdown_body: '{{ data.json | from_json }}' };
    expect(() => execute({ ...step, template }, scopeWith({ json: '{' }))).toThrow(TemplateError);
  });
});

describe('an e-mail step', () => {
  const step = { type: 'channel', ref: 'a', channel_key: 'email' };
  const template = {
    settings: {},
    subject: 'Hi {{ recipient.name }}\r\nBcc: everybody@example.com',
    html_body: '<p>Hi {{ recipient.name }}</p><p><a href="https://x.example">Go</a></p>',
  };

  test('goes to the recipient, with HTML escaped and a text made from it [channel/email.template.subject] [channel/email.template.html_body]', () => {
    expect(execute({ ...step, template })).toEqual({
      kind: 'message',
      channelId: 'c-email',
      channelType: 'email',
      content: {
        to: 'ann@example.com',
        subject: 'Hi Ann <3 Bcc: everybody@example.com',
        html_body: '<p>Hi Ann &lt;3</p><p><a href="https://x.example">Go</a></p>',
        text_body: 'Hi Ann <3\n\nGo (https://x.example)',
      },
    });
  });

  test('takes addresses and a text of its own from the step [channel/email.channel_overrides.to_address] [channel/email.channel_overrides.from_address] [channel/email.channel_overrides.from_name] [channel/email.channel_overrides.reply_to_address]', () => {
    const outcome = execute(
      {
        ...step,
        template: { ...template, text_body: 'Plain {{ recipient.name }}' },
        channel_overrides: {
          to_address: '{{ data.to }}',
          from_address: 'a@example.com',
          from_name: 'A {{ recipient.id }}',
          cc_address: '{{ data.nobody }}',
          reply_to_address: 'r@example.com',
        },
      },
      scopeWith({ to: ' other@example.com ' }),
    );
    expect(outcome).toMatchObject({
      content: {
        to: 'other@example.com',
        from: 'a@example.com',
        from_name: 'A u1',
        reply_to: 'r@example.com',
        text_body: 'Plain Ann <3',
      },
    });
    expect(outcome.kind === 'message' && Object.keys(outcome.content)).not.toContain('cc');
  });

  test('goes in copy to whom the step says [channel/email.channel_overrides.cc_address] [channel/email.channel_overrides.bcc_address]', () => {
    const channel_overrides = { cc_address: '{{ data.cc }}', bcc_address: 'b@example.com' };
    expect(
      execute({ ...step, template, channel_overrides }, scopeWith({ cc: 'c@example.com' })),
    ).toMatchObject({ content: { cc: 'c@example.com', bcc: 'b@example.com' } });
  });

  test('is a whole HTML document in the default layout', () => {
    const settings = { layout_key: 'default' };
    const outcome = execute({ ...step, template: { ...template, settings } });
    const html = outcome.kind === 'message' ? String(outcome.content.html_body) : '';
    expect(html).toMatch(/^<!doctype html>.*<p>Hi Ann &lt;3<\/p>.*<\/html>$/s);
  });

  test('says clearly that a recipient has no address, and that trying again is of no use', () => {
    for (const email of [null, '', '  ', 5]) {
      const run = () => execute({ ...step, template }, scopeWith({}, { email }));
      expect(run).toThrow(StepError);
      expect(run).toThrow('the recipient "u1" has no e-mail address');
    }
  });
});

describe('a webhook step', () => {
  const step = { type: 'channel', ref: 'a', channel_key: 'webhook' };

  test('renders method, address, headers, query and body [channel/http.template.method] [channel/http.template.url] [channel/http.template.headers] [channel/http.template.query_params] [channel/http.template.body]', () => {
    const template = {
      method: 'post',
      url: 'https://x.example/{{ data.id }}',
      headers: [{ key: 'x-{{ data.id }}', value: 'a\r\nb: {{ data.id }}' }],
      query_params: [{ key: 'q', value: '{{ data.id }}' }],
      body: '{"id": {{ data.id | json }}}',
    };
    expect(execute({ ...step, template }, scopeWith({ id: 7 }))).toMatchObject({
      channelType: 'http',
      content: {
        method: 'post',
        url: 'https://x.example/7',
        headers: [{ key: 'x-7', value: 'a b: 7' }],
        query_params: [{ key: 'q', value: '7' }],
        body: '{"id": 7}',
      },
    });
  });

  test('takes headers from a template that renders as JSON, and refuses other text', () => {
    const template = { method: 'get', url: 'https://x.example', headers: '{"a": {{ data.v }}}' };
    expect(execute({ ...step, template }, scopeWith({ v: 1 }))).toMatchObject({
      content: { headers: [{ key: 'a', value: '1' }] },
    });
    expect(() => execute({ ...step, template }, scopeWith({ v: '}' }))).toThrow(StepError);
  });
});

describe('a delay step', () => {
  const delay = (settings: { readonly [key: string]: string | object | null }) =>
    ({ type: 'delay', ref: 'd', settings }) as never;
  const hour = { unit: 'hours', value: 1 };
  const dueAt = '2026-03-02T00:00:00Z';

  test('waits for its duration', () => {
    expect(execute(delay({ delay_for: hour }))).toEqual({
      kind: 'wait',
      untilMs: nowMs + 3_600_000,
    });
  });

  test('waits until the time, or for the duration, that a path leads to', () => {
    const until = delay({ delay_until_field_path: 'data.due' });
    expect(execute(until, scopeWith({ due: dueAt }))).toEqual({
      kind: 'wait',
      untilMs: Date.parse(dueAt),
    });
    expect(execute(until, scopeWith({ due: { unit: 'seconds', value: 5 } }))).toEqual({
      kind: 'wait',
      untilMs: nowMs + 5_000,
    });
  });

  test('adds its duration to the time of the path, before it too', () => {
    const offset = (value: number) =>
      execute(
        delay({ delay_until_field_path: 'data.due', delay_for: { unit: 'hours', value } }),
        scopeWith({ due: dueAt }),
      );
    expect(offset(1)).toMatchObject({ untilMs: Date.parse(dueAt) + 3_600_000 });
    expect(offset(-1)).toMatchObject({ untilMs: Date.parse(dueAt) - 3_600_000 });
  });

  test('goes on at once and says why when there is nothing to wait for', () => {
    const until = delay({ delay_until_field_path: 'data.due' });
    for (const due of ['nonsense', null, 5, '2020-01-01', '2030-01-01T00:00:00Z']) {
      expect(execute(until, scopeWith({ due }))).toMatchObject({
        kind: 'continue',
        reason: expect.any(String),
      });
    }
    expect(execute(delay({ delay_for: hour }), scopeWith(), { skip_delay: true })).toMatchObject({
      kind: 'continue',
    });
  });
});

describe('the text of an HTML mail', () => {
  test.each([
    ['<h1>Hi</h1><p>a<br>b</p>', 'Hi\n\na\nb'],
    ['<style>p{}</style><script>x</script><p>a &amp; b&nbsp;&#169;</p>', 'a & b ©'],
    ['<a href="https://x.example">https://x.example</a>', 'https://x.example'],
    ["<a class=x href='https://x.example/?a=1&amp;b=2'>go</a>", 'go (https://x.example/?a=1&b=2)'],
    ['<a href="javascript:alert(1)">go</a>', 'go'],
    ['a <!-- no <b> --> c', 'a c'],
    ['1 < 2', '1'],
    ['<ul><li>a</li><li>b</li></ul>', 'a\nb'],
  ])('%s', (html, text) => {
    expect(htmlToText(html)).toBe(text);
  });

  test('is made in one pass of hostile HTML too', () => {
    for (const hostile of ['<'.repeat(300_000), '<a href='.repeat(30_000), '&'.repeat(300_000)]) {
      expect(typeof htmlToText(hostile)).toBe('string');
    }
    expect(htmlToText('<style>'.repeat(20_000))).toBe('');
    expect(htmlToText('<style></style>'.repeat(20_000))).toBe('');
  });
});
