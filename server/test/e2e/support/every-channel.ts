import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { StartedServer } from './started-server.ts';

const template = {
  email: {
    settings: { layout_key: 'default' },
    subject: 'Your train to {{ data.to }} leaves from platform {{ data.platform }}',
    html_body:
      '<p>Dear {{ recipient.name }},</p><p>the train to <strong>{{ data.to }}</strong> at {{ data.at }} leaves from platform {{ data.platform }}.</p>',
  },
  sms: {
    text_body: '{{ data.to }}, {{ data.at }}: now platform {{ data.platform }}. Safe travels!',
  },
  push: {
    title: 'Platform {{ data.platform }}',
    text_body: 'The {{ data.at }} to {{ data.to }} has moved. Two minutes on foot.',
    settings: { delivery_type: 'content', payload_overrides: '{"data": {"train": "NJ 471"}}' },
  },
  chat: {
    markdown_body:
      '**{{ data.to }}, {{ data.at }}** moves to platform **{{ data.platform }}**. [Show the map](https://trains.example/map)',
    summary: 'Platform change',
  },
  in_app_feed: {
    markdown_body: 'Your train to **{{ data.to }}** leaves from platform **{{ data.platform }}**.',
    action_buttons: [
      { label: 'Show the way', action: 'https://trains.example/way' },
      { label: 'Other trains', action: 'https://trains.example/others' },
    ],
  },
  http: {
    method: 'post',
    url: 'https://trains.example/hooks/platform',
    headers: [{ key: 'content-type', value: 'application/json' }],
    body: '{"train": "NJ 471", "platform": {{ data.platform | json }}}',
  },
};

const keys = {
  http: 'webhook',
  chat: 'chat',
  push: 'push',
  sms: 'sms',
  email: 'email',
  in_app_feed: 'in-app',
} as const;

const traveller = {
  id: 'ines',
  name: 'Ines Okafor',
  email: 'ines@example.com',
  phone_number: '+15550100',
  channel_data: {
    push: { tokens: ['a4f1c2'] },
    chat: { connections: [{ channel_id: 'travel', access_token: 'xoxb' }] },
  },
};

/** Publishes a workflow with a step for each channel type and runs it once, for a user who is on all of them. */
export async function sendOnEveryChannel({ origin, dataDir, development }: StartedServer) {
  const file = await readFile(join(dataDir, 'credentials.json'), 'utf8');
  const { service_token: token } = JSON.parse(file) as { readonly service_token: string };
  const steps = Object.entries(keys).map(([type, channel]) => ({
    type: 'channel',
    ref: `${type}_1`,
    channel_key: channel,
    template: template[type as keyof typeof keys],
  }));
  await post(`${origin}/control/v1/push`, token, {
    workflows: [{ key: 'platform-change', content: { name: 'Platform change', steps } }],
  });
  await post(`${origin}/v1/workflows/platform-change/trigger`, development.secret_key, {
    recipients: [traveller],
    data: { to: 'Vienna', at: '22:10', platform: '7' },
  });
}

async function post(url: string, key: string, body: object): Promise<void> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`${url} answered ${response.status}: ${await response.text()}`);
}
