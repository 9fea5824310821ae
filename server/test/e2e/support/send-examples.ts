import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readDirectory } from '../../../src/control/read-directory.ts';
import { RESOURCE_KINDS } from '../../../src/control/resources.ts';
import { isJsonObject, type Json, type JsonObject } from '../../../src/lib/json.ts';
import { waitFor } from '../../support/wait.ts';
import { root } from './documented-examples.ts';
import type { StartedServer } from './started-server.ts';

/** A message of an example, by where the viewer has it. */
export type SentExample = {
  readonly id: string;
  readonly workflow: string;
  readonly step: string;
  readonly recipient: string;
  readonly title: string;
};

/** What the examples send to whom, with everybody doing what makes them send most. */
const EXPECTED: readonly (readonly [workflow: string, step: string, recipient: string])[] = [
  ['comment-digest', 'in_app_feed_1', 'mara-l'],
  ['comment-digest', 'email_1', 'mara-l'],
  ['onboarding', 'email_1', 'tomas-l'],
  ['onboarding', 'in_app_feed_1', 'tomas-l'],
  ['onboarding', 'email_1', 'priya-r'],
  ['onboarding', 'email_2', 'priya-r'],
  ['onboarding', 'email_1', 'nina'],
  ['onboarding', 'email_3', 'nina'],
  ['incident-alert', 'in_app_feed_1', 'ines-o'],
  ['incident-alert', 'http_1', 'ines-o'],
  ['incident-alert', 'push_1', 'ines-o'],
  ['incident-alert', 'sms_1', 'ines-o'],
  ['invoice', 'email_1', 'jonas-w'],
  ['invoice', 'email_2', 'jonas-w'],
  ['weekly-summary', 'email_1', 'mara-l'],
  ['weekly-summary', 'email_1', 'mara-l'],
];

/** Long enough to do something meanwhile. */
const WAIT = { unit: 'seconds', value: 5 };
const SOON = { unit: 'seconds', value: 1 };
const DAY_MS = 86_400_000;

/**
 * Publishes the examples with all their waits shortened, triggers each, and returns the messages when the last one has
 * come. Throws when others come, or not all of them.
 */
export async function sendExamples(server: StartedServer): Promise<SentExample[]> {
  const { origin, dataDir, development } = server;
  const file = await readFile(join(dataDir, 'credentials.json'), 'utf8');
  const { service_token: token } = JSON.parse(file) as { readonly service_token: string };
  const { workflows, resources } = await readDirectory(join(root, 'examples'));
  await call(`${origin}/control/v1/push`, 'POST', token, {
    workflows: workflows.map(({ key, content }) => ({ key, content: hurried(content) })),
    ...Object.fromEntries(
      RESOURCE_KINDS.map((kind) => [
        `${kind}s`,
        resources.filter((one) => one.kind === kind).map(({ key, content }) => ({ key, content })),
      ]),
    ),
  });
  const trigger = (workflow: string, body: JsonObject) =>
    call(`${origin}/v1/workflows/${workflow}/trigger`, 'POST', development.secret_key, body);
  await triggerAll(trigger);
  const messages = async (recipient: string) => {
    const path = `/dev/messages.json?page_size=50&recipient=${recipient}`;
    return entriesOf(await call(`${origin}${path}`, 'GET', development.secret_key));
  };
  // Waits for him to be updated, since it is in the same statement as the letter.
  await waitFor('the welcome', async () => (await messages('tomas-l'))[0]);
  const first = { first_project_at: new Date().toISOString() };
  await call(`${origin}/v1/users/tomas-l`, 'PUT', development.secret_key, first);

  const recipients = [...new Set(EXPECTED.map(([, , recipient]) => recipient))];
  const sent = await waitFor(
    'the messages of the examples',
    async () => {
      const found = (await Promise.all(recipients.map(messages))).flat();
      return found.length >= EXPECTED.length ? found : undefined;
    },
    60_000,
  );
  const names = (list: readonly (readonly string[])[]) => list.map((one) => one.join(' ')).sort();
  const came = names(sent.map(({ workflow, step, recipient }) => [workflow, step, recipient]));
  if (came.join() === names(EXPECTED).join()) return sent;
  throw new Error(`other messages came:\n${came.join('\n')}`);
}

async function triggerAll(
  trigger: (workflow: string, body: JsonObject) => Promise<JsonObject>,
): Promise<void> {
  const mara = { id: 'mara-l', name: 'Mara Lindqvist', email: 'mara@example.com' };
  const spring = { page_id: 'spring', page: 'Spring timetable', page_url: link('pages/spring') };
  for (const [actor, comment] of [
    [{ id: 'priya', name: 'Priya Raman' }, 'The map is missing two stations.'],
    [{ id: 'priya' }, 'And the night train is on the wrong side.'],
    [{ id: 'tomas', name: 'Tomas Lind' }, 'Can we leave ten minutes earlier?'],
  ] as const) {
    await trigger('comment-digest', { recipients: [mara], actor, data: { ...spring, comment } });
  }
  await trigger('onboarding', {
    recipients: [
      { id: 'tomas-l', name: 'Tomas Lind', email: 'tomas@example.com' },
      { id: 'priya-r', name: 'Priya Raman', email: 'priya@example.com' },
      { id: 'nina', name: 'Nina Berg', email: 'nina@example.com' },
    ],
    data: { start_url: link('projects/new'), team_size: 4 },
  });
  await trigger('incident-alert', {
    recipients: [
      {
        id: 'ines-o',
        name: 'Ines Okafor',
        phone_number: '+15550100',
        channel_data: { push: { tokens: ['a4f1c2'] } },
      },
    ],
    data: {
      title: 'Checkout is down',
      service: 'payments',
      severity: 'critical',
      started_at: '2026-11-16T08:42:00Z',
      url: 'https://status.example/42',
      webhook_url: 'https://oncall.example/hooks/incidents',
    },
  });
  await trigger('invoice', {
    recipients: [
      {
        id: 'jonas-w',
        name: 'Jonas Weiss',
        email: 'jonas@example.com',
        locale: 'de-DE',
        timezone: 'Europe/Berlin',
      },
    ],
    data: {
      number: '2026-0042',
      amount: 1290.5,
      currency: 'EUR',
      due_at: new Date(Date.now() + 3 * DAY_MS + 2_000).toISOString(),
      pay_url: 'https://pay.example/2026-0042',
      attachments: [
        { name: '2026-0042.pdf', content_type: 'application/pdf', content: 'JVBERi0xLjQKJSVFT0YK' },
      ],
    },
  });
  for (const { tenant, stats } of tenants) {
    const data = { week: '47', stats: [...stats], report_url: link('reports/47') };
    await trigger('weekly-summary', { recipients: [mara], tenant, data });
  }
}

const tenants = [
  {
    tenant: {
      id: 'lumen',
      name: 'Lumen Rail',
      settings: { branding: { primary_color: '#0f766e', primary_color_contrast: '#ffffff' } },
    },
    stats: [
      { label: 'Journeys', value: 12_840, before: 11_902 },
      { label: 'Delays', value: 37, before: 52 },
      { label: 'New travellers', value: 412 },
    ],
  },
  {
    tenant: {
      id: 'nord',
      name: 'Nordbahn',
      settings: { branding: { primary_color: '#f5c518', primary_color_contrast: '#1a1a1a' } },
    },
    stats: [
      { label: 'Journeys', value: 803, before: 911 },
      { label: 'Delays', value: 4, before: 9 },
    ],
  },
] as const;

function link(path: string): string {
  return `https://app.example/${path}`;
}

/** The same with every window and delay that is longer than a moment cut short; days before a date stay. */
function hurried(value: Json): Json {
  if (Array.isArray(value)) return value.map(hurried);
  if (!isJsonObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => [name, hurriedField(name, inner ?? null)]),
  );
}

function hurriedField(name: string, value: Json): Json {
  if (name === 'batch_window' || name === 'expires_after') return WAIT;
  const isDelay = name === 'delay_for' && isJsonObject(value) && Number(value.value) > 0;
  return isDelay ? SOON : hurried(value);
}

function entriesOf({ entries }: JsonObject): SentExample[] {
  return (Array.isArray(entries) ? entries : []).filter(isJsonObject).map((entry) => ({
    id: String(entry.id),
    workflow: String(entry.workflow),
    step: String(entry.step),
    recipient: String(entry.recipient_id),
    title: String(entry.title),
  }));
}

async function call(url: string, method: string, key: string, body?: Json): Promise<JsonObject> {
  const response = await fetch(url, {
    method,
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  if (!response.ok) throw new Error(`${url} answered ${response.status}: ${await response.text()}`);
  return (await response.json()) as JsonObject;
}
