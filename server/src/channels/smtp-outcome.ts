import type { NodemailerError } from 'nodemailer';
import type { JsonObject } from '../lib/json.ts';
import type { DeliveryOutcome } from './provider.ts';
import type { ProviderHealth } from './with-breaker.ts';

/** Codes that say: the server cannot be used at all, whatever the message. */
const OUTAGES = new Set([
  'smtp_auth_failed',
  'smtp_host_not_found',
  'smtp_refuses_us',
  'smtp_timeout',
  'smtp_tls_failed',
  'smtp_unreachable',
]);

/** What an outcome of the SMTP provider says about the server. */
export function smtpHealth(outcome: DeliveryOutcome): ProviderHealth {
  if (outcome.kind === 'retry' && OUTAGES.has(outcome.code)) return 'outage';
  return outcome.kind === 'sent' || 'response_code' in outcome.detail ? 'answered' : 'unknown';
}

/** What a failed sending means for the message to `to`. */
export function outcomeOfSmtpError(error: unknown, to: string): DeliveryOutcome {
  const failure = (error instanceof Error ? error : new Error(String(error))) as NodemailerError;
  // With copies, what the server said to this recipient counts, not what it said last.
  const own = failure.rejectedErrors?.find((rejected) => rejected.recipient === to);
  return outcomeOfReply(own ?? failure);
}

function outcomeOfReply(error: NodemailerError): DeliveryOutcome {
  const detail = detailOf(error);
  const code = connectionCode(error);
  if (code !== undefined) return { kind: 'retry', code, detail };
  const reply = error.responseCode;
  const atRecipient = error.command === 'RCPT TO';
  if (reply === undefined) {
    // nodemailer itself refused: an address or an empty envelope, the same on every attempt.
    return error.code === 'EENVELOPE'
      ? { kind: 'bounced', code: 'email_address_invalid', detail }
      : { kind: 'retry', code: 'smtp_unreachable', detail };
  }
  if (reply >= 500 && reply !== 503) {
    return atRecipient && !isPolicy(error)
      ? { kind: 'bounced', code: 'smtp_recipient_refused', detail }
      : { kind: 'rejected', code: 'smtp_message_refused', detail };
  }
  const greylisted = atRecipient && (reply === 450 || reply === 451);
  return { kind: 'retry', code: greylisted ? 'smtp_greylisted' : 'smtp_deferred', detail };
}

/** The code of trouble that is not about this message, so that an operator can find its cause. */
function connectionCode(error: NodemailerError): string | undefined {
  const reply = error.responseCode;
  switch (error.code) {
    case 'EAUTH':
    case 'ENOAUTH':
    case 'EOAUTH2':
      return 'smtp_auth_failed';
    case 'ETIMEDOUT':
      return 'smtp_timeout';
    case 'EDNS':
      return 'smtp_host_not_found';
    case 'ETLS':
      return 'smtp_tls_failed';
    case 'ESOCKET':
      return /certificate|TLS|SSL/i.test(error.message) ? 'smtp_tls_failed' : 'smtp_unreachable';
    case 'ECONNECTION':
      return reply !== undefined && reply >= 500 ? 'smtp_refuses_us' : 'smtp_unreachable';
    case 'EPROTOCOL':
      return 'smtp_refuses_us';
    default:
      // 530: authentication required; 421: the server is closing, whichever command it hit.
      if (reply === 530 || reply === 535) return 'smtp_auth_failed';
      return reply === 421 ? 'smtp_unreachable' : undefined;
  }
}

/** 5.7.x (RFC 3463) is about permission, such as a relay that is denied; the address may be good. */
function isPolicy(error: NodemailerError): boolean {
  return /^5\d\d[ -]5\.7\./.test(error.response ?? '');
}

function detailOf(error: NodemailerError): JsonObject {
  return {
    reason: error.message.slice(0, 500),
    ...(error.command === undefined ? {} : { command: error.command }),
    ...(error.responseCode === undefined ? {} : { response_code: error.responseCode }),
    ...(error.response === undefined ? {} : { response: error.response.slice(0, 500) }),
  };
}
