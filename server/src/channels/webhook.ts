import { Agent, type Dispatcher } from 'undici';
import type { Clock } from '../lib/clock.ts';
import { createFairGate, enterGate, type FairGate } from '../lib/fair-gate.ts';
import type { JsonObject } from '../lib/json.ts';
import { limitTime } from '../lib/time-limit.ts';
import type { DeliveryOutcome, OutgoingMessage, Provider } from './provider.ts';
import { createConnector, PrivateAddressError } from './public-connector.ts';
import { retryAfterMs } from './retry-after.ts';
import { type WebhookRequest, webhookRequest } from './webhook-request.ts';
import { webhookSignature } from './webhook-signature.ts';

export type WebhookOptions = {
  /** Also allows http URLs. */
  readonly allowPrivate: boolean;
  readonly signingSecret: (environmentId: number) => string;
  readonly clock: Clock;
  /** For connecting, sending and the answer's headers together; 50 s unless told. */
  readonly timeoutMs?: number;
};

const CONNECT_TIMEOUT_MS = 10_000;
const BODY_TIMEOUT_MS = 5_000;
const KEPT_BODY_BYTES = 1024;
const CONNECTIONS_PER_ORIGIN = 16;
const WAITING_PER_ORIGIN = 2_000;
const MAX_ORIGINS = 10_000;

/** Delivers a message as a signed HTTP request to where the step says. Follows no redirect. */
export function createWebhookProvider(options: WebhookOptions): Provider {
  const { allowPrivate, signingSecret, clock, timeoutMs = 50_000 } = options;
  const agent = new Agent({
    connect: createConnector({ allowPrivate, timeoutMs: Math.min(CONNECT_TIMEOUT_MS, timeoutMs) }),
    connections: CONNECTIONS_PER_ORIGIN,
    maxOrigins: MAX_ORIGINS,
    pipelining: 1,
    headersTimeout: timeoutMs,
    bodyTimeout: BODY_TIMEOUT_MS,
    maxHeaderSize: 16_384,
  });

  // An entry for each origin that is being asked.
  const origins = new Map<string, { readonly gate: FairGate; requests: number }>();

  /** Environments that send to the same origin take turns for its connections. */
  async function sendInTurn(
    message: OutgoingMessage,
    request: WebhookRequest,
    signal: AbortSignal,
  ): Promise<DeliveryOutcome> {
    const { origin } = request.url;
    const { environmentId } = message;
    const entry = origins.get(origin) ?? {
      gate: createFairGate({
        places: CONNECTIONS_PER_ORIGIN,
        maxWaiting: WAITING_PER_ORIGIN,
        keepsHalfFree: false,
      }),
      requests: 0,
    };
    origins.set(origin, entry);
    entry.requests += 1;
    try {
      const turn = await enterGate(entry.gate, environmentId, signal);
      if (turn === 'aborted') return retry('delivery_aborted', {}, 'stopped by Belfry');
      if (turn === 'full') {
        return retry('webhook_busy', {}, `as many requests wait for ${origin} as may`);
      }
      try {
        return await send(message, request, signal);
      } finally {
        entry.gate.leave(environmentId);
      }
    } finally {
      entry.requests -= 1;
      if (entry.requests === 0) origins.delete(origin);
    }
  }

  async function send(
    message: OutgoingMessage,
    request: WebhookRequest,
    signal: AbortSignal,
  ): Promise<DeliveryOutcome> {
    const startedMs = clock.now();
    const about = { method: request.method, origin: request.url.origin };
    const limit = limitTime(timeoutMs, signal);
    try {
      const response = await agent.request({
        origin: request.url.origin,
        path: request.url.pathname + request.url.search,
        method: request.method,
        headers: {
          'user-agent': 'Belfry',
          ...request.headers,
          'idempotency-key': message.id,
          'x-webhook-signature': webhookSignature(
            signingSecret(message.environmentId),
            startedMs,
            request.body,
          ),
        },
        body: request.body === '' ? null : request.body,
        signal: limit.signal,
      });
      const body = await readStart(response.body);
      return outcomeOfResponse(response, clock.now(), {
        ...about,
        status: response.statusCode,
        response_body: body,
        duration_ms: clock.now() - startedMs,
      });
    } catch (error) {
      const detail = { ...about, duration_ms: clock.now() - startedMs };
      if (limit.isOver()) {
        return retry('webhook_timeout', detail, `no answer within ${timeoutMs / 1000} s`);
      }
      if (signal.aborted) return retry('delivery_aborted', detail, 'stopped by Belfry');
      return outcomeOfError(error, detail);
    } finally {
      limit.end();
    }
  }

  return {
    name: 'webhook',
    deliver: async (message, signal) => {
      const parsed = webhookRequest(message.content, allowPrivate);
      if ('code' in parsed) {
        return { kind: 'rejected', code: parsed.code, detail: { reason: parsed.reason } };
      }
      if (signal.aborted) return retry('delivery_aborted', {}, 'stopped by Belfry');
      return sendInTurn(message, parsed.request, signal);
    },
    // Whoever still waits for an answer gets `retry`; the caller drained before, if it wanted to.
    close: () => agent.destroy(),
  };
}

function outcomeOfResponse(
  response: Dispatcher.ResponseData,
  nowMs: number,
  detail: JsonObject,
): DeliveryOutcome {
  const status = response.statusCode;
  if (status >= 200 && status < 300) return { kind: 'delivered', detail };
  if (status >= 300 && status < 400) {
    const reason = `answered ${status}, a redirect; redirects are not followed, use the final url`;
    return { kind: 'rejected', code: 'webhook_redirected', detail: { ...detail, reason } };
  }
  if (status >= 500 || status === 408 || status === 425 || status === 429) {
    const afterMs = retryAfterMs(response.headers['retry-after'], nowMs);
    const code = status === 429 ? 'webhook_throttled' : 'webhook_failed';
    const reason = `answered ${status}`;
    return {
      kind: 'retry',
      code,
      detail: { ...detail, reason },
      ...(afterMs === undefined ? {} : { afterMs }),
    };
  }
  const reason = `answered ${status}, which trying again would not change`;
  return { kind: 'rejected', code: 'webhook_refused', detail: { ...detail, reason } };
}

function outcomeOfError(error: unknown, detail: JsonObject): DeliveryOutcome {
  if (error instanceof PrivateAddressError) {
    return {
      kind: 'rejected',
      code: error.code,
      detail: { ...detail, reason: error.message },
    };
  }
  const code = errorCode(error);
  const reason = error instanceof Error && error.message !== '' ? error.message : code;
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') {
    return retry('webhook_host_not_found', detail, reason);
  }
  if (code === 'UND_ERR_CONNECT_TIMEOUT' || code === 'UND_ERR_HEADERS_TIMEOUT') {
    return retry('webhook_timeout', detail, reason);
  }
  if (code.includes('CERT') || code.includes('TLS') || code.includes('SSL')) {
    return retry('webhook_tls_failed', detail, reason);
  }
  return retry('webhook_unreachable', detail, reason);
}

function retry(code: string, detail: JsonObject, reason: string): DeliveryOutcome {
  return { kind: 'retry', code, detail: { ...detail, reason: reason.slice(0, 500) } };
}

function errorCode(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string'
    ? error.code
    : 'unknown';
}

/** The first kilobyte of a body as text. The rest, and trouble with it, changes no outcome. */
async function readStart(body: Dispatcher.ResponseData['body']): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of body) {
      chunks.push(chunk);
      size += chunk.length;
      if (size > KEPT_BODY_BYTES) break;
    }
  } catch {
    // The status has been said; what came of the body is kept.
  }
  // PostgreSQL's text has no NUL.
  return Buffer.concat(chunks)
    .subarray(0, KEPT_BODY_BYTES)
    .toString('utf8')
    .replaceAll('\0', '\uFFFD');
}
