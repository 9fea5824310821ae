import KnockNode from '@knocklabs/node';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { type Application, startApplication } from './support/application.ts';
import { openPage } from './support/browser.ts';
import { launchBrowser } from './support/launch-browser.ts';
import { type StartedServer, startWholeServer } from './support/started-server.ts';

/** Knock's unmodified React components and hooks for feeds and preferences, in a browser, against the whole server. */

const APPLICATION = `
import { KnockFeedProvider, KnockProvider, NotificationCell, NotificationFeed, useKnockFeed, usePreferences } from '@knocklabs/react';
import '@knocklabs/react/dist/index.css';
import { createElement as h, useEffect, useState } from 'react';
import { createRoot } from 'react-dom/client';

const { apiKey, feedId, userId, host } = Object.fromEntries(new URLSearchParams(location.search));

function Toasts() {
  const { feedClient } = useKnockFeed();
  const [texts, setTexts] = useState([]);
  useEffect(() => {
    const show = ({ items }) =>
      setTexts((before) => [...before, ...items.map((item) => item.blocks[0].rendered.replace(/<[^>]*>/g, ''))]);
    feedClient.on('items.received.realtime', show);
    return () => feedClient.off('items.received.realtime', show);
  }, [feedClient]);
  return h('div', { role: 'status' }, texts.map((text, i) => h('p', { key: i, className: 'toast' }, text)));
}

function Preferences() {
  const { preferences, setPreferences } = usePreferences();
  if (!preferences) return h('p', null, 'Loading');
  const checked = preferences.channel_types?.email !== false;
  return h('label', null, h('input', {
    type: 'checkbox',
    checked,
    onChange: () => setPreferences({ workflows: {}, categories: {}, channel_types: { email: !checked } }),
  }), ' E-mail');
}

createRoot(document.getElementById('root')).render(
  h(KnockProvider, { apiKey, host, user: { id: userId } },
    h(KnockFeedProvider, { feedId },
      h('h1', null, 'Shared plans'),
      h(Preferences),
      h(Toasts),
      h('div', { style: { height: 420, border: '1px solid #ddd' } },
        h(NotificationFeed, { renderItem: ({ item, ...props }) => h(NotificationCell, { key: item.id, item, ...props }) })))));
`;

let database: TestDatabase;
let server: StartedServer;
let browser: Browser;
let application: Application;
let sdk: KnockNode;

beforeAll(async () => {
  application = await startApplication('Shared plans', APPLICATION);
  database = await createTestDatabase();
  server = await startWholeServer(database.url);
  sdk = new KnockNode({ apiKey: server.development.secret_key, baseURL: server.origin });
  browser = await launchBrowser();
}, 120_000);

afterAll(async () => {
  await browser?.close();
  await application?.stop();
  await server?.stop();
  await database?.drop();
});

const inApp = (): string => server.development.channels['in-app'] ?? '';
const cells = (page: Page) => page.locator('.rnf-notification-cell');

async function openApplication(page: Page, userId: string): Promise<void> {
  const { public_key: apiKey } = server.development;
  await page.goto(application.url({ apiKey, feedId: inApp(), userId, host: server.origin }));
  await page.getByRole('heading', { name: 'Shared plans' }).waitFor();
}

const comment = (text: string) =>
  sdk.workflows.trigger('new-comment', {
    recipients: ['mara'],
    actor: 'ines',
    data: { comment: text, page: 'Roadmap' },
  });

test('a notification is toasted, shown in a cell, read and archived, as the components do it', async () => {
  await sdk.users.update('mara', { name: 'Mara', email: 'mara@example.com' });
  await sdk.users.update('ines', { name: 'Ines Okafor' });
  const { page, complaints, close } = await openPage(browser, {
    viewport: { width: 720, height: 640 },
  });
  await openApplication(page, 'mara');
  await page.getByText('No notifications yet').waitFor();

  // The socket may still be joining: what comes before is in the feed, and not announced.
  const toast = page.locator('.toast').first();
  for (let n = 1; (await toast.count()) === 0 && n <= 100; n++) {
    await comment(`Lovely ${n}`);
    await toast.waitFor({ timeout: 500 }).catch(() => undefined);
  }
  expect(await toast.textContent()).toContain('Ines');
  const sent = await expect
    .poll(async () => {
      const { entries } = await sdk.users.feeds.listItems('mara', inApp());
      return entries.length > 0 && entries.length === (await cells(page).count())
        ? entries.length
        : 0;
    })
    .toBeGreaterThan(0)
    .then(() => cells(page).count());
  expect(await cells(page).first().textContent()).toContain('Ines');

  await page.getByRole('button', { name: /mark all as read/i }).click();
  await expect
    .poll(async () => {
      const { entries } = await sdk.users.feeds.listItems('mara', inApp());
      return entries.filter((entry) => entry.read_at === null);
    })
    .toEqual([]);

  await cells(page).first().hover();
  await cells(page).first().locator('.rnf-archive-notification-btn').click();
  await expect.poll(() => cells(page).count()).toBe(sent - 1);
  // The cell goes before the server has heard of it.
  await expect
    .poll(async () => (await sdk.users.feeds.listItems('mara', inApp())).entries.length)
    .toBe(sent - 1);
  expect(complaints).toEqual([]);
  await close();
});

test('preferences that the hook changes are kept, and what it shows is what is kept', async () => {
  const { page, complaints, close } = await openPage(browser, {
    viewport: { width: 720, height: 640 },
  });
  await openApplication(page, 'mara');
  const email = page.getByRole('checkbox', { name: 'E-mail' });
  await email.waitFor();
  expect(await email.isChecked()).toBe(true);
  await email.click();
  await expect
    .poll(async () => (await sdk.users.getPreferences('mara', 'default')).channel_types)
    .toMatchObject({ email: false });
  await page.reload();
  await email.waitFor();
  expect(await email.isChecked()).toBe(false);
  expect(complaints).toEqual([]);
  await close();
});
