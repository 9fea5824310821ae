import { createHmac } from 'node:crypto';
import { webhookSignature } from '../channels/webhook-signature.ts';

export type Signable = {
  /** `webhook-id`. */
  readonly id: string;
  readonly type: string;
  /** The environment's public id. */
  readonly environmentId: string;
  readonly body: string;
};

/**
 * The headers of a request to a webhook: `x-knock-event`, `x-knock-environment-id` and `x-knock-signature`
 * (`t=<ms>,s=<base64 of HMAC-SHA256(secret, "<t>.<body>")>`), and those of Standard Webhooks: `webhook-id`,
 * `webhook-timestamp` (seconds) and `webhook-signature`, one `v1,<base64 of HMAC-SHA256(key, "<id>.<timestamp>.<body>")>`
 * for each secret, whose key is what follows `whsec_`, decoded. The first secret is the current one.
 * https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
 */
export function signedHeaders(
  { id, type, environmentId, body }: Signable,
  secrets: readonly [string, ...string[]],
  nowMs: number,
): Record<string, string> {
  const timestamp = Math.floor(nowMs / 1000);
  return {
    'content-type': 'application/json',
    'user-agent': 'Belfry',
    'x-knock-event': type,
    'x-knock-environment-id': environmentId,
    'x-knock-signature': webhookSignature(secrets[0], nowMs, body),
    'webhook-id': id,
    'webhook-timestamp': String(timestamp),
    'webhook-signature': secrets
      .map((secret) => `v1,${standardSignature(secret, `${id}.${timestamp}.${body}`)}`)
      .join(' '),
  };
}

function standardSignature(secret: string, signed: string): string {
  const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
  return createHmac('sha256', key).update(signed, 'utf8').digest('base64');
}
