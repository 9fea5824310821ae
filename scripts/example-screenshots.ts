import { mkdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Browser } from 'playwright-core';
import { type SentExample, sendExamples } from '../server/test/e2e/support/send-examples.ts';
import type { StartedServer } from '../server/test/e2e/support/started-server.ts';

const images = join(dirname(dirname(fileURLToPath(import.meta.url))), 'docs', 'images', 'examples');

/** A page has several of them. */
const MAX_BYTES = 150_000;
const MAIL_WIDTH = 640;
const PHONE_WIDTH = 390;

type Picture = {
  readonly file: string;
  readonly workflow: string;
  readonly step: string;
  /** Of several messages of the step: part of its recipient or title. */
  readonly of?: string;
  /** Of e-mails, which are shown by themselves; other messages as the viewer shows them. */
  readonly width?: number;
};

const pictures: readonly Picture[] = [
  { file: 'comment-digest-feed', workflow: 'comment-digest', step: 'in_app_feed_1' },
  { file: 'comment-digest-email', workflow: 'comment-digest', step: 'email_1', width: MAIL_WIDTH },
  {
    file: 'comment-digest-email-phone',
    workflow: 'comment-digest',
    step: 'email_1',
    width: PHONE_WIDTH,
  },
  {
    file: 'onboarding-welcome',
    workflow: 'onboarding',
    step: 'email_1',
    of: 'tomas-l',
    width: MAIL_WIDTH,
  },
  { file: 'onboarding-feed', workflow: 'onboarding', step: 'in_app_feed_1' },
  { file: 'onboarding-short', workflow: 'onboarding', step: 'email_2', width: MAIL_WIDTH },
  { file: 'onboarding-call', workflow: 'onboarding', step: 'email_3', width: MAIL_WIDTH },
  { file: 'incident-alert-feed', workflow: 'incident-alert', step: 'in_app_feed_1' },
  { file: 'incident-alert-push', workflow: 'incident-alert', step: 'push_1' },
  { file: 'incident-alert-sms', workflow: 'incident-alert', step: 'sms_1' },
  { file: 'incident-alert-webhook', workflow: 'incident-alert', step: 'http_1' },
  { file: 'invoice-email', workflow: 'invoice', step: 'email_1', width: MAIL_WIDTH },
  { file: 'invoice-reminder', workflow: 'invoice', step: 'email_2', width: MAIL_WIDTH },
  { file: 'invoice-email-phone', workflow: 'invoice', step: 'email_1', width: PHONE_WIDTH },
  {
    file: 'weekly-summary-lumen',
    workflow: 'weekly-summary',
    step: 'email_1',
    of: 'Lumen',
    width: MAIL_WIDTH,
  },
  {
    file: 'weekly-summary-nord',
    workflow: 'weekly-summary',
    step: 'email_1',
    of: 'Nord',
    width: MAIL_WIDTH,
  },
  {
    file: 'weekly-summary-phone',
    workflow: 'weekly-summary',
    step: 'email_1',
    of: 'Lumen',
    width: PHONE_WIDTH,
  },
];

/** What recipients of the examples get. Throws when a picture is larger than 150 kB. */
export async function takeExamples(browser: Browser, server: StartedServer): Promise<void> {
  await mkdir(images, { recursive: true });
  const sent = await sendExamples(server);
  for (const picture of pictures) {
    const path = join(images, `${picture.file}.png`);
    await take(browser, server.origin, messageOf(sent, picture), picture.width, path);
    const { size } = await stat(path);
    if (size > MAX_BYTES) throw new Error(`${path} has ${size} bytes, at most ${MAX_BYTES}`);
  }
}

function messageOf(sent: readonly SentExample[], { file, workflow, step, of = '' }: Picture) {
  const found = sent.find(
    (one) =>
      one.workflow === workflow &&
      one.step === step &&
      (one.recipient.includes(of) || one.title.includes(of)),
  );
  if (!found) throw new Error(`there is no message for the picture ${file}`);
  return found;
}

async function take(
  browser: Browser,
  origin: string,
  { id }: SentExample,
  width: number | undefined,
  path: string,
): Promise<void> {
  const page = await browser.newPage({
    viewport: { width: width ?? 900, height: width === undefined ? 900 : 200 },
    deviceScaleFactor: 2,
    colorScheme: 'light',
    locale: 'en-GB',
    timezoneId: 'UTC',
  });
  if (width === undefined) {
    await page.goto(`${origin}/dev/messages#${id}`);
    const stage = page.locator('.stage.request, .stage:not(.request) > :first-child');
    await stage.waitFor();
    await page.evaluate('document.fonts.ready');
    await stage.screenshot({ path });
  } else {
    await page.goto(`${origin}/dev/messages/${id}/html`);
    await page.screenshot({ path, fullPage: true });
  }
  await page.close();
}
