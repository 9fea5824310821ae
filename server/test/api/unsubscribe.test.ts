import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { smtpMail } from '../../src/channels/smtp-mail.ts';
import { setPreferences } from '../../src/recipients/preferences.ts';
import { USERS } from '../../src/recipients/reference.ts';
import { createSubscriberTokens } from '../../src/recipients/subscriber-tokens.ts';
import { outgoing } from '../channels/support.ts';
import { startTestApi, type TestAccount, type TestApi } from './api-server.ts';

let api: TestApi;
let account: TestAccount;
let token: string;
const tokens = createSubscriberTokens('a secret of tests', 'unsubscribe');

beforeAll(async () => {
  api = await startTestApi();
});
afterAll(() => api.close());
beforeEach(async () => {
  account = await api.account();
  const environmentId = account.development.id;
  token = tokens.sign({ environmentId, collection: USERS, id: 'ada' });
  await setPreferences(account.environment, {
    ...{ collection: USERS, id: 'ada', setId: 'default', strategy: 'replace' },
    preferences: { workflows: { a: false } },
  });
});

const stored = async (): Promise<unknown> => {
  const { body } = await api.call('GET', '/v1/users/ada/preferences/default', {
    key: account.secretKey,
  });
  return body;
};

describe('the link of a commercial e-mail [preferences.commercial_subscribed]', () => {
  test('asks when it is opened, as mail scanners open links too', async () => {
    const answer = await api.call('GET', `/unsubscribe/${token}`);
    expect(answer.status).toBe(200);
    expect(answer.headers['content-type']).toContain('text/html');
    expect(answer.text).toContain('<form method="post">');
    expect(await stored()).toMatchObject({ commercial_subscribed: null });
  });

  test.each([
    ['application/x-www-form-urlencoded', 'List-Unsubscribe=One-Click'],
    [
      'multipart/form-data; boundary=b',
      '--b\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--b--\r\n',
    ],
  ])('unsubscribes by one click of a mail program, %s (RFC 8058)', async (type, payload) => {
    const post = () =>
      api.app.inject({
        method: 'POST',
        url: `/unsubscribe/${token}`,
        headers: { 'content-type': type },
        payload,
      });
    expect((await post()).statusCode).toBe(200);
    expect((await post()).statusCode).toBe(200);
    expect(await stored()).toMatchObject({ workflows: { a: false }, commercial_subscribed: false });
  });

  test('does nothing when it was not signed here, is cut off or changed', async () => {
    const [subject = '', signature = ''] = token.split('.');
    const environmentId = account.development.id;
    const elsewhere = createSubscriberTokens('another secret', 'unsubscribe');
    const other = Buffer.from(JSON.stringify([environmentId, USERS, 'bob'])).toString('base64url');
    for (const wrong of [
      subject,
      `${subject}.`,
      `${subject}.${signature.slice(1)}`,
      `${other}.${signature}`,
      `${token}.x`,
      elsewhere.sign({ environmentId, collection: USERS, id: 'ada' }),
      'x'.repeat(3_000),
    ]) {
      expect((await api.call('GET', `/unsubscribe/${wrong}`)).status).toBe(404);
      expect((await api.call('POST', `/unsubscribe/${wrong}`)).status).toBe(404);
    }
    expect(await stored()).toMatchObject({ commercial_subscribed: null });
  });

  test('is in the headers of the mail, which have no room for anything else', () => {
    const from = { name: 'Belfry', address: 'belfry@example.com' };
    const headersWith = (unsubscribe_url: string) => {
      const mail = smtpMail(outgoing({ to: 'ann@example.org', unsubscribe_url }), from);
      return 'mail' in mail ? mail.mail.headers : undefined;
    };
    expect(headersWith('https://b.example/unsubscribe/x.y')).toMatchObject({
      'List-Unsubscribe': '<https://b.example/unsubscribe/x.y>',
      'List-Unsubscribe-Post': 'List-Unsubscribe=One-Click',
    });
    for (const wrong of ['https://b.example/>\r\nBcc: x@y.z', 'mailto:a@b.c', '']) {
      expect(headersWith(wrong)).not.toHaveProperty('List-Unsubscribe');
    }
  });
});
