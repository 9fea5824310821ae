import { Agent, type Dispatcher } from 'undici';
import { createConnector, PrivateAddressError } from '../channels/public-connector.ts';
import { retryAfterMs } from '../channels/retry-after.ts';
import type { Clock } from '../lib/clock.ts';
import { limitTime } from '../lib/time-limit.ts';

/** What an endpoint answered, or why it did not. */
export type Answer = {
  readonly isDelivered: boolean;
  /** 410: it says that nothing shall come any more. */
  readonly isGone: boolean;
  readonly status: number | null;
  /** In a sentence, of what was not delivered. */
  readonly error: string | null;
  readonly durationMs: number;
  /** How long it asks to be left alone. */
  readonly afterMs?: number;
};

export type Requests = {
  readonly post: (
    url: string,
    headers: Readonly<Record<string, string>>,
    body: string,
  ) => Promise<Answer>;
  readonly close: () => Promise<void>;
};

export const TIMEOUT_MS = 15_000;
const CONNECT_TIMEOUT_MS = 10_000;
const MAX_ORIGINS = 10_000;
const KEPT_CHARACTERS = 500;
const KEPT_BYTES = 2_048;

/**
 * Requests to webhooks. They reach what webhook steps may reach and follow no redirect; an answer counts when its status
 * is there, whatever comes of its body. As many are under way as the caller begins.
 */
export function createRequests(options: {
  readonly allowPrivate: boolean;
  readonly clock: Clock;
  readonly timeoutMs?: number;
}): Requests {
  const { allowPrivate, clock, timeoutMs = TIMEOUT_MS } = options;
  const agent = new Agent({
    connect: createConnector({ allowPrivate, timeoutMs: Math.min(CONNECT_TIMEOUT_MS, timeoutMs) }),
    maxOrigins: MAX_ORIGINS,
    pipelining: 1,
    maxHeaderSize: 16_384,
  });
  return {
    post: async (url, headers, body) => {
      const startedMs = clock.now();
      const limit = limitTime(timeoutMs);
      const failed = (error: string): Answer => ({
        isDelivered: false,
        isGone: false,
        status: null,
        error: clean(error) || 'the connection failed',
        durationMs: clock.now() - startedMs,
      });
      try {
        const { origin, pathname, search, protocol } = new URL(url);
        // It was checked when it was kept; since then the server may have been told otherwise.
        if (protocol !== 'https:' && !allowPrivate) return failed('the url is not https');
        const response = await agent.request({
          origin,
          path: pathname + search,
          method: 'POST',
          headers: { ...headers },
          body,
          signal: limit.signal,
        });
        const text = await readStart(response.body);
        return answerOf(response, text, clock.now(), clock.now() - startedMs);
      } catch (error) {
        if (limit.isOver()) return failed(`no answer within ${timeoutMs / 1000} s`);
        if (error instanceof PrivateAddressError) return failed(error.message);
        return failed(error instanceof Error ? error.message : String(error));
      } finally {
        limit.end();
      }
    },
    close: () => agent.destroy(),
  };
}

function answerOf(
  { statusCode: status, headers }: Dispatcher.ResponseData,
  text: string,
  nowMs: number,
  durationMs: number,
): Answer {
  const isDelivered = status >= 200 && status < 300;
  const afterMs = retryAfterMs(headers['retry-after'], nowMs);
  const redirected = status >= 300 && status < 400 ? ', and redirects are not followed' : '';
  return {
    isDelivered,
    isGone: status === 410,
    status,
    error: isDelivered ? null : clean(`answered ${status}${redirected}${text && `: ${text}`}`),
    durationMs,
    ...(isDelivered || afterMs === undefined ? {} : { afterMs }),
  };
}

/** The beginning of a body. The rest, and trouble with it, changes nothing: the status has been said. */
async function readStart(body: Dispatcher.ResponseData['body']): Promise<string> {
  const parts: Buffer[] = [];
  let size = 0;
  try {
    for await (const part of body) {
      parts.push(part);
      size += part.length;
      if (size > KEPT_BYTES) break;
    }
  } catch {
    // See above.
  }
  return Buffer.concat(parts).subarray(0, KEPT_BYTES).toString('utf8');
}

// PostgreSQL's text has no NUL, and its jsonb no half of a surrogate pair.
function clean(text: string): string {
  return text.slice(0, KEPT_CHARACTERS).replaceAll('\0', '\uFFFD').toWellFormed();
}
