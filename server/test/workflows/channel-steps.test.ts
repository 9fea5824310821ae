import { describe, expect, test } from 'vitest';
import type { JsonObject } from '../../src/lib/json.ts';
import { compileWorkflow } from '../../src/workflows/compile-workflow.ts';
import type { ChannelGroup, CompileEnvironment, StepInput } from '../../src/workflows/step.ts';
import { StepError } from '../../src/workflows/step-error.ts';
import { workflowProblems } from '../../src/workflows/workflow-problems.ts';
import { environment as bare, nowMs, scopeWith } from './support.ts';

const channels: Record<string, ReturnType<CompileEnvironment['channel']>> = {
  sms: { id: 'c-sms', type: 'sms', provider: 'p' },
  'sms-eu': { id: 'c-sms-eu', type: 'sms', provider: 'p' },
  push: { id: 'c-push', type: 'push', provider: 'p' },
  fcm: { id: 'c-fcm', type: 'push', provider: 'p' },
  chat: { id: 'c-chat', type: 'chat', provider: 'p' },
  sandboxed: { id: 'c-sandboxed', type: 'sms', provider: 'p', isSandbox: true },
  adults: {
    id: 'c-adults',
    type: 'sms',
    provider: 'p',
    conditions: { all: [{ variable: 'recipient.age', operator: 'greater_than', argument: '17' }] },
  },
};

const groups: Record<string, ChannelGroup> = {
  devices: {
    type: 'push',
    operator: 'all',
    rules: [
      { type: 'always', channelKey: 'push' },
      { type: 'always', channelKey: 'fcm' },
    ],
  },
  texts: {
    type: 'sms',
    operator: 'any',
    rules: [
      {
        type: 'if',
        channelKey: 'sms-eu',
        condition: { variable: 'recipient.region', operator: 'equal_to', argument: 'eu' },
      },
      {
        type: 'unless',
        channelKey: 'sms',
        condition: { variable: 'recipient.region', operator: 'equal_to', argument: 'nowhere' },
      },
    ],
  },
  split: {
    type: 'sms',
    operator: 'any',
    rules: [
      {
        type: 'if',
        channelKey: 'sms-eu',
        condition: { variable: 'recipient.id', operator: 'is_in_random_cohort', argument: '30' },
      },
      { type: 'always', channelKey: 'sms' },
    ],
  },
};

const environment: CompileEnvironment = {
  ...bare,
  channel: (key) => channels[key] ?? bare.channel(key),
  channelGroup: (key) => groups[key],
};

type Input = Partial<StepInput> & { readonly recipient?: JsonObject; readonly data?: JsonObject };

function run(step: JsonObject, { recipient = {}, data = {}, ...input }: Input = {}) {
  const content = { name: 'Test', steps: [{ type: 'channel', ref: 'a', ...step }] };
  expect(workflowProblems(content, environment)).toEqual([]);
  const [compiled] = compileWorkflow({
    versionId: 1,
    environmentId: 1,
    key: 'test',
    content,
    environment,
  }).steps;
  if (!compiled) throw new Error('no step');
  const scope = scopeWith(data, recipient);
  if (compiled.conditions && !compiled.conditions(scope)) return [];
  const outcome = compiled.execute({
    scope,
    nowMs,
    settings: {},
    attempt: 0,
    refusal: () => undefined,
    ...input,
  });
  return outcome.kind === 'message' ? outcome.messages : [];
}

const contents = (...args: Parameters<typeof run>) => run(...args).map(({ content }) => content);

function problems(step: JsonObject): string[] {
  const content = { name: 'Test', steps: [{ type: 'channel', ref: 'a', ...step }] };
  return workflowProblems(content, environment).map(({ path, reason }) => `${path} ${reason}`);
}

const phone = { phone_number: '+491701234567' };
const sms = { channel_key: 'sms', template: { text_body: 'Hi {{ recipient.name }}' } };

describe('an SMS step [channel/sms]', () => {
  test('goes to the phone number of the recipient [channel/sms.template.text_body]', () => {
    expect(run(sms, { recipient: phone })).toEqual([
      {
        channelId: 'c-sms',
        channelType: 'sms',
        content: { to: '+491701234567', body: 'Hi Ann <3' },
      },
    ]);
  });

  test('goes to a number of its own, with what the provider is to be sent [channel/sms.template.settings.payload_overrides] [channel/sms.template.settings.to_number]', () => {
    const settings = {
      to_number: '{{ data.number }}',
      payload_overrides: '{"from": {{ data.from | json }}}',
    };
    const step = { ...sms, template: { text_body: 'x', settings } };
    expect(contents(step, { data: { number: '+1', from: 'A"B' } })).toEqual([
      { to: '+1', body: 'x', overrides: { from: 'A"B' } },
    ]);
  });

  test('records whether links are tracked [channel/sms.channel_overrides.link_tracking]', () => {
    const step = { ...sms, channel_overrides: { link_tracking: true } };
    expect(contents(step, { recipient: phone })).toMatchObject([{ tracking: { links: true } }]);
  });

  test('is skipped, with the reason, for who has no number', () => {
    expect(() => run(sms)).toThrow(StepError);
    expect(() => run(sms)).toThrow('"u1" has no phone number: it has no "phone_number"');
  });

  test('is skipped where the overrides are no JSON object', () => {
    const template = { text_body: 'x', settings: { payload_overrides: '[{{ data.n }}]' } };
    expect(() => run({ ...sms, template }, { recipient: phone, data: { n: 1 } })).toThrow(
      'the template "payload_overrides" renders as JSON, but as no object',
    );
  });
});

const push = {
  channel_key: 'push',
  template: {
    title: 'To {{ recipient.id }}',
    text_body: '{{ data.text }}',
    settings: { delivery_type: 'content' },
  },
};
const twoDevices = {
  'c-push': {
    tokens: ['t1', 't2'],
    devices: [
      { token: 't1', locale: null, timezone: null },
      { token: 't2', locale: null, timezone: 'Asia/Tokyo' },
    ],
  },
};

describe('a push step [channel/push]', () => {
  test('sends a message to each device of the recipient [channel/push.template.title] [channel/push.template.text_body]', () => {
    expect(contents(push, { channelData: twoDevices, data: { text: 'Ding' } })).toEqual([
      { token: 't1', title: 'To u1', body: 'Ding' },
      { token: 't2', title: 'To u1', body: 'Ding' },
    ]);
  });

  test('sends no text when it is silent, and says what the provider is to be sent [channel/push.template.settings.delivery_type] [channel/push.template.settings.payload_overrides]', () => {
    const settings = { delivery_type: 'silent', payload_overrides: '{"data": {"a": 1}}' };
    const step = { ...push, template: { ...push.template, settings } };
    expect(contents(step, { channelData: { 'c-push': { devices: [{ token: 't' }] } } })).toEqual([
      { token: 't', title: '', body: '', silent: true, overrides: { data: { a: 1 } } },
    ]);
  });

  test('may keep tokens that the provider says are gone [channel/push.channel_overrides.token_deregistration]', () => {
    const step = { ...push, channel_overrides: { token_deregistration: false } };
    expect(contents(step, { channelData: twoDevices })[0]).toMatchObject({ keeps_token: true });
  });

  test('is skipped for who has no device, and sends to each device once and to 20 at most', () => {
    expect(() => run(push)).toThrow('"u1" has no device');
    expect(() => run(push, { channelData: { 'c-push': { devices: [] } } })).toThrow(StepError);
    const devices = Array.from({ length: 50 }, (_, n) => ({ token: `t${n % 30}` }));
    const tokens = contents(push, { channelData: { 'c-push': { devices } } }).map(
      (one) => one.token,
    );
    expect(tokens).toHaveLength(20);
    expect(new Set(tokens).size).toBe(20);
    expect(tokens).toContain('t29');
  });
});

const chat = { channel_key: 'chat', template: { markdown_body: '**Hi** {{ data.text }}' } };
const slack = {
  'c-chat': {
    token: { access_token: 'xoxb' },
    connections: [{ channel_id: 'C1' }, { incoming_webhook: { url: 'https://hook.example' } }],
  },
};

describe('a chat step [channel/chat]', () => {
  test('posts to each connection of the recipient, with the token that they share [channel/chat.template.markdown_body] [channel/chat.template.summary]', () => {
    const step = { ...chat, template: { ...chat.template, summary: 'Hi\nthere' } };
    expect(contents(step, { channelData: slack, data: { text: 'x' } })).toEqual([
      {
        connection: { access_token: 'xoxb', channel_id: 'C1' },
        body: '**Hi** x',
        summary: 'Hi there',
      },
      {
        connection: { access_token: 'xoxb', incoming_webhook: { url: 'https://hook.example' } },
        body: '**Hi** x',
        summary: 'Hi there',
      },
    ]);
  });

  test('posts JSON of its own instead of markdown [channel/chat.template.json_body]', () => {
    const step = { ...chat, template: { json_body: '{"blocks": [{{ data.text | json }}]}' } };
    expect(contents(step, { channelData: slack, data: { text: 'x' } })[0]).toMatchObject({
      json: { blocks: ['x'] },
    });
    expect(problems({ ...chat, template: { json_body: '{}', markdown_body: 'x' } })).toEqual([
      '$.steps[0].template has both "markdown_body" and "json_body"; exactly one must be set',
    ]);
    expect(problems({ ...chat, template: { summary: 'x' } })).toEqual([
      '$.steps[0].template lacks "markdown_body" or "json_body"',
    ]);
  });

  test('finds who is in no chat yet by the e-mail address, where that is wanted [channel/chat.channel_overrides.email_based_user_id_resolution]', () => {
    expect(() => run(chat)).toThrow('"u1" is in no chat');
    const step = { ...chat, channel_overrides: { email_based_user_id_resolution: true } };
    expect(contents(step, { channelData: { 'c-chat': { token: { access_token: 'x' } } } })).toEqual(
      [{ connection: { access_token: 'x', user_email: 'ann@example.com' }, body: '**Hi**' }],
    );
  });
});

describe('an e-mail step', () => {
  const email = { channel_key: 'email', template: { subject: 's', html_body: 'h' } };

  test('records what is tracked, and what the provider is to be sent [channel/email.channel_overrides.link_tracking] [channel/email.channel_overrides.open_tracking] [channel/email.channel_overrides.json_overrides]', () => {
    const step = {
      ...email,
      channel_overrides: {
        link_tracking: false,
        open_tracking: true,
        json_overrides: '{"headers": {"x-a": "{{ data.a }}"}}',
      },
    };
    expect(contents(step, { data: { a: 'b' } })).toMatchObject([
      { tracking: { links: false, opens: true }, overrides: { headers: { 'x-a': 'b' } } },
    ]);
  });
});

describe('a step with send windows', () => {
  const days = ['monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday'];
  const windows = days.map((day) => ({ day, type: 'send', from: '09:00', until: '10:00' }));
  const times = (step: JsonObject, input: Input) =>
    run({ ...step, send_windows: windows }, input).map(({ scheduledMs }) =>
      scheduledMs === undefined ? undefined : new Date(scheduledMs).toISOString(),
    );

  test('sends when it is open where the recipient is, else where the environment is, else in UTC [channel/sms.send_windows]', () => {
    expect(times(sms, { recipient: phone })).toEqual(['2026-03-02T09:00:00.000Z']);
    const tokyo = { ...phone, timezone: 'Asia/Tokyo' };
    expect(times(sms, { recipient: tokyo })).toEqual(['2026-03-02T00:00:00.000Z']);
    const nowhere = { ...phone, timezone: 'Mars/Olympus' };
    expect(times(sms, { recipient: nowhere })).toEqual(['2026-03-02T09:00:00.000Z']);
    const open = { recipient: phone, nowMs: Date.parse('2026-03-02T09:30:00Z') };
    expect(times(sms, open)).toEqual([undefined]);
  });

  test('sends to each device when it is open where the device is [channel/push.send_windows]', () => {
    const recipient = { timezone: 'America/New_York' };
    expect(times(push, { recipient, channelData: twoDevices })).toEqual([
      '2026-03-01T14:00:00.000Z',
      '2026-03-02T00:00:00.000Z',
    ]);
  });
});

describe('a channel', () => {
  test('is sandboxed where the environment says so', () => {
    expect(run({ ...sms, channel_key: 'sandboxed' }, { recipient: phone })).toMatchObject([
      { sandbox: true },
    ]);
  });

  test('has conditions that hold beside those of the step [channel.conditions]', () => {
    const step = {
      ...sms,
      channel_key: 'adults',
      conditions: { all: [{ variable: 'data.on', operator: 'equal_to', argument: 'true' }] },
    };
    const count = (age: number, on: boolean) =>
      run(step, { recipient: { ...phone, age }, data: { on } }).length;
    expect([count(17, true), count(18, true), count(18, false)]).toEqual([0, 1, 0]);
  });
});

describe('a channel group [channel.channel_group_key]', () => {
  const text = { channel_group_key: 'texts', template: sms.template };
  const used = (...args: Parameters<typeof run>) => run(...args).map(({ channelId }) => channelId);

  test('of the operator any sends on the first channel whose rule matches', () => {
    expect(used(text, { recipient: { ...phone, region: 'eu' } })).toEqual(['c-sms-eu']);
    expect(used(text, { recipient: { ...phone, region: 'us' } })).toEqual(['c-sms']);
  });

  test('of the operator any goes on to the next channel where preferences refuse the first', () => {
    const refusal: StepInput['refusal'] = ({ id }) =>
      id === 'c-sms-eu' ? 'not wanted' : undefined;
    const both = { recipient: { ...phone, region: 'eu' } };
    expect(used(text, both)).toEqual(['c-sms-eu']);
    expect(used(text, { ...both, refusal })).toEqual(['c-sms']);
    expect(() => run(text, { ...both, refusal: () => 'not wanted' })).toThrow('not wanted');
  });

  test('sends nothing, and says so, where no rule matches', () => {
    expect(() => run(text, { recipient: { ...phone, region: 'nowhere' } })).toThrow(
      'no rule of the channel group matches',
    );
  });

  test('of the operator all sends on each, and on the others when one cannot be reached', () => {
    const step = { ...push, channel_key: null, channel_group_key: 'devices' };
    const device = { devices: [{ token: 't' }] };
    expect(used(step, { channelData: { 'c-push': device, 'c-fcm': device } })).toEqual([
      'c-push',
      'c-fcm',
    ]);
    expect(used(step, { channelData: { 'c-fcm': device } })).toEqual(['c-fcm']);
    expect(() => run(step)).toThrow('push: the recipient "u1" has no device');
  });

  test('keeps to the preferences for each channel', () => {
    const step = { ...push, channel_key: null, channel_group_key: 'devices' };
    const device = { devices: [{ token: 't' }] };
    const channelData = { 'c-push': device, 'c-fcm': device };
    const refusal: StepInput['refusal'] = ({ id }) => (id === 'c-push' ? 'not wanted' : undefined);
    expect(used(step, { channelData, refusal })).toEqual(['c-fcm']);
    expect(() => run(step, { channelData, refusal: () => 'not wanted' })).toThrow(
      'push: not wanted; fcm: not wanted',
    );
  });

  test('splits recipients by lot, always in the same way [channel_group.is_in_random_cohort]', () => {
    const step = { channel_group_key: 'split', template: sms.template };
    const of = (n: number) => used(step, { recipient: { ...phone, id: `user-${n}` } }).join();
    const chosen = Array.from({ length: 300 }, (_, n) => of(n));
    expect(chosen).toEqual(Array.from({ length: 300 }, (_, n) => of(n)));
    const share = chosen.filter((id) => id === 'c-sms-eu').length / 300;
    expect(share).toBeGreaterThan(0.2);
    expect(share).toBeLessThan(0.4);
  });

  test('is refused beside a channel, when it is unknown, or when it is of another type', () => {
    expect(problems({ ...text, channel_key: 'sms' })[0]).toContain('exactly one must be set');
    expect(problems({ ...text, channel_type: 'sms', channel_group_key: 'none' })).toEqual([
      '$.steps[0].channel_group_key the account has no channel group "none"',
    ]);
    expect(problems({ ...text, channel_type: 'sms', channel_group_key: 'devices' })[0]).toContain(
      'the channel "push" is of the type push, the step needs sms',
    );
    expect(problems({ template: sms.template, channel_type: 'sms' })).toEqual([
      '$.steps[0] lacks "channel_key" or "channel_group_key": what to send with',
    ]);
  });
});

test('a workflow asks for channel data only where a step looks at it', () => {
  const needs = (steps: JsonObject[]) =>
    compileWorkflow({
      versionId: 1,
      environmentId: 1,
      key: 'k',
      content: {
        name: 'k',
        steps: steps.map((step, n) => ({ type: 'channel', ref: `r${n}`, ...step })),
      },
      environment,
    }).needsChannelData ?? false;
  expect([needs([sms]), needs([sms, push]), needs([chat])]).toEqual([false, true, true]);
});
