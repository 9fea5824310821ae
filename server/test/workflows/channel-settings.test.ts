import { describe, expect, test } from 'vitest';
import type { JsonObject } from '../../src/lib/json.ts';
import { compileWorkflow } from '../../src/workflows/compile-workflow.ts';
import type { ChannelType, CompileEnvironment } from '../../src/workflows/step.ts';
import { workflowProblems } from '../../src/workflows/workflow-problems.ts';
import { environment as bare, nowMs, scopeWith } from './support.ts';

const steps: readonly (readonly [ChannelType, JsonObject])[] = [
  ['in_app_feed', { markdown_body: 'x' }],
  ['email', { subject: 'x', html_body: 'x' }],
  ['sms', { text_body: 'x' }],
  ['push', { title: 'x', text_body: 'x', settings: { delivery_type: 'content' } }],
  ['chat', { markdown_body: 'x' }],
  ['http', { method: 'post', url: 'https://x.example' }],
];

/** Two channels of each type: `sms-1`, `sms-2`. */
const environment: CompileEnvironment = {
  ...bare,
  channel: (key) => {
    const type = steps.map(([name]) => name).find((name) => key.startsWith(`${name}-`));
    return type && { id: `c-${key}`, type, provider: 'p' };
  },
};

const workflow = (...content: JsonObject[]) => ({
  name: 'Test',
  steps: content.map((step, index) => ({ type: 'channel', ref: `r${index}`, ...step })),
});

const compiled = (...content: JsonObject[]) =>
  compileWorkflow({
    versionId: 1,
    environmentId: 1,
    key: 'test',
    content: workflow(...content),
    environment,
  }).steps;

function messages(step: JsonObject) {
  const key = String(step.channel_key);
  const outcome = compiled(step)[0]?.execute({
    scope: scopeWith({}, { phone_number: '+491701234567' }),
    nowMs,
    settings: {},
    attempt: 0,
    refusal: () => undefined,
    channelData: {
      [`c-${key}`]: { devices: [{ token: 't' }], connections: [{ channel_id: 'C1' }] },
    },
  });
  return outcome?.kind === 'message' ? outcome.messages : [];
}

describe.each(steps)('a step of the type %s', (type, template) => {
  const step = { channel_type: type, channel_key: `${type}-2`, template };

  test('sends on the channel of its key [channel.channel_key]', () => {
    expect(messages(step)).toMatchObject([{ channelId: `c-${type}-2`, channelType: type }]);
    const problems = workflowProblems(workflow({ ...step, channel_key: 'nowhere' }), environment);
    expect(problems.map(({ path }) => path)).toEqual(['$.steps[0].channel_key']);
  });

  test('has the type of its channel, said or not [channel.channel_type]', () => {
    const { channel_type: _, ...unsaid } = step;
    expect(messages(unsaid)).toEqual(messages(step));
    const other = type === 'sms' ? 'http-1' : 'sms-1';
    const problems = workflowProblems(workflow({ ...step, channel_key: other }), environment);
    expect(problems[0]?.reason).toContain(`is of the type ${other.slice(0, -2)}`);
  });

  test('sends when its window opens [channel.send_windows]', () => {
    const days = ['monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday'];
    const send_windows = days.map((day) => ({ day, type: 'send', from: '15:00', until: '16:00' }));
    expect(messages({ ...step, send_windows })).toMatchObject([
      { scheduledMs: Date.parse('2026-03-01T15:00:00Z') },
    ]);
  });
});

test.each<[ChannelType, JsonObject]>([
  ['in_app_feed', { markdown_body: 'x' }],
  ['chat', { markdown_body: 'x' }],
])(
  'a step of the type %s records whether links are tracked [channel/in_app_feed.channel_overrides.link_tracking] [channel/chat.channel_overrides.link_tracking]',
  (type, template) => {
    const step = { channel_key: `${type}-1`, template };
    const tracked = (link_tracking: boolean) =>
      messages({ ...step, channel_overrides: { link_tracking } })[0]?.content;
    expect(tracked(true)).toMatchObject({ body: 'x', tracking: { links: true } });
    expect(tracked(false)).toMatchObject({ tracking: { links: false } });
    expect(messages(step)[0]?.content).not.toHaveProperty('tracking');
  },
);
