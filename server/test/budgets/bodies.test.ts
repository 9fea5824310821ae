import { type AddressInfo, connect, type Socket } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { changeLimits } from '../../src/accounts/limits.ts';
import { startTestApi, type TestAccount, type TestApi } from '../api/api-server.ts';
import { waitFor } from '../support/wait.ts';

let api: TestApi;
let roomy: TestApi;
let heavy: TestAccount;
let light: TestAccount;

beforeAll(async () => {
  api = await startTestApi({ budgets: { bodyBytes: 1_000 } });
  [heavy, light] = [await api.account(), await api.account()];
  await api.app.listen({ port: 0, host: '127.0.0.1' });
  roomy = await startTestApi();
  await roomy.app.listen({ port: 0, host: '127.0.0.1' });
});
afterAll(async () => {
  await api?.close();
  await roomy?.close();
});

/** Begins a request and sends nothing of its body. */
function announce(account: TestAccount, bytes: number): Socket {
  const { port } = api.app.server.address() as AddressInfo;
  const socket = connect(port, '127.0.0.1');
  socket.write(
    `PUT /v1/users/u HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${account.secretKey}\r\n` +
      `Content-Type: application/json\r\nContent-Length: ${bytes}\r\n\r\n`,
  );
  return socket;
}

const put = (account: TestAccount) =>
  api.call('PUT', '/v1/users/u', { key: account.secretKey, body: { name: 'U' } });

test('bodies under way of one account leave room for those of others, and are given back', async () => {
  const { bodies } = api.services.budgets;
  const held = () => bodies.held(heavy.development.accountId);
  const sockets = [announce(heavy, 300), announce(heavy, 300)];
  await waitFor('the bodies', () => (held() === 600 ? true : undefined));
  const refused = await put(heavy);
  expect(refused).toMatchObject({
    status: 429,
    body: { code: 'rate_limited', message: expect.stringContaining('600 bytes') },
    headers: { 'retry-after': '1' },
  });
  expect(await put(light)).toMatchObject({ status: 200 });

  for (const socket of sockets) socket.destroy();
  await waitFor('the bodies to be given back', () => (bodies.free() === 1_000 ? true : undefined));
  expect(await put(heavy)).toMatchObject({ status: 200 });
  await waitFor('all to be given back', () => (bodies.free() === 1_000 ? true : undefined));
});

test('a body whose length nobody announced counts with what it has', async () => {
  const account = await roomy.account();
  await changeLimits(roomy.ctx, { account: account.account, limits: { bytes_per_s: 100 } });
  const { port } = roomy.app.server.address() as AddressInfo;
  const put = async (name: string) => {
    const init: RequestInit & { duplex: 'half' } = {
      method: 'PUT',
      headers: {
        authorization: `Bearer ${account.secretKey}`,
        'content-type': 'application/json',
      },
      body: new Blob([JSON.stringify({ name })]).stream(),
      duplex: 'half',
    };
    const response = await fetch(`http://127.0.0.1:${port}/v1/users/u`, init);
    await response.text();
    return response.status;
  };
  expect([await put('U'), await put('U')]).toEqual([200, 200]);
  expect([await put('U'.repeat(100_000)), await put('U')]).toEqual([200, 429]);
});
