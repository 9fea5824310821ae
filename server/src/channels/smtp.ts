import { createTransport } from 'nodemailer';
import { type EmailAddress, singleEmailAddress } from '../lib/email-address.ts';
import { createFairGate, enterGate } from '../lib/fair-gate.ts';
import { limitTime, type TimeLimit } from '../lib/time-limit.ts';
import type { DeliveryOutcome, OutgoingMessage, Provider } from './provider.ts';
import { type SmtpMail, smtpMail } from './smtp-mail.ts';
import { outcomeOfSmtpError } from './smtp-outcome.ts';

export type SmtpTimeouts = {
  readonly connectMs: number;
  readonly socketMs: number;
  /** A whole attempt, the wait for a connection included. */
  readonly attemptMs: number;
};

export type SmtpOptions = {
  /**
   * `smtp://[user:password@]host[:port]`, or `smtps://` for TLS from the start. `smtp` uses
   * STARTTLS where the server offers it; `?requireTLS=true` insists,
   * `?tls.rejectUnauthorized=false` accepts any certificate.
   */
  readonly url: string;
  /** The sender of mails that name none: `a@b.org` or `Name <a@b.org>`. */
  readonly mailFrom: string;
  readonly timeouts?: SmtpTimeouts;
};

const DEFAULT_TIMEOUTS: SmtpTimeouts = { connectMs: 10_000, socketMs: 30_000, attemptMs: 120_000 };
const MAX_CONNECTIONS = 10;
const MESSAGES_PER_CONNECTION = 1_000;
const MAX_WAITING = 2_000;
const BUSY_RETRY_MS = 1_000;

/**
 * Delivers e-mail to an SMTP server over a pool of at most ten connections, for which environments take
 * turns. `sent` means that the
 * server took it. Throws at once when the URL or the sender cannot be used.
 */
export function createSmtpProvider(options: SmtpOptions): Provider {
  if (!URL.canParse(options.url) || !/^smtps?:\/\/[^/?#]/.test(options.url)) {
    throw new Error(
      'BELFRY_SMTP_URL is not an SMTP URL; it looks like smtp://user:password@host:587',
    );
  }
  const mailFrom = senderAddress(options.mailFrom);
  const { connectMs, socketMs, attemptMs } = options.timeouts ?? DEFAULT_TIMEOUTS;
  const transport = createTransport({
    pool: true,
    url: options.url,
    maxConnections: MAX_CONNECTIONS,
    maxMessages: MESSAGES_PER_CONNECTION,
    // Only for a kept connection that the server had closed meanwhile.
    maxRequeues: 2,
    connectionTimeout: connectMs,
    greetingTimeout: connectMs,
    dnsTimeout: connectMs,
    socketTimeout: socketMs,
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  const connections = createFairGate({
    places: MAX_CONNECTIONS,
    maxWaiting: MAX_WAITING,
    keepsHalfFree: false,
  });
  const underWay = new Set<Promise<DeliveryOutcome>>();
  let closed = false;

  async function send(
    mail: SmtpMail,
    environmentId: number,
    signal: AbortSignal,
  ): Promise<DeliveryOutcome> {
    const limit = limitTime(attemptMs, signal);
    try {
      return await sendInTurn(mail, environmentId, limit);
    } finally {
      limit.end();
    }
  }

  async function sendInTurn(
    { to, mail }: SmtpMail,
    environmentId: number,
    limit: TimeLimit,
  ): Promise<DeliveryOutcome> {
    const turn = await enterGate(connections, environmentId, limit.signal);
    if (turn === 'full') {
      const reason = 'as many mails of this environment wait for a connection as may';
      return { kind: 'retry', code: 'smtp_busy', afterMs: BUSY_RETRY_MS, detail: { reason } };
    }
    if (turn === 'aborted') return limit.isOver() ? late() : aborted();
    try {
      if (closed) return aborted();
      const info = await transport.sendMail({ ...mail, signal: limit.signal });
      if (info.rejected.includes(to)) {
        return outcomeOfSmtpError(Object.assign(new Error('Recipient refused'), info), to);
      }
      const refusedCopies = info.rejected.length === 0 ? {} : { refused_copies: info.rejected };
      return { kind: 'sent', detail: { response: info.response.slice(0, 500), ...refusedCopies } };
    } catch (error) {
      if (closed) return aborted();
      if (limit.isOver()) return late();
      return limit.signal.aborted ? aborted() : outcomeOfSmtpError(error, to);
    } finally {
      connections.leave(environmentId);
    }
  }

  function late(): DeliveryOutcome {
    const reason = `not done within ${attemptMs / 1000} s`;
    return { kind: 'retry', code: 'smtp_timeout', detail: { reason } };
  }

  async function deliver(message: OutgoingMessage, signal: AbortSignal): Promise<DeliveryOutcome> {
    const mail = smtpMail(message, mailFrom);
    if ('kind' in mail) return mail;
    if (signal.aborted || closed) return aborted();
    const sending = send(mail, message.environmentId, signal);
    underWay.add(sending);
    try {
      return await sending;
    } finally {
      underWay.delete(sending);
    }
  }

  return {
    name: 'smtp',
    deliver,
    close: async () => {
      closed = true;
      transport.close();
      await Promise.allSettled(underWay);
    },
  };
}

function aborted(): DeliveryOutcome {
  return { kind: 'retry', code: 'delivery_aborted', detail: { reason: 'stopped by Belfry' } };
}

function senderAddress(text: string): EmailAddress {
  const address = singleEmailAddress(text);
  if (address !== undefined) return address;
  throw new Error(
    `The mail sender "${text}" is not one e-mail address; it looks like Name <name@example.com>`,
  );
}
