import type { FastifyRequest } from 'fastify';
import type { Access } from '../accounts/access.ts';
import type { Caller } from '../budgets/accept.ts';
import { BelfryError } from '../lib/errors.ts';
import { createRateTiers } from './rate-tiers.ts';
import type { App } from './route.ts';
import type { Services } from './services.ts';

/** What a body of unknown length takes of the room for bodies while it is read. */
const UNKNOWN_BYTES = 1024 * 1024;

const BODIES_RETRY_MS = 1_000;
const QUEUE_RETRY_MS = 10_000;
/** Until whoever was refused for a full disk should try again. */
export const DISK_RETRY_MS = 5_000;

/** What a low disk refuses: whoever deletes is not kept from making room. */
export const WRITING_METHODS: ReadonlySet<string> = new Set(['POST', 'PUT', 'PATCH']);

/**
 * Decides, before a body is read and without asking anybody, whether its account may send it now. The server's own
 * requests are not asked: one account alone must not have to share with them.
 */
export function registerBudget(app: App, services: Services): void {
  const rateTiers = createRateTiers();
  app.addHook('onRequest', (request, reply, done) => {
    const caller = callerOf(request.access);
    if (!caller) {
      done();
      return;
    }
    const { budgets, clock, config } = services;
    const { accept, bodies } = budgets;
    const refuse = (error: BelfryError): void => {
      void budgets.pause.keepBack(caller.accountId).then(() => done(error));
    };
    if (services.disk?.isLow() && WRITING_METHODS.has(request.method)) {
      refuse(
        new BelfryError(
          'storage_full',
          'The disk of the database is nearly full; nothing was accepted, send the request again after Retry-After',
          { retryAfterMs: DISK_RETRY_MS, budget: 'disk' },
        ),
      );
      return;
    }
    if (isCanary(services, request)) {
      done();
      return;
    }
    if (config.rateLimits === 'knock') {
      const wait = rateTiers.enter(request, clock.now());
      if (wait > 0) {
        refuse(overBudget('tier', 'this endpoint has fewer requests a second', Math.ceil(wait)));
        return;
      }
    }
    const announced = announcedBytes(request);
    const bytes = announced ?? UNKNOWN_BYTES;
    const { accountId } = caller;
    const refusal = accept.enter(caller, announced ?? 0, clock.now());
    if (refusal) {
      const { budget, reason, retryAfterMs } = refusal;
      refuse(overBudget(budget, reason, retryAfterMs));
      return;
    }
    if (bytes > 0) {
      if (!bodies.take(accountId, bytes)) {
        refuse(
          overBudget(
            'body bytes',
            `${bodies.held(accountId)} bytes of this account are being read already`,
            BODIES_RETRY_MS,
          ),
        );
        return;
      }
      reply.raw.once('close', () => bodies.giveBack(accountId, bytes));
    }
    done();
  });
}

/** A trigger of an account whose queue is full is not even read. */
export function refuseQuarantined(services: Pick<Services, 'quarantine' | 'budgets'>) {
  const { quarantine } = services;
  return async (request: FastifyRequest): Promise<void> => {
    const caller = callerOf(request.access);
    if (!caller || !quarantine.refuses(caller.accountId)) return;
    await services.budgets.pause.keepBack(caller.accountId);
    throw overBudget('queue', 'the queue of this account is full', QUEUE_RETRY_MS);
  };
}

/** The 429 of a budget: nothing was accepted, and nothing of the request was looked at. */
export function overBudget(budget: string, reason: string, retryAfterMs: number): BelfryError {
  return new BelfryError(
    'rate_limited',
    `Too much at once: ${reason}; send the request again after Retry-After`,
    { retryAfterMs, budget },
  );
}

/** Whether the server sent it to itself. */
export function isCanary(
  { canary }: Pick<Services, 'canary'>,
  { access }: Pick<FastifyRequest, 'access'>,
): boolean {
  if (access?.kind !== 'secret') return false;
  return access.environment.accountId === canary?.()?.accountId();
}

/** Undefined for an operator, whom nothing limits, and for nobody. */
export function callerOf(access: Access | undefined): Caller | undefined {
  switch (access?.kind) {
    case 'secret':
    case 'public':
      return {
        accountId: access.environment.accountId,
        keyId: access.keyId,
        limits: access.limits,
      };
    case 'service':
      return { accountId: access.accountId };
    default:
      return undefined;
  }
}

/** Counts a body that was read for its account, where nobody had said how long it is. */
export function chargeBody(
  services: Pick<Services, 'budgets' | 'canary' | 'clock'>,
  request: FastifyRequest,
  bytes: number,
): void {
  const caller = callerOf(request.access);
  if (!caller || announcedBytes(request) !== undefined || isCanary(services, request)) return;
  services.budgets.accept.charge(caller, { bytes }, services.clock.now());
}

/** Undefined: there is a body, of unknown length. */
function announcedBytes({ headers }: FastifyRequest): number | undefined {
  const bytes = Number(headers['content-length'] ?? 0);
  if (bytes > 0) return bytes;
  return headers['transfer-encoding'] === undefined ? 0 : undefined;
}
