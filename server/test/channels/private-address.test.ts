import { describe, expect, test } from 'vitest';
import { privateAddressReason } from '../../src/channels/private-address.ts';
import { PrivateAddressError, publicLookup } from '../../src/channels/public-connector.ts';
import { createWebhookProvider } from '../../src/channels/webhook.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { noAbort, outgoing } from './support.ts';

const PRIVATE = [
  '0.0.0.0',
  '0.1.2.3',
  '10.0.0.1',
  '100.64.0.1',
  '100.100.100.200',
  '127.0.0.1',
  '127.255.255.254',
  '168.63.129.16',
  '169.254.169.254',
  '172.16.0.1',
  '172.31.255.255',
  '192.0.0.192',
  '192.0.2.1',
  '192.168.0.1',
  '198.18.0.1',
  '224.0.0.1',
  '240.0.0.1',
  '255.255.255.255',
  '::',
  '::1',
  '::7f00:1',
  '::ffff:127.0.0.1',
  '::ffff:a9fe:a9fe',
  '::ffff:0:127.0.0.1',
  '64:ff9b::7f00:1',
  '64:ff9b:1::1',
  '100::1',
  '2001::1',
  '2001:db8::1',
  '2002:7f00:1::',
  '4000::1',
  'fc00::1',
  'fd00:ec2::254',
  'fe80::1',
  'fec0::1',
  'ff02::1',
];

const PUBLIC = [
  '1.1.1.1',
  '8.8.8.8',
  '172.32.0.1',
  '192.169.0.1',
  '::ffff:8.8.8.8',
  '64:ff9b::808:808',
  '2606:4700:4700::1111',
];

test.each(PRIVATE)('%s is private', (address) => {
  expect(privateAddressReason(address)).toBeTypeOf('string');
});

test.each(PUBLIC)('%s is public', (address) => {
  expect(privateAddressReason(address)).toBeUndefined();
});

describe('without BELFRY_ALLOW_PRIVATE_WEBHOOKS', () => {
  test.each([
    'https://127.0.0.1/',
    'https://127.1/',
    'https://2130706433/',
    'https://0x7f000001/',
    'https://0x7f.0.0.1/',
    'https://0177.0.0.1/',
    'https://127.0.0.1./',
    'https://１２７.0.0.1/',
    'https://0/',
    'https://169.254.169.254/latest/meta-data/',
    'https://[::1]/',
    'https://[::ffff:127.0.0.1]/',
    'https://[0:0:0:0:0:ffff:7f00:1]/',
    'https://[fd00:ec2::254]/',
    'https://localhost/',
    'https://localhost:5432/',
  ])('a webhook to %s is refused', async (url) => {
    const provider = createWebhookProvider({
      allowPrivate: false,
      signingSecret: () => 'secret',
      clock: systemClock,
    });
    const outcome = await provider.deliver(outgoing({ method: 'post', url }), noAbort());
    await provider.close();
    expect(outcome).toMatchObject({ kind: 'rejected', code: 'private_address_refused' });
    expect(JSON.stringify(outcome)).toContain('BELFRY_ALLOW_PRIVATE_WEBHOOKS');
  });

  test('an http URL is refused', async () => {
    const provider = createWebhookProvider({
      allowPrivate: false,
      signingSecret: () => 'secret',
      clock: systemClock,
    });
    const outcome = await provider.deliver(outgoing({ url: 'http://example.com/' }), noAbort());
    await provider.close();
    expect(outcome).toMatchObject({ kind: 'rejected', code: 'webhook_url_not_https' });
  });
});

describe('a name', () => {
  const answer = (addresses: string[], all: boolean) =>
    new Promise<unknown>((resolve) => {
      const found = addresses.map((address) => ({ address, family: 4 }));
      const look = publicLookup((_hostname, _options, done) => done(null, found));
      look('hook.example', { all }, (error, result) => resolve(error ?? result));
    });

  test('with public addresses is connected to exactly these', async () => {
    expect(await answer(['1.1.1.1', '8.8.8.8'], true)).toEqual([
      { address: '1.1.1.1', family: 4 },
      { address: '8.8.8.8', family: 4 },
    ]);
    expect(await answer(['1.1.1.1'], false)).toBe('1.1.1.1');
  });

  test('with one private address among public ones is refused', async () => {
    expect(await answer(['1.1.1.1', '10.0.0.1'], true)).toBeInstanceOf(PrivateAddressError);
  });

  test('without addresses is an error', async () => {
    expect(await answer([], true)).toBeInstanceOf(Error);
  });
});

test('connections to one name share its look-up, and every one gets an answer', () => {
  const asked: { readonly name: string; readonly answer: () => void }[] = [];
  const look = publicLookup((name, _options, done) => {
    asked.push({ name, answer: () => done(null, [{ address: '93.184.216.34', family: 4 }]) });
  });
  const answers: string[] = [];
  const connect = (name: string): void =>
    look(name, {}, (_error, address) => answers.push(`${name} ${String(address)}`));
  for (let i = 0; i < 5; i++) connect('slow.example');
  connect('other.example');
  expect(asked.map(({ name }) => name)).toEqual(['slow.example', 'other.example']);
  asked[1]?.answer();
  expect(answers).toEqual(['other.example 93.184.216.34']);
  asked[0]?.answer();
  expect(answers).toHaveLength(6);
  connect('slow.example');
  expect(asked).toHaveLength(3);
});

test('a look-up that cannot begin says so, each time', () => {
  const look = publicLookup(() => {
    throw new TypeError('no such option');
  });
  const connect = (): void => look('odd.example', {}, () => undefined);
  expect(connect).toThrow('no such option');
  expect(connect).toThrow('no such option');
});
