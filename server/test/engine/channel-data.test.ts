import { afterAll, beforeAll, expect, it } from 'vitest';
import { openedContent } from '../../src/engine/executor/sealed-requests.ts';
import type { JsonObject } from '../../src/lib/json.ts';
import { setChannelData } from '../../src/recipients/channel-data.ts';
import { createEngineWorld, type EngineWorld } from '../support/engine-world.ts';
import { testSecrets } from '../support/secrets.ts';
import { users } from '../support/triggers.ts';

let world: EngineWorld;
beforeAll(async () => {
  world = await createEngineWorld();
});
afterAll(() => world.close());

const pushStep = {
  type: 'channel',
  ref: 'push_1',
  channel_key: 'push',
  template: { title: 'Hi', text_body: 'Ding', settings: { delivery_type: 'content' } },
};

const messagesOf = (runId: string | undefined) =>
  world.test.db.query<{ recipient_id: string; status: number; content: JsonObject }>(
    `select recipient_id, status, content
     from message
     where workflow_run_id = $1
     order by recipient_id, id`,
    [runId],
  );

it('sends a push notification to each device of each recipient who has one, and skips the others [channel/push.template.title] [channel/push.template.text_body]', async () => {
  for (const [id, tokens] of [
    ['user-0', ['a', 'b']],
    ['user-2', ['c']],
  ] as const) {
    const data = { tokens: [...tokens] };
    await setChannelData(world.ctx, { collection: '$users', id, channel: 'push', data });
  }
  const of = await world.workflow({ steps: [pushStep] });
  const { refs, runIds } = await world.accept({ ...of, recipients: users(3) });
  await world.execute(refs);
  const messages = await messagesOf(runIds[0]);
  expect(messages.map(({ recipient_id: id, content }) => [id, content.token])).toEqual([
    ['user-0', 'a'],
    ['user-0', 'b'],
    ['user-2', 'c'],
  ]);
});

it('records what a sandboxed trigger would have sent, and sends none of it [trigger.settings.sandbox_mode]', async () => {
  const of = await world.workflow({ steps: [pushStep] });
  const { refs, runIds } = await world.accept({
    ...of,
    recipients: users(1),
    settings: { sandbox_mode: true },
  });
  const [report] = await world.execute(refs);
  expect(report?.appended).toEqual([]);
  expect((await messagesOf(runIds[0])).map(({ status }) => status)).toEqual([6, 6]);
});

it('keeps what lets its holder post in a chat sealed in the message, for whoever sends it', async () => {
  const connection = { access_token: 'xoxb-hush', channel_id: 'C1' };
  const data = { connections: [connection] };
  const id = 'user-9';
  await setChannelData(world.ctx, { collection: '$users', id, channel: 'chat', data });
  const step = {
    type: 'channel',
    ref: 'chat_1',
    channel_key: 'chat',
    template: { markdown_body: 'Hi' },
  };
  const of = await world.workflow({ steps: [step] });
  const { refs, runIds } = await world.accept({ ...of, recipients: [{ recipient: id }] });
  await world.execute(refs);
  const [message] = await messagesOf(runIds[0]);
  expect(message?.content).toMatchObject({
    connection: { access_token: null, channel_id: 'C1' },
    body: 'Hi',
  });
  expect(JSON.stringify(message)).not.toContain('hush');
  const { id: environmentId } = world.ctx.environment;
  const opened = openedContent(testSecrets, environmentId, message?.content ?? {});
  expect(opened).toEqual({ connection, body: 'Hi' });
  expect(openedContent(testSecrets, environmentId + 1, message?.content ?? {})).toBeUndefined();
});
