import KnockNode from '@knocklabs/node';
import type { JsonObject } from '../../src/lib/json.ts';
import { pushGuides } from '../guides/support.ts';
import { createTestDatabase } from '../support/database.ts';
import { feedStep } from '../support/engine-world.ts';
import { waitFor } from '../support/wait.ts';
import { newDataDir, removeDataDirs, startWholeServer } from '../support/whole-server.ts';
import { type RecordedFetch, recordedFetch } from './recorded-fetch.ts';

/** A whole server with workflows for every channel type, and the SDK to call it. */
export type WalkWorld = {
  readonly sdk: KnockNode;
  readonly recorded: RecordedFetch;
  /** Ids by key. */
  readonly channels: { readonly [key: string]: string };
  /** What the SDK has no method for. */
  readonly call: (method: string, path: string, body?: JsonObject) => Promise<JsonObject>;
  /** The same with the account's service token. */
  readonly callAsService: WalkWorld['call'];
  /** Triggers a workflow for one user, and waits for the message that it makes. */
  readonly message: (
    workflow: string,
    user: string,
    data?: JsonObject,
  ) => Promise<KnockNode.Message>;
  readonly stop: () => Promise<void>;
};

const channel = (key: string, template: JsonObject): JsonObject => ({
  ref: `${key}_1`,
  type: 'channel',
  channel_key: key,
  template,
});

const workflows: { readonly [key: string]: readonly JsonObject[] } = {
  comment: [feedStep('{{ data.text }}')],
  letter: [channel('email', { subject: 'Hello', html_body: '<p>Hello</p>' })],
  text: [channel('sms', { text_body: 'Hello' })],
  knock: [
    channel('push', { settings: { delivery_type: 'content' }, title: 'Hello', text_body: 'There' }),
  ],
  chat: [channel('chat', { markdown_body: 'Hello' })],
  reminder: [
    { ref: 'delay_1', type: 'delay', settings: { delay_for: { unit: 'days', value: 1 } } },
    feedStep('Remember'),
  ],
};

export async function startWalkWorld(): Promise<WalkWorld> {
  const database = await createTestDatabase();
  const whole = await startWholeServer({
    databaseUrl: database.url,
    dataDir: await newDataDir(),
    executors: 1,
  });
  const { credentials } = whole.server;
  const keys = credentials?.environments.development;
  if (!keys) throw new Error('the first start made no environment development');
  for (const [key, steps] of Object.entries(workflows)) await whole.push(key, steps);
  await pushGuides(whole.server.url, credentials, { tour: {} });
  const recorded = await recordedFetch();
  const sdk = new KnockNode({
    apiKey: keys.secret_key,
    baseURL: whole.server.url,
    fetch: recorded.fetch,
    maxRetries: 0,
  });
  const callWith =
    (key: string): WalkWorld['call'] =>
    async (method, path, body) => {
      const response = await recorded.fetch(`${whole.server.url}${path}`, {
        method,
        headers: {
          authorization: `Bearer ${key}`,
          ...(body && { 'content-type': 'application/json' }),
        },
        ...(body && { body: JSON.stringify(body) }),
      });
      const text = await response.text();
      if (!response.ok) throw new Error(`${method} ${path} answered ${response.status}: ${text}`);
      return text === '' ? {} : JSON.parse(text);
    };
  return {
    sdk,
    recorded,
    channels: keys.channels,
    call: callWith(keys.secret_key),
    callAsService: callWith(whole.server.credentials?.service_token ?? ''),
    message: async (workflow, user, data = {}) => {
      const run = await sdk.workflows.trigger(workflow, { recipients: [user], data });
      return waitFor(`the message of ${workflow}`, async () => {
        const page = await sdk.users.listMessages(user, { workflow_run_id: run.workflow_run_id });
        return page.items[0];
      });
    },
    stop: async () => {
      await whole.stop();
      await database.drop();
      await removeDataDirs();
    },
  };
}
