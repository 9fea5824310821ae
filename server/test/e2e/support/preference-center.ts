import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { JsonObject } from '../../../src/lib/json.ts';
import type { StartedServer } from './started-server.ts';

const config = {
  title: 'Notifications',
  body: 'Choose what you want to hear about, and where.',
  rows: [
    {
      type: 'workflow',
      identifier: 'mention',
      name: 'Mentions',
      description: 'Somebody asks you something in a comment.',
    },
    {
      type: 'category',
      identifier: 'news',
      name: 'News',
      description: 'What is new in your workspace, once a week.',
      channel_types: ['email', 'in_app_feed', 'push'],
    },
    {
      type: 'workflow',
      identifier: 'report',
      name: 'Reports',
      description: 'When a report that you made is ready.',
    },
    {
      type: 'channel_types',
      name: 'Everything',
      description: 'What is off here does not come this way at all.',
      channel_types: ['email', 'in_app_feed', 'push', 'sms', 'chat'],
    },
  ],
};

/** Of whom reports depend on a condition and no text messages are wanted. */
const preferences = {
  workflows: {
    report: {
      conditions: [{ variable: 'data.size', operator: 'equal_to', argument: 'large' }],
    },
  },
  channel_types: { sms: false },
};

/** A preference center with every kind of row, its page for a user, and what he has set. */
export async function centerOf(
  { origin, dataDir, development }: StartedServer,
  userId: string,
): Promise<{ readonly url: string; readonly preferences: () => Promise<JsonObject> }> {
  const file = await readFile(join(dataDir, 'credentials.json'), 'utf8');
  const { service_token: token } = JSON.parse(file) as { readonly service_token: string };
  const call = async (method: string, path: string, key: string, body?: object) => {
    const response = await fetch(`${origin}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${key}`,
        ...(body && { 'content-type': 'application/json' }),
      },
      ...(body && { body: JSON.stringify(body) }),
    });
    const answer = (await response.json()) as JsonObject;
    if (!response.ok) throw new Error(`${method} ${path}: ${JSON.stringify(answer)}`);
    return answer;
  };
  const { secret_key: secret } = development;
  const user = `/v1/users/${userId}`;
  await call('PUT', '/control/v1/preference_center', token, { enabled: true, config });
  await call('PUT', user, secret, { email: `${userId}@example.com` });
  await call('PUT', `${user}/preferences/default`, secret, preferences);
  const link = await call('POST', `${user}/preference_center/signed_url`, secret);
  return {
    // The server was told no port, so the link has none.
    url: `${origin}${new URL(String(link.url)).pathname}`,
    preferences: () => call('GET', `${user}/preferences/default`, secret),
  };
}
