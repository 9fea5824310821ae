// Makes the pictures in docs/images from a server and a browser of its own: node scripts/screenshots.ts
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { sendOnEveryChannel } from '../server/test/e2e/support/every-channel.ts';
import { launchBrowser } from '../server/test/e2e/support/launch-browser.ts';
import { centerOf } from '../server/test/e2e/support/preference-center.ts';
import { type StartedServer, startWholeServer } from '../server/test/e2e/support/started-server.ts';
import { takeExamples } from './example-screenshots.ts';

const images = join(dirname(dirname(fileURLToPath(import.meta.url))), 'docs', 'images');

const comments = [
  { from: 'Priya Raman', text: 'Could you look at the numbers for spring?' },
  { from: 'Tomas Lind', text: 'The map is missing two stations.' },
  { from: 'Ines Okafor', text: 'The second chart is lovely. Shall we open with it?' },
] as const;

async function openAt(browser: Browser, url: string, colorScheme: 'light' | 'dark') {
  const page = await browser.newPage({
    viewport: { width: 1440, height: 900 },
    colorScheme,
    locale: 'en-GB',
    timezoneId: 'UTC',
  });
  await page.goto(url);
  await page.evaluate('document.fonts.ready');
  return page;
}

async function send(page: Page, { from, text }: (typeof comments)[number]): Promise<void> {
  const answers = page.locator('.timeline .rang');
  const before = await answers.count();
  await page.getByRole('radio', { name: /New comment/ }).check();
  await page.getByLabel('From').selectOption(from);
  await page.getByLabel('Comment', { exact: true }).fill(text);
  await page.getByRole('button', { name: 'Send notification' }).click();
  await answers.nth(before).waitFor();
}

/** The feed open over the bell, as a reader of the README should see it first. */
async function takeDemo(browser: Browser, origin: string, scheme: 'light' | 'dark', file: string) {
  const page = await openAt(browser, origin, scheme);
  await page.getByRole('heading', { name: 'What happened' }).waitFor();
  for (const comment of comments) await send(page, comment);
  await page.getByRole('button', { name: 'Open notification feed' }).click();
  await page.getByRole('dialog').getByText(comments[0].text).first().waitFor();
  // The bell still swings, and its arch has made room for the feed.
  await page.waitForTimeout(450);
  await page.screenshot({ path: join(images, file), animations: 'allow' });
  await page.close();
}

async function takeMessages(browser: Browser, server: StartedServer): Promise<void> {
  await sendOnEveryChannel(server);
  const page = await openAt(
    browser,
    `${server.origin}/dev/messages?workflow=platform-change`,
    'light',
  );
  await page.locator('.message-list a').nth(5).waitFor();
  await page.locator('.message-list a', { hasText: 'Push' }).click();
  await page.locator('.push-card').waitFor();
  await page.screenshot({ path: join(images, 'messages.png') });
  await page.close();
}

async function takePreferenceCenter(browser: Browser, server: StartedServer): Promise<void> {
  const { url } = await centerOf(server, 'ines.okafor');
  const page = await openAt(browser, url, 'light');
  await page.locator('main').screenshot({ path: join(images, 'preference-center.png') });
  await page.close();
}

/** An operation of the API reference, sent. */
async function takeReference(browser: Browser, { origin, development }: StartedServer) {
  const page = await openAt(browser, `${origin}/docs#putUsersUserId`, 'light');
  await page.getByLabel('Key: a secret key').fill(development.secret_key);
  await page.getByRole('button', { name: 'Send', exact: true }).click();
  await page.locator('.result h3').waitFor();
  await page.screenshot({ path: join(images, 'api-reference.png') });
  await page.close();
}

await mkdir(images, { recursive: true });
const server = await startWholeServer();
try {
  const browser = await launchBrowser();
  try {
    await takeDemo(browser, server.origin, 'light', 'demo.png');
    await takeMessages(browser, server);
    await takeReference(browser, server);
    await takePreferenceCenter(browser, server);
    await takeDemo(browser, server.origin, 'dark', 'demo-dark.png');
    await takeExamples(browser, server);
  } finally {
    await browser.close();
  }
} finally {
  await server.stop();
}
