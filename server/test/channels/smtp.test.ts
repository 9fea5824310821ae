import { type AddressInfo, createServer, type Server } from 'node:net';
import { type ParsedMail, simpleParser } from 'mailparser';
import { SMTPServer, type SMTPServerOptions } from 'smtp-server';
import { afterEach, expect, test } from 'vitest';
import { createSmtpProvider, type SmtpTimeouts } from '../../src/channels/smtp.ts';
import type { JsonObject } from '../../src/lib/json.ts';
import { closedPort, MESSAGE_ID, noAbort, outgoing } from './support.ts';

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

type Received = ParsedMail & { readonly secure: boolean; readonly recipients: readonly string[] };

/** A real SMTP server on a free port, and what it took. */
async function smtpServer(options: SMTPServerOptions = {}) {
  const received: Received[] = [];
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS'],
    onData: (stream, session, done) => {
      simpleParser(stream).then((mail) => {
        const recipients = session.envelope.rcptTo.map(({ address }) => address);
        received.push({ ...mail, secure: session.secure, recipients });
        done();
      }, done);
    },
    ...options,
  });
  server.on('error', () => {});
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.unshift(() => new Promise<void>((resolve) => server.close(resolve)));
  return { received, server, port: portOf(server.server) };
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

function smtpProvider(url: string, timeouts?: SmtpTimeouts) {
  const provider = createSmtpProvider({
    url,
    mailFrom: 'Belfry <bells@example.com>',
    ...(timeouts ? { timeouts } : {}),
  });
  cleanups.push(provider.close);
  return provider;
}

const MAIL: JsonObject = { to: 'ann@example.org', subject: 'Hi', html_body: '<p>Hi</p>' };

/** What a mail comes to with such a server. */
async function outcomeWith(options: SMTPServerOptions, content: JsonObject = MAIL) {
  const { port } = await smtpServer(options);
  return smtpProvider(`smtp://127.0.0.1:${port}`).deliver(outgoing(content), noAbort());
}

function reply(responseCode: number, message = 'no'): Error {
  return Object.assign(new Error(message), { responseCode });
}

test('a mail arrives with everything that its step rendered', async () => {
  const { received, port } = await smtpServer();
  const outcome = await smtpProvider(`smtp://127.0.0.1:${port}`).deliver(
    outgoing({
      to: 'ann@example.org',
      from: 'team@example.net',
      from_name: 'The Tëam, Inc. "quoted"',
      cc: 'bob@example.org, Cy <cy@example.org>',
      bcc: ['dot@example.org'],
      reply_to: 'help@example.net',
      subject: 'Ring 🔔',
      html_body: '<p>Ring</p>',
      text_body: 'Ring in text',
    }),
    noAbort(),
  );
  expect(outcome).toMatchObject({
    kind: 'sent',
    detail: { response: expect.stringMatching(/^250/) },
  });
  const [mail] = received;
  expect(mail).toMatchObject({
    from: { value: [{ address: 'team@example.net', name: 'The Tëam, Inc. "quoted"' }] },
    to: { value: [{ address: 'ann@example.org' }] },
    cc: { value: [{ address: 'bob@example.org' }, { address: 'cy@example.org', name: 'Cy' }] },
    replyTo: { value: [{ address: 'help@example.net' }] },
    subject: 'Ring 🔔',
    html: '<p>Ring</p>',
    recipients: ['ann@example.org', 'bob@example.org', 'cy@example.org', 'dot@example.org'],
  });
  expect(mail?.text?.trim()).toBe('Ring in text');
  expect(mail?.bcc).toBeUndefined();
});

test('attachments arrive, those with a Content-ID within the HTML [channel/email.template.settings.attachment_key]', async () => {
  const { received, port } = await smtpServer();
  await smtpProvider(`smtp://127.0.0.1:${port}`).deliver(
    outgoing({
      ...MAIL,
      attachments: [
        {
          name: 'Rechnung Nr. 5.pdf',
          content_type: 'application/pdf',
          content: Buffer.from('%PDF').toString('base64'),
        },
        { name: 'a.png', content_type: 'image/png', content: 'AAEC', content_id: 'logo' },
      ],
    }),
    noAbort(),
  );
  const [png, pdf] = received[0]?.attachments ?? [];
  expect(pdf).toMatchObject({
    filename: 'Rechnung Nr. 5.pdf',
    contentType: 'application/pdf',
    contentDisposition: 'attachment',
  });
  expect(pdf?.content.toString()).toBe('%PDF');
  expect(png).toMatchObject({ cid: 'logo', contentDisposition: 'inline' });
  expect([...(png?.content ?? [])]).toEqual([0, 1, 2]);
});

test('a step adds headers of its own and changes no other [channel/email.channel_overrides.json_overrides]', async () => {
  const { received, port } = await smtpServer();
  const headers = {
    'X-Campaign': 'spring\r\nBcc: all@example.org',
    Bcc: 'all@example.org',
    'Content-Type': 'text/plain',
    'X-Belfry-Message-Id': 'forged',
  };
  const content = { ...MAIL, overrides: { headers, attachments: [{ path: '/etc/passwd' }] } };
  await smtpProvider(`smtp://127.0.0.1:${port}`).deliver(outgoing(content), noAbort());
  const [mail] = received;
  expect(mail?.headers.get('x-campaign')).toBe('spring Bcc: all@example.org');
  expect(mail?.headers.get('x-belfry-message-id')).toBe(MESSAGE_ID);
  expect(mail).toMatchObject({ recipients: ['ann@example.org'], attachments: [] });
});

test('every attempt has the same Message-ID, made of the message id', async () => {
  const { received, port } = await smtpServer();
  const provider = smtpProvider(`smtp://127.0.0.1:${port}`);
  await provider.deliver(outgoing(MAIL, 1), noAbort());
  await provider.deliver(outgoing(MAIL, 2), noAbort());
  expect(received.map(({ messageId }) => messageId)).toEqual(
    Array(2).fill(`<${MESSAGE_ID}@example.com>`),
  );
  expect(received[0]?.headers.get('x-belfry-message-id')).toBe(MESSAGE_ID);
  expect(received[0]?.from?.value).toEqual([{ address: 'bells@example.com', name: 'Belfry' }]);
});

test('line breaks in a subject or name add no header and no recipient', async () => {
  const { received, port } = await smtpServer();
  await smtpProvider(`smtp://127.0.0.1:${port}`).deliver(
    outgoing({
      ...MAIL,
      subject: 'Hi\r\nBcc: eve@example.org\r\n\r\nbody',
      from_name: 'Ann\r\nX-Evil: 1',
    }),
    noAbort(),
  );
  expect(received[0]?.recipients).toEqual(['ann@example.org']);
  expect(received[0]?.headers.has('x-evil')).toBe(false);
  expect(received[0]?.subject).toBe('Hi Bcc: eve@example.org body');
});

test.each([
  ['', 'nothing'],
  ['ann', 'no domain'],
  ['ann@example.org, eve@example.org', 'two addresses'],
  ['ann@example.org\r\nBcc: eve@example.org', 'a line break'],
  ['Friends: ann@example.org, eve@example.org;', 'a group'],
  [`${'a'.repeat(250)}@example.org`, 'too long'],
])('the address "%s" bounces without a connection: %s', async (to) => {
  const provider = smtpProvider(`smtp://127.0.0.1:${await closedPort()}`);
  expect(await provider.deliver(outgoing({ ...MAIL, to }), noAbort())).toMatchObject({
    kind: 'bounced',
    code: 'email_address_invalid',
  });
});

test('a copy address that is none is rejected', async () => {
  const provider = smtpProvider(`smtp://127.0.0.1:${await closedPort()}`);
  expect(await provider.deliver(outgoing({ ...MAIL, cc: 'nobody' }), noAbort())).toMatchObject({
    kind: 'rejected',
    code: 'email_invalid',
  });
});

test('a recipient with an international domain is known again in the answer', async () => {
  const outcome = await outcomeWith(
    { onRcptTo: ({ address }, _, done) => done(address.startsWith('ann') ? reply(550) : null) },
    { ...MAIL, to: 'ann@BÜCHER.example', cc: 'bob@example.org' },
  );
  expect(outcome).toMatchObject({ kind: 'bounced', code: 'smtp_recipient_refused' });
});

test.each<[string, SMTPServerOptions, JsonObject]>([
  [
    'a recipient refused with 550 bounces',
    { onRcptTo: (_address, _session, done) => done(reply(550, 'no such user')) },
    { kind: 'bounced', code: 'smtp_recipient_refused' },
  ],
  [
    'a relay that is denied is rejected, for the address may be good',
    { onRcptTo: (_address, _session, done) => done(reply(554, '5.7.1 relay access denied')) },
    { kind: 'rejected', code: 'smtp_message_refused' },
  ],
  [
    'a full mailbox (452) is tried again',
    { onRcptTo: (_address, _session, done) => done(reply(452)) },
    { kind: 'retry', code: 'smtp_deferred' },
  ],
  [
    'greylisting (451 at the recipient) is tried again',
    { onRcptTo: (_address, _session, done) => done(reply(451)) },
    { kind: 'retry', code: 'smtp_greylisted' },
  ],
  [
    'a sender refused with 550 is rejected',
    { onMailFrom: (_address, _session, done) => done(reply(550)) },
    { kind: 'rejected', code: 'smtp_message_refused' },
  ],
  [
    'a sender that must log in (530) is tried again: the operator can mend it',
    { onMailFrom: (_address, _session, done) => done(reply(530)) },
    { kind: 'retry', code: 'smtp_auth_failed' },
  ],
  [
    'content refused with 554 is rejected',
    { onData: (stream, _session, done) => stream.resume().on('end', () => done(reply(554))) },
    { kind: 'rejected', code: 'smtp_message_refused' },
  ],
  [
    'content deferred with 451 is tried again',
    { onData: (stream, _session, done) => stream.resume().on('end', () => done(reply(451))) },
    { kind: 'retry', code: 'smtp_deferred' },
  ],
  [
    'a server that refuses the connection (554) is tried again',
    { onConnect: (_session, done) => done(reply(554)) },
    { kind: 'retry', code: 'smtp_refuses_us' },
  ],
  [
    'a server that is busy (421) is tried again',
    { onConnect: (_session, done) => done(reply(421)) },
    { kind: 'retry' },
  ],
])('%s', async (_name, options, expected) => {
  expect(await outcomeWith(options)).toMatchObject(expected);
});

test('a copy that is refused does not spoil the mail', async () => {
  const outcome = await outcomeWith(
    { onRcptTo: ({ address }, _, done) => done(address.startsWith('bob') ? reply(550) : null) },
    { ...MAIL, cc: 'bob@example.org' },
  );
  expect(outcome).toMatchObject({ kind: 'sent', detail: { refused_copies: ['bob@example.org'] } });
});

test('a recipient who is refused bounces, even when a copy is taken', async () => {
  const outcome = await outcomeWith(
    { onRcptTo: ({ address }, _, done) => done(address.startsWith('ann') ? reply(550) : null) },
    { ...MAIL, to: 'ann@EXAMPLE.org', cc: 'bob@example.org' },
  );
  expect(outcome).toMatchObject({ kind: 'bounced', code: 'smtp_recipient_refused' });
});

test('a password that is refused is tried again and does not get into the log', async () => {
  const { port } = await smtpServer({
    authOptional: false,
    onAuth: (_auth, _session, done) => done(reply(535, 'bad credentials')),
  });
  const provider = smtpProvider(`smtp://user:hunter2@127.0.0.1:${port}`);
  const outcome = await provider.deliver(outgoing(MAIL), noAbort());
  expect(outcome).toMatchObject({ kind: 'retry', code: 'smtp_auth_failed' });
  expect(JSON.stringify(outcome)).not.toContain('hunter2');
});

test('user and password of the URL are used', async () => {
  const logins: string[] = [];
  const { received, port } = await smtpServer({
    authOptional: false,
    onAuth: ({ username, password }, _session, done) => {
      logins.push(`${username}/${password}`);
      done(null, { user: username });
    },
  });
  const provider = smtpProvider(`smtp://us%40er:p%3Ass@127.0.0.1:${port}`);
  expect(await provider.deliver(outgoing(MAIL), noAbort())).toMatchObject({ kind: 'sent' });
  expect(logins).toEqual(['us@er/p:ss']);
  expect(received).toHaveLength(1);
});

test('STARTTLS is used where the server offers it', async () => {
  const { received, port } = await smtpServer({ disabledCommands: [] });
  const provider = smtpProvider(`smtp://127.0.0.1:${port}?tls.rejectUnauthorized=false`);
  expect(await provider.deliver(outgoing(MAIL), noAbort())).toMatchObject({ kind: 'sent' });
  expect(received[0]?.secure).toBe(true);
});

test('a certificate that cannot be trusted is tried again and named', async () => {
  const { received, port } = await smtpServer({ disabledCommands: [] });
  const provider = smtpProvider(`smtp://127.0.0.1:${port}`);
  expect(await provider.deliver(outgoing(MAIL), noAbort())).toMatchObject({
    kind: 'retry',
    code: 'smtp_tls_failed',
  });
  expect(received).toEqual([]);
});

test('requireTLS sends nothing in the clear', async () => {
  const { received, port } = await smtpServer();
  const provider = smtpProvider(`smtp://127.0.0.1:${port}?requireTLS=true`);
  expect(await provider.deliver(outgoing(MAIL), noAbort())).toMatchObject({
    kind: 'retry',
    code: 'smtp_tls_failed',
  });
  expect(received).toEqual([]);
});

test('a server that is down is tried again, and gets the mail when it is up', async () => {
  const port = await closedPort();
  const provider = smtpProvider(`smtp://127.0.0.1:${port}`);
  expect(await provider.deliver(outgoing(MAIL), noAbort())).toMatchObject({
    kind: 'retry',
    code: 'smtp_unreachable',
  });
  const server = new SMTPServer({ authOptional: true, disabledCommands: ['STARTTLS'] });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  cleanups.unshift(() => new Promise<void>((resolve) => server.close(resolve)));
  expect(await provider.deliver(outgoing(MAIL), noAbort())).toMatchObject({ kind: 'sent' });
});

test('a host that does not exist is tried again and named', async () => {
  const provider = smtpProvider('smtp://belfry-test.invalid:25');
  expect(await provider.deliver(outgoing(MAIL), noAbort())).toMatchObject({
    kind: 'retry',
    code: 'smtp_host_not_found',
  });
});

/** Takes connections and never says a word. */
async function silentServer(): Promise<number> {
  const sockets = new Set<{ destroy: () => void }>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => {
    for (const socket of sockets) socket.destroy();
    return new Promise((resolve) => server.close(resolve));
  });
  return portOf(server);
}

test('a server that never greets is tried again after the timeout', async () => {
  const timeouts = { connectMs: 100, socketMs: 100, attemptMs: 5_000 };
  const provider = smtpProvider(`smtp://127.0.0.1:${await silentServer()}`, timeouts);
  expect(await provider.deliver(outgoing(MAIL), noAbort())).toMatchObject({
    kind: 'retry',
    code: 'smtp_timeout',
  });
});

test('an attempt ends in time even when mails wait for a connection', async () => {
  const timeouts = { connectMs: 60_000, socketMs: 60_000, attemptMs: 200 };
  const provider = smtpProvider(`smtp://127.0.0.1:${await silentServer()}`, timeouts);
  const outcomes = await Promise.all(
    Array.from({ length: 30 }, () => provider.deliver(outgoing(MAIL), noAbort())),
  );
  expect(outcomes.every((it) => it.kind === 'retry' && it.code === 'smtp_timeout')).toBe(true);
});

test('a delivery that is aborted ends at once and is tried again', async () => {
  const abort = new AbortController();
  const { port } = await smtpServer({ onMailFrom: () => abort.abort() });
  const provider = smtpProvider(`smtp://127.0.0.1:${port}`);
  expect(await provider.deliver(outgoing(MAIL), abort.signal)).toMatchObject({
    kind: 'retry',
    code: 'delivery_aborted',
  });
});

test('a thousand mails use ten connections at most', async () => {
  let most = 0;
  const { received, server, port } = await smtpServer({
    onRcptTo: (_address, _session, done) => {
      most = Math.max(most, server.connections.size);
      done();
    },
  });
  const provider = smtpProvider(`smtp://127.0.0.1:${port}`);
  const outcomes = await Promise.all(
    Array.from({ length: 1_011 }, () => provider.deliver(outgoing(MAIL), noAbort())),
  );
  expect(received).toHaveLength(1_010);
  expect(outcomes.filter(({ kind }) => kind === 'sent')).toHaveLength(1_010);
  expect(outcomes.at(-1)).toMatchObject({ kind: 'retry', code: 'smtp_busy' });
  expect(most).toBeLessThanOrEqual(10);
});

test('a connection that the server closed while it was idle costs no attempt', async () => {
  const { received, server, port } = await smtpServer();
  const sockets = new Set<{ destroy: () => void }>();
  server.server.on('connection', (socket) => sockets.add(socket));
  const provider = smtpProvider(`smtp://127.0.0.1:${port}`);
  await provider.deliver(outgoing(MAIL), noAbort());
  for (const socket of sockets) socket.destroy();
  expect(await provider.deliver(outgoing(MAIL), noAbort())).toMatchObject({ kind: 'sent' });
  expect(received).toHaveLength(2);
});

test('closing ends what is under way as a retry', async () => {
  const provider = smtpProvider(`smtp://127.0.0.1:${await silentServer()}`, {
    connectMs: 200,
    socketMs: 200,
    attemptMs: 400,
  });
  const deliveries = Array.from({ length: 20 }, () => provider.deliver(outgoing(MAIL), noAbort()));
  await provider.close();
  const outcomes = await Promise.all(deliveries);
  expect(outcomes.every(({ kind }) => kind === 'retry')).toBe(true);
});

test.each(['http://host', 'smtp:host', 'mail.example.com:25'])('the URL %s is refused', (url) => {
  expect(() => createSmtpProvider({ url, mailFrom: 'a@b.org' })).toThrow('BELFRY_SMTP_URL');
});
