import type { App } from './route.ts';

const EXPOSED =
  'x-request-id, retry-after, idempotent-replayed, original-x-request-id, x-ratelimited-message_ids';
const ALLOWED_HEADERS =
  'authorization, content-type, idempotency-key, x-knock-branch, x-knock-client, x-knock-user-token';
const ALLOWED_METHODS = 'GET, POST, PUT, PATCH, DELETE, OPTIONS';
const DAY_SECONDS = '86400';

/**
 * Browsers may call the APIs from any origin: access rests on the key, never on cookies.
 * Only there; the message viewer and the operator's endpoints are for pages of our own origin.
 */
export function registerCors(app: App): void {
  app.addHook('onRequest', (request, reply, done) => {
    const origin = request.headers.origin;
    if (origin === undefined || !isShared(request.url)) {
      done();
      return;
    }
    reply.header('access-control-allow-origin', '*');
    reply.header('access-control-expose-headers', EXPOSED);
    if (request.method !== 'OPTIONS') {
      done();
      return;
    }
    const asked = request.headers['access-control-request-headers'];
    reply
      .header('access-control-allow-methods', ALLOWED_METHODS)
      .header('access-control-allow-headers', allowedHeaders(asked))
      .header('access-control-max-age', DAY_SECONDS)
      .status(204)
      .send();
  });
}

function isShared(url: string): boolean {
  return url.startsWith('/v1/') || url.startsWith('/control/');
}

/** SDKs add headers of their own (`x-stainless-...`), so a well-formed wish is granted. */
function allowedHeaders(asked: string | undefined): string {
  return asked !== undefined && asked.length <= 2_000 && /^[\w!#$%&'*+.^`|~, -]+$/.test(asked)
    ? asked
    : ALLOWED_HEADERS;
}
