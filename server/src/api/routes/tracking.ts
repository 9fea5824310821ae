import type { FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { CLICK_PATH, OPEN_PATH, SHORT_PATH, type Tracked } from '../../feed/link-tokens.ts';
import { findShortLink, recordEngagement } from '../../feed/track-engagement.ts';
import { BelfryError } from '../../lib/errors.ts';
import type { App } from '../route.ts';
import type { Services } from '../services.ts';

/** How long somebody who clicks waits for the click to be recorded; it is recorded later then. */
const PATIENCE_MS = 1_000;
/** Recordings under way at most; more are not recorded, so that a slow database stops nobody's links. */
const MAX_UNDER_WAY = 500;
const SHORT_KEY = /^[\w-]{10}$/;

/** Programs that look at links or pictures before anybody opens them. */
const MACHINE =
  /bot\b|bots?[/ ;)]|crawl|spider|slurp|scan|preview|prefetch|facebookexternalhit|whatsapp|slack-imgproxy|headless|curl\/|wget\/|python-|go-http-client|barracuda|mimecast|proofpoint|safelinks/i;

const headers = {
  'cache-control': 'no-store',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-robots-tag': 'noindex, nofollow',
} as const;

/** A PNG of one transparent pixel. */
const PIXEL = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==',
  'base64',
);

/**
 * Where tracked links and pictures of messages lead. The target comes out of the authenticated token, or is kept: a
 * token that was not made here, or is changed, is answered 404 and leads nowhere.
 */
export function trackingRoutes(app: App, services: Services): void {
  const schema = { hide: true, params: Type.Object({ token: Type.String() }) };
  const method: ('GET' | 'HEAD')[] = ['GET', 'HEAD'];
  const options = { method, config: { access: 'none' }, schema } as const;
  let underWay = 0;

  const record = async (request: FastifyRequest, tracked: Tracked): Promise<void> => {
    if (isMachine(request) || underWay >= MAX_UNDER_WAY) return;
    underWay += 1;
    const recorded = recordEngagement(services, tracked)
      .catch((error) => services.log.warn({ err: error }, 'a click or an opening was not recorded'))
      .finally(() => {
        underWay -= 1;
      });
    await orAfter(PATIENCE_MS, recorded);
  };

  const redirect = async (
    request: FastifyRequest,
    reply: FastifyReply,
    tracked: Tracked | undefined,
  ): Promise<FastifyReply> => {
    if (tracked?.url === undefined) throw unknownLink();
    await record(request, tracked);
    return reply.code(302).headers(headers).header('location', new URL(tracked.url).href).send();
  };

  app.route({
    ...options,
    url: `${CLICK_PATH}/:token`,
    handler: async (request, reply) =>
      redirect(request, reply, services.linkTokens?.read(request.params.token)),
  });

  app.route({
    ...options,
    url: `${SHORT_PATH}/:token`,
    handler: async (request, reply) => {
      const { token } = request.params;
      const found = SHORT_KEY.test(token) ? await findShortLink(services.db, token) : undefined;
      return redirect(request, reply, found);
    },
  });

  app.route({
    ...options,
    url: `${OPEN_PATH}/:token`,
    handler: async (request, reply) => {
      const tracked = services.linkTokens?.read(request.params.token);
      if (!tracked || tracked.url !== undefined) throw unknownLink();
      await record(request, tracked);
      return reply.headers({ ...headers, 'content-type': 'image/png' }).send(PIXEL);
    },
  });
}

function unknownLink(): BelfryError {
  return new BelfryError(
    'resource_missing',
    'This link is not one of ours, or not whole; open it from the message again',
  );
}

/** Asks without reading: HEAD, a browser that prefetches, a scanner that says so. */
function isMachine({ method, headers: sent }: FastifyRequest): boolean {
  if (method === 'HEAD') return true;
  const purposes = [sent.purpose, sent['x-purpose'], sent['sec-purpose'], sent['x-moz']];
  if (purposes.some((purpose) => /prefetch|preview/i.test(String(purpose)))) return true;
  const agent = sent['user-agent'] ?? '';
  return agent === '' || MACHINE.test(agent);
}

async function orAfter(waitMs: number, done: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const patience = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, waitMs);
  });
  try {
    await Promise.race([done, patience]);
  } finally {
    clearTimeout(timer);
  }
}
