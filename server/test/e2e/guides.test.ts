import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Credentials } from '../../src/accounts/create-account.ts';
import type { JsonObject } from '../../src/lib/json.ts';
import { pushGuides, step } from '../guides/support.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { type Application, startApplication } from './support/application.ts';
import { openPage } from './support/browser.ts';
import { launchBrowser } from './support/launch-browser.ts';
import { type StartedServer, startWholeServer } from './support/started-server.ts';

/** Knock's unmodified React components for guides, in a browser, against the whole server. */

const APPLICATION = `
import { Banner, Card, KnockGuideProvider, KnockProvider } from '@knocklabs/react';
import '@knocklabs/react/dist/index.css';
import { createElement as h } from 'react';
import { createRoot } from 'react-dom/client';

const { apiKey, channelId, userId, host } = Object.fromEntries(new URLSearchParams(location.search));
createRoot(document.getElementById('root')).render(
  h(KnockProvider, { apiKey, host, user: { id: userId } },
    h(KnockGuideProvider, { channelId, readyToTarget: true, targetParams: { data: { city: 'Vienna' } } },
      h('h1', null, 'Night trains'),
      h(Banner),
      h(Card))));
`;

let database: TestDatabase;
let server: StartedServer;
let browser: Browser;
let application: Application;
let credentials: Credentials;

beforeAll(async () => {
  application = await startApplication('Night trains', APPLICATION);
  database = await createTestDatabase();
  server = await startWholeServer(database.url);
  credentials = JSON.parse(await readFile(join(server.dataDir, 'credentials.json'), 'utf8'));
  browser = await launchBrowser();
}, 120_000);

afterAll(async () => {
  await browser?.close();
  await application?.stop();
  await server?.stop();
  await database?.drop();
});

const push = async (guides: { readonly [key: string]: JsonObject }, group?: JsonObject) =>
  expect(
    (await pushGuides(server.origin, credentials, guides, group ? { group } : {})).status,
  ).toBe(200);

/** Opens the application as a user. */
async function openApplication(page: Page, userId: string): Promise<void> {
  const { public_key: apiKey, channels } = server.development;
  const channelId = channels['in-app-guide'] ?? '';
  await page.goto(application.url({ apiKey, channelId, userId, host: server.origin }));
  await page.getByRole('heading', { name: 'Night trains' }).waitFor();
}

const banner = (page: Page) => page.locator('.knock-guide-banner');
const content = (title: string) => ({
  title,
  body: 'Sleep in <b>Berlin</b>, wake up in {{ data.city }}.',
  dismissible: true,
  primary_button: { text: 'Book', action: '' },
});

async function engagement(userId: string): Promise<JsonObject[]> {
  return database.db.query<JsonObject>(
    `select guide_key, seen_at is not null as seen, interacted_at is not null as interacted,
       archived_at is not null as archived
     from guide_engagement
     where user_id = $1
     order by guide_key`,
    [userId],
  );
}

test('a guide appears without a reload, is used and dismissed, and does not come back', async () => {
  const { page, complaints, close } = await openPage(browser, {
    viewport: { width: 1000, height: 420 },
  });
  await openApplication(page, 'mara');
  await page.waitForLoadState('networkidle');
  expect(await banner(page).count()).toBe(0);

  await push({ night: { steps: [step('step_1', content('A new line to {{ data.city }}'))] } });
  await banner(page).getByText('A new line to Vienna').waitFor();
  await expect.poll(() => engagement('mara')).toMatchObject([{ seen: true, interacted: false }]);

  await push({ night: { steps: [step('step_1', content('Every night to {{ data.city }}'))] } });
  await banner(page).getByText('Every night to Vienna').waitFor();
  await banner(page).getByRole('button', { name: 'Book' }).click();
  await expect.poll(() => engagement('mara')).toMatchObject([{ seen: true, interacted: true }]);

  await banner(page).locator('.knock-guide-banner__close').click();
  await banner(page).waitFor({ state: 'detached' });
  await expect.poll(() => engagement('mara')).toMatchObject([{ archived: true }]);
  await page.reload();
  await page.getByRole('heading', { name: 'Night trains' }).waitFor();
  await page.waitForLoadState('networkidle');
  expect(await banner(page).count()).toBe(0);
  expect(complaints).toEqual([]);
  await close();
});

test('after a dismissal the next guide waits for the pause, and one without a pace does not', async () => {
  const card = { headline: 'Tip', title: 'Pack light', body: 'One bag is enough.' };
  await push(
    {
      first: { steps: [step('step_1', content('First'))] },
      second: { steps: [step('step_1', content('Second'))] },
      tip: { type: 'card', steps: [step('step_1', card, 'card')] },
      night: { archived_at: '2026-01-01T00:00:00Z' },
    },
    {
      display_sequence: ['first', 'second', 'tip'],
      display_sequence_unthrottled: ['tip'],
      display_interval: 3600,
    },
  );
  const { page, complaints, close } = await openPage(browser, {
    viewport: { width: 1000, height: 420 },
  });
  await openApplication(page, 'ines');
  await banner(page).getByText('First').waitFor();
  await banner(page).locator('.knock-guide-banner__close').click();
  await page.locator('.knock-guide-card').getByText('Pack light').waitFor();
  expect(await banner(page).count()).toBe(0);
  expect(complaints).toEqual([]);
  await close();
});
