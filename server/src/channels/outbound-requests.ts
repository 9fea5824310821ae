import { Agent, type Dispatcher } from 'undici';
import type { Clock } from '../lib/clock.ts';
import type { JsonObject } from '../lib/json.ts';
import { limitTime } from '../lib/time-limit.ts';
import { createConnector, PrivateAddressError } from './public-connector.ts';
import { webhookRequest } from './webhook-request.ts';
import { webhookSignature } from './webhook-signature.ts';

export type OutboundRequest = {
  /** `method`, `url`, `headers`, `query_params`, `body`, as an http step renders them. */
  readonly content: JsonObject;
  /** For connecting, sending and the whole answer together. */
  readonly timeoutMs: number;
  readonly maxBytes: number;
  readonly idempotencyKey: string;
  /** What the request is signed with, in `x-knock-signature`; absent: not at all. */
  readonly signingKey?: string;
};

/** Whatever was answered; or why nothing was, and whether asking again may help. */
export type OutboundAnswer =
  | { readonly status: number; readonly body: string }
  | { readonly failed: string; readonly again: boolean };

export type OutboundRequests = {
  readonly send: (request: OutboundRequest) => Promise<OutboundAnswer>;
  readonly close: () => Promise<void>;
};

const CONNECT_TIMEOUT_MS = 10_000;
const MAX_ORIGINS = 10_000;

/**
 * HTTP requests whose answers are wanted. They reach what webhooks may reach, follow no redirect, and read no more than
 * they are told. As many are under way as the caller begins: an origin that hangs keeps nobody waiting.
 */
export function createOutboundRequests(options: {
  readonly allowPrivate: boolean;
  readonly clock: Clock;
}): OutboundRequests {
  const { allowPrivate, clock } = options;
  const agent = new Agent({
    connect: createConnector({ allowPrivate, timeoutMs: CONNECT_TIMEOUT_MS }),
    maxOrigins: MAX_ORIGINS,
    pipelining: 1,
    maxHeaderSize: 16_384,
  });
  return {
    send: async ({ content, timeoutMs, maxBytes, idempotencyKey, signingKey }) => {
      const parsed = webhookRequest(content, allowPrivate);
      if ('code' in parsed) return { failed: parsed.reason, again: false };
      const { method, url, headers, body } = parsed.request;
      const limit = limitTime(timeoutMs);
      try {
        const response = await agent.request({
          origin: url.origin,
          path: url.pathname + url.search,
          method,
          headers: {
            'user-agent': 'Belfry',
            ...headers,
            'idempotency-key': idempotencyKey,
            ...(signingKey === undefined
              ? {}
              : { 'x-knock-signature': webhookSignature(signingKey, clock.now(), body) }),
          },
          body: body === '' ? null : body,
          signal: limit.signal,
        });
        const text = await readAtMost(response.body, maxBytes);
        if (text === undefined) {
          return { failed: `the answer has more than ${maxBytes} bytes`, again: false };
        }
        return { status: response.statusCode, body: text };
      } catch (error) {
        if (limit.isOver()) {
          return { failed: `no whole answer within ${timeoutMs / 1000} s`, again: true };
        }
        if (error instanceof PrivateAddressError) return { failed: error.message, again: false };
        const reason = error instanceof Error ? error.message : String(error);
        return { failed: reason.slice(0, 500) || 'the connection failed', again: true };
      } finally {
        limit.end();
      }
    },
    close: () => agent.destroy(),
  };
}

/** The body as text; undefined when it is longer. */
async function readAtMost(
  body: Dispatcher.ResponseData['body'],
  maxBytes: number,
): Promise<string | undefined> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of body) {
    size += part.length;
    // Leaving the loop destroys the body, and the connection with it.
    if (size > maxBytes) return undefined;
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}
