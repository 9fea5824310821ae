import { afterEach, expect, test } from 'vitest';
import { createProviders, type Providers } from '../../src/channels/registry.ts';
import { silentLog } from '../support/log.ts';
import { closedPort, noAbort, outgoing } from './support.ts';

let providers: Providers | undefined;
afterEach(() => providers?.close());

function createWith(smtpUrl: string | undefined): Providers {
  providers = createProviders({
    smtpUrl,
    mailFrom: 'Belfry <bells@example.com>',
    allowPrivateWebhooks: false,
    webhookSigningSecret: () => 'secret',
    log: silentLog,
    clock: { now: () => 0 },
  });
  return providers;
}

test('without an SMTP server e-mail is delivered to the viewer at once', async () => {
  const provider = createWith(undefined).forChannel('email', 'email_smtp');
  expect(provider.name).toBe('viewer');
  expect(await provider.deliver(outgoing({ to: 'ann@example.org' }), noAbort())).toMatchObject({
    kind: 'delivered',
  });
});

test('what has no provider goes to the viewer, and is never more than sent', async () => {
  for (const type of ['sms', 'push', 'chat'] as const) {
    const provider = createWith('smtp://127.0.0.1:1').forChannel(type, `${type}_any`);
    expect(await provider.deliver(outgoing({}), noAbort())).toEqual({
      kind: 'sent',
      detail: { viewer: '/dev/messages' },
    });
  }
});

test('a dead SMTP server is left alone after five failures, bad addresses between them or not', async () => {
  const provider = createWith(`smtp://127.0.0.1:${await closedPort()}`).forChannel('email', 'any');
  const codes: string[] = [];
  for (let i = 0; i < 6; i++) {
    await provider.deliver(outgoing({ to: 'not an address' }), noAbort());
    const outcome = await provider.deliver(outgoing({ to: 'ann@example.org' }), noAbort());
    if (outcome.kind === 'retry') codes.push(outcome.code);
  }
  expect(codes).toEqual([...Array(5).fill('smtp_unreachable'), 'provider_unavailable']);
});
