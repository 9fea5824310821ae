import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { openPage } from './support/browser.ts';
import { sendOnEveryChannel } from './support/every-channel.ts';
import { launchBrowser } from './support/launch-browser.ts';
import { type StartedServer, startWholeServer } from './support/started-server.ts';

let database: TestDatabase;
let server: StartedServer;
let browser: Browser;

beforeAll(async () => {
  database = await createTestDatabase();
  server = await startWholeServer(database.url);
  browser = await launchBrowser();
}, 120_000);

afterAll(async () => {
  await browser?.close();
  await server?.stop();
  await database?.drop();
});

type FeedCounts = { readonly unread_count: number; readonly unseen_count: number };

/** What the API says about the feed that the page shows. */
async function feedCounts(): Promise<FeedCounts> {
  const { public_key, channels } = server.development;
  const response = await fetch(`${server.origin}/v1/users/mara/feeds/${channels['in-app']}`, {
    headers: { authorization: `Bearer ${public_key}` },
  });
  const { meta } = (await response.json()) as { readonly meta: FeedCounts };
  return meta;
}

const unreadOnPage = (page: Page) => page.getByTestId('unread-count').textContent();
const bell = (page: Page) => page.getByRole('button', { name: 'Open notification feed' });
const feed = (page: Page) => page.getByRole('dialog', { name: 'Notifications' });

async function sendComment(page: Page, text: string): Promise<void> {
  await page.getByRole('radio', { name: /New comment/ }).check();
  await page.getByLabel('Comment', { exact: true }).fill(text);
  await page.getByRole('button', { name: 'Send notification' }).click();
}

describe.each([
  { width: 1440, height: 900, colorScheme: 'light' as const },
  { width: 390, height: 844, colorScheme: 'dark' as const },
])('at $width pixels, $colorScheme', ({ width, height, colorScheme }) => {
  const options = { viewport: { width, height }, colorScheme };

  test('a notification goes from the form to the bell, the feed and the viewer', async () => {
    const { page, complaints, close } = await openPage(browser, options);
    await page.goto(server.origin);
    const before = Number(await unreadOnPage(page));
    const text = `Shall we open with the chart at ${width} px?`;

    await sendComment(page, text);
    await page.getByText('from send to bell.').waitFor();
    await expect.poll(() => unreadOnPage(page)).toBe(String(before + 1));
    expect((await feedCounts()).unread_count).toBe(before + 1);

    await bell(page).click();
    await feed(page).getByText(text).waitFor();
    await expect.poll(async () => (await feedCounts()).unseen_count).toBe(0);
    await feed(page).getByText('Mark all as read').click();
    await expect.poll(() => unreadOnPage(page)).toBe('0');
    await expect.poll(async () => (await feedCounts()).unread_count).toBe(0);
    await page.reload();
    await expect.poll(() => unreadOnPage(page)).toBe('0');

    await page.goto(`${server.origin}/dev/messages?type=email`);
    const entry = page.locator('.message-list a').first();
    await entry.waitFor();
    await entry.click();
    await page.frameLocator('iframe').getByText(text).waitFor();
    await page.getByRole('tab', { name: 'Text' }).click();
    await page.getByRole('tabpanel').getByText(text).waitFor();

    expect(complaints).toEqual([]);
    await close();
  });

  test('a message of each channel type is shown as whoever gets it sees it', async () => {
    await sendOnEveryChannel(server);
    const { page, complaints, close } = await openPage(browser, options);
    await page.goto(`${server.origin}/dev/messages`);
    await page.getByLabel('Workflow').fill('platform-change');
    await page.getByRole('button', { name: 'Show all' }).waitFor();
    const shown = {
      SMS: '.bubble',
      Push: '.push-card',
      Chat: '.post',
      'In-app': '.feed-cell',
      Webhook: '.request-line',
      'E-mail': 'iframe',
    };
    for (const [type, preview] of Object.entries(shown)) {
      await page.getByLabel('Type').selectOption({ label: type });
      await page.locator('.message-list .kind', { hasText: type }).first().click();
      await page.locator(preview).waitFor();
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(width);
      const back = page.getByRole('button', { name: 'All messages' });
      if (await back.isVisible()) await back.click();
    }
    expect(new URL(page.url()).search).toBe('?type=email&workflow=platform-change');
    expect(complaints).toEqual([]);
    await close();
  });

  test('no page is wider than the window', async () => {
    const { page, close } = await openPage(browser, options);
    for (const path of ['/', '/dev/messages']) {
      await page.goto(`${server.origin}${path}`);
      await page.locator('main').waitFor();
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(width);
    }
    await close();
  });
});

test('the feed opens and closes by keyboard and gives the focus back', async () => {
  const { page, close } = await openPage(browser, {});
  await page.goto(server.origin);
  await bell(page).focus();
  await page.keyboard.press('Enter');
  await feed(page).waitFor({ state: 'visible' });
  await page.keyboard.press('Escape');
  await feed(page).waitFor({ state: 'hidden' });
  expect(await page.locator(':focus').getAttribute('aria-label')).toBe('Open notification feed');
  await close();
});

test('an incident rings at once, and a reminder after the delay that it asked for', async () => {
  const { page, complaints, close } = await openPage(browser, {});
  await page.goto(server.origin);
  for (const workflow of ['Reminder', 'Incident alert']) {
    await page.getByRole('radio', { name: workflow }).check();
    await page.getByRole('button', { name: 'Send notification' }).click();
  }
  const runs = page.locator('.timeline li');
  await runs.filter({ hasText: 'Incident alert' }).locator('.rang').waitFor();
  const reminder = runs.filter({ hasText: 'Reminder' }).locator('.rang');
  await reminder.waitFor();
  const [seconds] = (await reminder.textContent())?.match(/[\d.]+(?= s$)/) ?? [];
  expect(Number(seconds)).toBeGreaterThanOrEqual(5);
  expect(complaints).toEqual([]);
  await close();
});

test('an e-mail that arrives shows up in the open viewer by itself', async () => {
  const { page: viewer, close: closeViewer } = await openPage(browser, {});
  const { page: demo, close: closeDemo } = await openPage(browser, {});
  await viewer.goto(`${server.origin}/dev/messages?type=email`);
  await demo.goto(server.origin);
  await viewer.locator('.message-list a').first().waitFor();
  const before = await viewer.locator('.message-list a').count();
  await sendComment(demo, 'One more.');
  await expect
    .poll(() => viewer.locator('.message-list a').count(), { timeout: 10_000 })
    .toBe(before + 1);
  await closeViewer();
  await closeDemo();
});

test('a page of another origin cannot trigger anything through the demo endpoint', async () => {
  const response = await fetch(`${server.origin}/dev/demo/trigger`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', origin: 'https://elsewhere.example' },
    body: JSON.stringify({ workflow: 'new-comment', actor: 'Ines Okafor', data: {} }),
  });
  expect(response.status).toBe(404);
});

test('the demo endpoint never shows a secret key', async () => {
  const response = await fetch(`${server.origin}/dev/demo.json`);
  const text = await response.text();
  expect(text).toContain(server.development.public_key);
  expect(text).not.toMatch(/sk_|knock_st_|bf_op_|PRIVATE KEY/);
});
