import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { openPage } from './support/browser.ts';
import { launchBrowser } from './support/launch-browser.ts';
import { type StartedServer, startWholeServer } from './support/started-server.ts';

/** The API reference at /docs, in a browser, against the whole server. */

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

const wide = { viewport: { width: 1440, height: 900 } };
const narrow = { viewport: { width: 390, height: 844 }, hasTouch: true };

async function openDocs(page: Page, operation = ''): Promise<void> {
  await page.goto(`${server.origin}/docs${operation === '' ? '' : `#${operation}`}`);
  await page.getByRole('status').filter({ hasText: 'operations' }).waitFor();
}

const result = (page: Page) => page.locator('.result h3');
const send = (page: Page) => page.getByRole('button', { name: 'Send', exact: true }).click();

test('a reader finds, with the keyboard alone, how to identify a user, sends it, and reads the user back', async () => {
  const { page, complaints, close } = await openPage(browser, wide);
  const origins = new Set<string>();
  page.on('request', (request) => origins.add(new URL(request.url()).origin));
  await openDocs(page);
  await page.keyboard.press('/');
  await page.keyboard.type('identify');
  await page.getByRole('status').filter({ hasText: 'found' }).waitFor();
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  const title = page.getByRole('heading', { level: 1 });
  await title.filter({ hasText: 'Identifies a user' }).waitFor();
  expect(await title.evaluate((element) => element.matches(':focus'))).toBe(true);
  expect(await page.title()).toBe('Identifies a user - Belfry API');

  await page.getByLabel('Key: a secret key').fill(server.development.secret_key);
  await page.getByLabel('user_id (required)').fill('ada');
  await page.getByLabel('Body, as JSON').fill('{"name": "Ada", "plan": "pro"}');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await result(page)
    .filter({ hasText: /^200 OK in \d+ ms$/ })
    .waitFor();
  expect(await page.locator('.result pre').textContent()).toContain('"plan": "pro"');
  await page.getByText(/^\d+ headers$/).click();
  expect(await page.locator('.headers').textContent()).toContain('x-request-id');
  const code = await page.locator('.try .code-block pre').allTextContents();
  expect(code.join('\n')).toContain(`curl -X PUT '${server.origin}/v1/users/ada'`);
  expect(code.join('\n')).toContain('await knock.users.update("ada", {');
  expect(code.join('\n')).not.toContain(server.development.secret_key);

  await page.getByRole('searchbox').fill('/v1/users/{user_id} reads');
  await page.getByRole('link', { name: 'GET Reads a user', exact: true }).click();
  await page.getByLabel('user_id (required)').fill('ada');
  await send(page);
  await result(page).filter({ hasText: '200' }).waitFor();
  expect(await page.locator('.result pre').textContent()).toContain('"name": "Ada"');
  expect([...origins]).toEqual([server.origin]);
  expect(complaints).toEqual([]);
  await close();
});

test('a key is kept in its tab only, a wrong one is answered with 401, and all can be forgotten', async () => {
  const { page, complaints, close } = await openPage(browser, wide);
  await openDocs(page, 'getUsersUserId');
  await page.getByLabel('Key: a secret key').fill('sk_test_wrong');
  await send(page);
  await result(page).filter({ hasText: '401' }).waitFor();
  expect(await page.locator('.result pre').textContent()).toContain('api_key_missing');
  expect(complaints.every((each) => each.includes('401'))).toBe(true);

  await page.reload();
  await page.getByRole('heading', { name: 'Try it' }).waitFor();
  expect(await page.getByLabel('Key: a secret key').inputValue()).toBe('sk_test_wrong');
  expect(await page.evaluate('localStorage.length + document.cookie.length')).toBe(0);
  const other = await page.context().newPage();
  await openDocs(other, 'getUsersUserId');
  expect(await other.getByLabel('Key: a secret key').inputValue()).toBe('');
  await page.getByRole('button', { name: 'Forget all keys' }).click();
  expect(await page.getByLabel('Key: a secret key').inputValue()).toBe('');
  expect(await page.evaluate('sessionStorage.length')).toBe(0);
  await close();
});

test('what is no JSON is said before it is sent, and the example comes back', async () => {
  const { page, close } = await openPage(browser, wide);
  await openDocs(page, 'postWorkflowsKeyTrigger');
  const body = page.getByLabel('Body, as JSON');
  const example = await body.inputValue();
  await body.fill('{"recipients": ');
  await page.getByText('Not JSON yet').waitFor();
  expect(await body.getAttribute('aria-invalid')).toBe('true');
  await page.getByRole('button', { name: 'Example', exact: true }).click();
  expect(await body.inputValue()).toBe(example);
  await page.getByText('1 optional').waitFor();
  await page.getByLabel('idempotency-key').fill('once');
  await page.getByLabel('Key: a secret key').fill(server.development.secret_key);
  for (let times = 0; times < 2; times++) {
    await send(page);
    await result(page).filter({ hasText: '200' }).waitFor();
  }
  await page.getByText(/^\d+ headers$/).click();
  expect(await page.locator('.headers').textContent()).toContain('idempotent-replayed');
  await close();
});

test('a feed, with many optional parameters, is asked for with the two that it needs', async () => {
  const { page, complaints, close } = await openPage(browser, wide);
  await openDocs(page, 'getUsersUserIdFeedsId');
  await page.getByLabel('Kind of key').selectOption({ label: 'With a public key' });
  await page.getByLabel('Key: a public key').fill(server.development.public_key);
  await page
    .getByLabel('id (required)', { exact: true })
    .fill(server.development.channels['in-app'] ?? '');
  expect(await page.getByLabel('page_size').isVisible()).toBe(false);
  await page.getByText(/^\d+ optional$/).click();
  await page.getByLabel('page_size').fill('5');
  await send(page);
  await result(page).filter({ hasText: '200' }).waitFor();
  expect(await page.locator('.result pre').textContent()).toContain('"page_size": 5');
  expect(complaints).toEqual([]);
  await close();
});

test('on a phone the list comes first, an operation has the whole width, and nothing is cut off', async () => {
  const { page, complaints, close } = await openPage(browser, narrow);
  await openDocs(page);
  await page.getByRole('searchbox').fill('identifies a user');
  await page.getByRole('link', { name: 'PUT Identifies a user', exact: true }).click();
  await page.getByRole('heading', { name: 'Identifies a user' }).waitFor();
  expect(await page.getByRole('searchbox').isVisible()).toBe(false);
  await page.getByRole('button', { name: 'Try it' }).click();
  await page.getByLabel('Key: a secret key').fill(server.development.secret_key);
  await send(page);
  await result(page).filter({ hasText: '200' }).waitFor();
  expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(390);
  await page.getByRole('link', { name: 'All operations' }).click();
  await page.getByRole('searchbox').waitFor();
  expect(complaints).toEqual([]);
  await close();
});

test('each operation can be opened, has a name for every field, and every list of fields and answers', async () => {
  const { page, complaints, close } = await openPage(browser, wide);
  await openDocs(page);
  const ids: string[] = await page
    .locator('.operations a')
    .evaluateAll((links) => links.map((link) => String(link.getAttribute('href')).slice(1)));
  expect(ids.length).toBeGreaterThan(170);
  for (const id of ids) {
    await page.evaluate(`location.hash = ${JSON.stringify(id)}`);
    await page
      .locator(`.operations a[href="#${id}"][aria-current="page"]`)
      .waitFor({ state: 'attached' });
    const nameless = await page.evaluate(
      "[...document.querySelectorAll('.try :is(input, select, textarea)')].filter((field) => field.labels.length === 0).length",
    );
    expect(nameless, id).toBe(0);
    expect(await page.locator('h2', { hasText: 'Answer' }).count(), id).toBeGreaterThan(0);
    expect(await page.locator('h2', { hasText: 'Errors' }).count(), id).toBe(1);
  }
  expect(complaints).toEqual([]);
  await close();
}, 180_000);
