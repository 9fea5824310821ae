import { describe, expect, test } from 'vitest';
import type { Json, JsonObject } from '../../src/lib/json.ts';
import { workflowProblems } from '../../src/workflows/workflow-problems.ts';
import { environment } from './support.ts';

const feed: JsonObject = {
  type: 'channel',
  ref: 'feed',
  channel_key: 'in-app',
  template: { markdown_body: 'Hi' },
};
const email: JsonObject = {
  type: 'channel',
  ref: 'email',
  channel_key: 'email',
  template: { subject: 'Hi', settings: { layout_key: 'default' }, html_body: '<p>Hi</p>' },
};

function paths(content: Json): string[] {
  return workflowProblems(content, environment).map((problem) => problem.path);
}

function stepPaths(step: JsonObject): string[] {
  return paths({ name: 'W', steps: [step] });
}

test('a workflow as Knock writes it has no problems', () => {
  const content = {
    name: 'W',
    key: 'w',
    description: 'x',
    categories: ['a'],
    tags: [],
    valid: true,
    conditions: null,
    settings: { is_commercial: false, override_preferences: true },
    trigger_frequency: 'every_trigger',
    trigger_data_json_schema: { type: 'object', properties: { a: { type: 'string' } } },
    steps: [
      {
        ...feed,
        name: null,
        description: null,
        conditions: { any: [{ variable: 'data.a', operator: 'exists', argument: null }] },
        channel_group_key: null,
        channel_overrides: null,
        send_windows: null,
      },
      { ...email, channel_type: 'email', channel_overrides: { link_tracking: true } },
      {
        type: 'delay',
        ref: 'delay',
        conditions: {},
        settings: { delay_for: { unit: 'seconds', value: 10 } },
      },
      {
        type: 'channel',
        ref: 'http',
        channel_key: 'webhook',
        template: { method: 'get', url: 'https://x.example', body: null, headers: [] },
      },
    ],
  };
  expect(workflowProblems(content, environment)).toEqual([]);
});

describe('a defect is told with its JSON path', () => {
  test.each<[Json, string[]]>([
    [5, ['$']],
    [{ steps: [] }, ['$']],
    [{ name: '', steps: [] }, ['$.name']],
    [{ name: 'x'.repeat(256), steps: [] }, ['$.name']],
    [{ name: 'W', steps: {} }, ['$.steps']],
    [{ name: 'W', steps: [], categories: [5] }, ['$.categories[0]']],
    [
      { name: 'W', steps: [], conditions: { all: [{}] } },
      ['$.conditions.all[0].variable', '$.conditions.all[0].operator'],
    ],
    [{ name: 'W', steps: [], trigger_frequency: 'sometimes' }, ['$.trigger_frequency']],
    [
      { name: 'W', steps: [], trigger_data_json_schema: { properties: { a: { pattern: '(' } } } },
      ['$.trigger_data_json_schema.properties.a.pattern'],
    ],
    [{ name: 'W', steps: [feed, { ...email, ref: 'feed' }] }, ['$.steps[1].ref']],
    [
      { name: 'W', steps: Array.from({ length: 51 }, (_, i) => ({ ...feed, ref: `f${i}` })) },
      ['$.steps'],
    ],
  ])('%#', (content, expected) => {
    expect(paths(content)).toEqual(expected);
  });

  test.each<[string, JsonObject, string[]]>([
    ['unknown type', { ...feed, type: 'chanel' }, ['$.steps[0].type']],
    ['no type', { ref: 'x' }, ['$.steps[0].type']],
    ['unknown type', { type: 'digest', ref: 'b', settings: {} }, ['$.steps[0].type']],
    ['no window', { type: 'batch', ref: 'b', settings: {} }, ['$.steps[0].settings']],
    [
      'a batch of too many',
      {
        type: 'batch',
        ref: 'b',
        settings: {
          batch_window: { unit: 'hours', value: 1 },
          batch_items_max_limit: 1001,
        },
      },
      ['$.steps[0].settings.batch_items_max_limit'],
    ],
    [
      'a sliding window without limit',
      {
        type: 'batch',
        ref: 'b',
        settings: { batch_window: { unit: 'hours', value: 1 }, batch_window_type: 'sliding' },
      },
      ['$.steps[0].settings.batch_window_extension_limit'],
    ],
    [
      'a throttle of 32 days',
      { type: 'throttle', ref: 't', settings: { throttle_window: { unit: 'days', value: 32 } } },
      ['$.steps[0].settings.throttle_window'],
    ],
    ['no ref', { ...feed, ref: '' }, ['$.steps[0].ref']],
    ['unknown channel', { ...feed, channel_key: 'nope' }, ['$.steps[0].channel_key']],
    [
      'unknown channel of a known type',
      { ...feed, channel_key: 'nope', channel_type: 'in_app_feed' },
      ['$.steps[0].channel_key'],
    ],
    [
      'channel of another type',
      { ...feed, channel_key: 'email', channel_type: 'in_app_feed' },
      ['$.steps[0].channel_key'],
    ],
    [
      'channel group',
      { ...feed, channel_key: null, channel_type: 'in_app_feed', channel_group_key: 'g' },
      ['$.steps[0].channel_group_key'],
    ],
    [
      'send windows',
      { ...feed, send_windows: [{ day: 'monday', type: 'send' }] },
      ['$.steps[0].send_windows'],
    ],
    ['no template', { ...feed, template: {} }, ['$.steps[0].template']],
    [
      'template syntax',
      { ...feed, template: { markdown_body: '{{ x', action_url: '{% if %}' } },
      ['$.steps[0].template.markdown_body', '$.steps[0].template.action_url'],
    ],
    [
      'syntax in a button',
      { ...feed, template: { markdown_body: '', action_buttons: [{ label: '{{', action: '' }] } },
      ['$.steps[0].template.action_buttons[0].label'],
    ],
    [
      'body that is no text',
      { ...email, template: { subject: 'x', settings: {}, html_body: 5 } },
      ['$.steps[0].template.html_body'],
    ],
    ['e-mail without body', { ...email, template: { subject: 'x' } }, ['$.steps[0].template']],
    [
      'e-mail with an unknown block and layout',
      {
        ...email,
        template: {
          subject: 'x',
          visual_blocks: [{}],
          is_mjml: true,
          settings: { layout_key: 'mine', pre_content: 'x' },
        },
      },
      ['$.steps[0].template.visual_blocks[0].type', '$.steps[0].template.settings.layout_key'],
    ],
    [
      'unknown method',
      {
        type: 'channel',
        ref: 'h',
        channel_key: 'webhook',
        template: { method: 'POST', url: '{{' },
      },
      ['$.steps[0].template.method'],
    ],
    [
      'unknown unit',
      { type: 'delay', ref: 'd', settings: { delay_for: { unit: 'years', value: 1 } } },
      ['$.steps[0].settings.delay_for.unit'],
    ],
    ['delay of nothing', { type: 'delay', ref: 'd', settings: {} }, ['$.steps[0].settings']],
    [
      'delay of 0',
      { type: 'delay', ref: 'd', settings: { delay_for: { unit: 'days', value: 0 } } },
      ['$.steps[0].settings.delay_for.value'],
    ],
    [
      'delay of more than a year',
      { type: 'delay', ref: 'd', settings: { delay_for: { unit: 'months', value: 13 } } },
      ['$.steps[0].settings.delay_for'],
    ],
    [
      'delay until no path',
      { type: 'delay', ref: 'd', settings: { delay_until_field_path: 'a b' } },
      ['$.steps[0].settings.delay_until_field_path'],
    ],
  ])('%s', (_name, step, expected) => {
    expect(stepPaths(step)).toEqual(expected);
  });

  test('and says which step types there are', () => {
    const [problem] = workflowProblems(
      { name: 'W', steps: [{ type: 'x', ref: 'x' }] },
      environment,
    );
    expect(problem?.reason).toContain('channel/push, channel/chat, channel/http, delay');
  });
});
