import { createHmac } from 'node:crypto';

/**
 * The value of `x-webhook-signature`: `t=<ms>,s=<base64 of HMAC-SHA256(secret, "<t>.<raw body>")>`.
 * The receiver computes the same over the bytes that it got, compares in constant time, and
 * refuses a `t` that is too old.
 */
export function webhookSignature(secret: string, nowMs: number, body: string): string {
  const mac = createHmac('sha256', secret).update(`${nowMs}.${body}`, 'utf8').digest('base64');
  return `t=${nowMs},s=${mac}`;
}
