import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { onTestFailed } from 'vitest';

export type WatchedPage = {
  readonly page: Page;
  /** What the page complained about: console errors and warnings, exceptions, failed requests. */
  readonly complaints: readonly string[];
  readonly close: () => Promise<void>;
};

/** A page in a browser profile of its own. A failed test leaves a picture and says where. */
export async function openPage(
  browser: Browser,
  options: BrowserContextOptions,
): Promise<WatchedPage> {
  const context = await browser.newContext({ locale: 'en-GB', timezoneId: 'UTC', ...options });
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') {
      complaints.push(`${message.type()}: ${message.text()}`);
    }
  });
  page.on('pageerror', (error) => complaints.push(`exception: ${error.message}`));
  page.on('response', (response) => {
    if (response.status() >= 400) complaints.push(`${response.status()}: ${response.url()}`);
  });
  onTestFailed(async () => {
    const path = join(await mkdtemp(join(tmpdir(), 'belfry-failed-')), 'page.png');
    await page.screenshot({ path, fullPage: true });
    console.error(`The page when the test failed: ${path}\n${complaints.join('\n')}`);
  });
  return { page, complaints, close: () => context.close() };
}
