import type { FastifyRequest } from 'fastify';
import { type Debt, NO_DEBT, repaid, waitMs } from '../lib/debt.ts';
import { createLruCache } from '../lib/lru.ts';

const BUCKETS = 50_000;
const BUCKET_MS = 60_000;

/** Requests a second of Knock's tiers 1 to 5, for each endpoint. */
const tierRates = [1, 5, 60, 200, 1_000] as const;

type Tier = 1 | 2 | 3 | 4 | 5;

/** The first that fits a `METHOD /path` holds; what reads has tier 4 otherwise, what writes tier 3. */
const tiers: readonly (readonly [RegExp, Tier])[] = [
  [/^POST \/v1\/workflows\//, 5],
  [/^POST \/v1\/channels\/[^/]+\/messages\/bulk\//, 2],
  [/^POST \/v1\/[^/]+(?:\/[^/]+)?\/bulk\//, 1],
  [/^POST \/v1\/messages\/batch\//, 3],
  [/^(?:PUT|DELETE) \/v1\/messages\//, 2],
  [/^GET \/v1\/messages\/[^/]+\/(?:events|delivery_logs)$/, 3],
  [/^GET \/v1\/users\/[^/]+\/feeds\/[^/]+$/, 2],
  [/^GET \/v1\/workflow_recipient_runs/, 2],
  [/^DELETE \/v1\/(?:users|tenants)\/[^/]+$/, 2],
  [/^POST \/v1\/users\/[^/]+\/merge$/, 2],
];

/** The tier of an endpoint (`GET`, `/v1/users/:user_id`); undefined for what is not of the public API. */
export function tierOf(method: string, path: string): Tier | undefined {
  if (!path.startsWith('/v1/')) return undefined;
  const endpoint = `${method} ${path}`;
  const found = tiers.find(([pattern]) => pattern.test(endpoint));
  return found?.[1] ?? (method === 'GET' ? 4 : 3);
}

/**
 * Knock's rate limits: each endpoint has a tier, and an environment, or a user who signed in, its requests
 * a second; the list of a feed counts by its user always.
 */
export type RateTiers = {
  /** Milliseconds to wait; 0: the request is counted and comes in. */
  readonly enter: (request: FastifyRequest, nowMs: number) => number;
};

export function createRateTiers(): RateTiers {
  const buckets = createLruCache<Debt>(BUCKETS, BUCKET_MS);
  const byEndpoint = new Map<string, number>();

  const rateOf = (endpoint: string, method: string, path: string): number => {
    const known = byEndpoint.get(endpoint);
    if (known !== undefined) return known;
    const tier = tierOf(method, path);
    const rate = tier === undefined ? 0 : (tierRates[tier - 1] ?? 0);
    // As many as there are routes.
    byEndpoint.set(endpoint, rate);
    return rate;
  };

  return {
    enter: (request, nowMs) => {
      const { access, routeOptions, method } = request;
      const path = routeOptions.url;
      if ((access?.kind !== 'secret' && access?.kind !== 'public') || path === undefined) return 0;
      const endpoint = `${method} ${path}`;
      const rate = rateOf(endpoint, method, path);
      if (rate === 0) return 0;
      const user = userOf(request, endpoint);
      const key = `${access.environment.id} ${endpoint} ${user ?? ''}`;
      const debt = repaid(buckets.get(key, nowMs) ?? NO_DEBT, rate, nowMs);
      const wait = waitMs(debt, rate, rate, 1);
      if (wait > 0) return wait;
      buckets.set(key, { owed: debt.owed + 1, atMs: nowMs }, nowMs);
      return 0;
    },
  };
}

function userOf({ access, params }: FastifyRequest, endpoint: string): string | undefined {
  if (access?.kind === 'public' && access.userId !== undefined) return access.userId;
  if (endpoint !== 'GET /v1/users/:user_id/feeds/:id') return undefined;
  const { user_id: userId } = params as { readonly user_id?: string };
  return userId;
}
