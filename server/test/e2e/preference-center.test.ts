import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { openPage } from './support/browser.ts';
import { launchBrowser } from './support/launch-browser.ts';
import { centerOf } from './support/preference-center.ts';
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

describe.each([
  { width: 1440, height: 900, colorScheme: 'light' as const },
  { width: 390, height: 844, colorScheme: 'dark' as const },
])('at $width pixels, $colorScheme', ({ width, height, colorScheme }) => {
  test('preferences are changed by keyboard, without scripts', async () => {
    const center = await centerOf(server, `ada-${width}`);
    const { page, complaints, close } = await openPage(browser, {
      viewport: { width, height },
      colorScheme,
      javaScriptEnabled: false,
    });
    await page.goto(center.url);
    const mentions = page.getByRole('switch', { name: 'Mentions' });
    const news = page.getByRole('group', { name: 'News' });
    expect(await mentions.isChecked()).toBe(true);

    await page.keyboard.press('Tab');
    await page.keyboard.press('Space');
    expect(await mentions.isChecked()).toBe(false);
    await news.getByRole('switch', { name: 'Push' }).focus();
    await page.keyboard.press('Space');
    await page.keyboard.press('Enter');

    await page.getByRole('status').getByText('Your preferences are saved.').waitFor();
    expect(await page.title()).toMatch(/^Your preferences are saved\. – /);
    expect(await mentions.isChecked()).toBe(false);
    expect(await news.getByRole('switch', { name: 'Push' }).isChecked()).toBe(false);
    expect(await news.getByRole('switch', { name: 'E-mail' }).isChecked()).toBe(true);
    expect(await center.preferences()).toMatchObject({
      workflows: { mention: false },
      categories: { news: { channel_types: { push: false } } },
    });
    expect(complaints).toEqual([]);
    await close();
  });

  test('everything fits the window and can be reached and read', async () => {
    const center = await centerOf(server, 'somebody-with-a-very-long-address-at-work');
    const { page, complaints, close } = await openPage(browser, {
      viewport: { width, height },
      colorScheme,
    });
    await page.goto(center.url);
    const scrollWidth = await page.evaluate('document.documentElement.scrollWidth');
    expect(scrollWidth).toBe(width);
    const labels = await page.locator('label, button').all();
    expect(labels.length).toBeGreaterThan(5);
    for (const label of labels) {
      expect((await label.boundingBox())?.height).toBeGreaterThanOrEqual(44);
    }
    const locked = page.getByRole('switch', { name: 'Reports' });
    expect(await locked.isDisabled()).toBe(true);
    expect(complaints).toEqual([]);
    await close();
  });
});
