import type { FastifyRequest } from 'fastify';
import type { Access, ServiceAccess } from '../accounts/access.ts';
import type { By } from '../accounts/audit.ts';
import {
  type Capability,
  permitsOn,
  permitsOwn,
  type TenantScope,
  tenantScope,
} from '../accounts/user-token.ts';
import type { Environment, EnvironmentContext } from '../context.ts';
import { findAccountEnvironment } from '../control/find-account-environment.ts';
import { BelfryError } from '../lib/errors.ts';
import { type RecipientKey, USERS } from '../recipients/reference.ts';
import { wrongKind } from './authentication.ts';
import type { App } from './route.ts';
import type { Services } from './services.ts';

/**
 * Which keys open a route. The default is `secret`, so a route that says nothing is closed.
 * `public`: a secret key, or a public key with the user token that the environment asks for.
 * `granted`: the same, but the route asks `requireGrant` what the token allows.
 */
export type AccessRule = 'none' | 'secret' | 'public' | 'granted' | 'service' | 'operator';

declare module 'fastify' {
  interface FastifyContextConfig {
    access?: AccessRule;
    /** What a user's token must allow. A `public` route without it is closed to tokens with explicit grants. */
    capability?: Capability;
  }
  interface FastifyRequest {
    /** Set by the access hook; absent on routes without access control. */
    access: Access | undefined;
  }
}

/** Checks every request's key before its body is read. */
export function registerAccess(app: App, services: Services): void {
  app.decorateRequest('access', undefined);
  app.addHook('onRequest', async (request) => {
    if (request.is404) return;
    refuseNul(request.url);
    const rule = request.routeOptions.config.access ?? 'secret';
    if (rule === 'none') return;
    request.access = await authorise(services, request, rule);
  });
}

async function authorise(
  services: Services,
  request: FastifyRequest,
  rule: Exclude<AccessRule, 'none'>,
): Promise<Access> {
  const { authentication } = services;
  const key = bearerKey(request.headers.authorization);
  if (rule === 'operator') return authentication.authenticateOperator(key);
  if (rule === 'service') return authentication.authenticateServiceToken(key);
  const access = await authentication.authenticateKey(key);
  if (access.kind !== 'secret' && access.kind !== 'public') {
    throw wrongKind(access, 'an API key of an environment (sk_...)');
  }
  refuseUnknownBranch(request.headers['x-knock-branch']);
  if (access.kind === 'secret') return access;
  if (rule === 'secret') throw wrongKind(access, 'a secret key (sk_...)');
  const token = await authentication.authenticateUser(
    access.environment,
    pathUser(request.params),
    single(request.headers['x-knock-user-token']),
  );
  if (!token) return access;
  const { capability } = request.routeOptions.config;
  if (rule === 'public' && token.isExplicit) {
    if (capability === undefined || !permitsOwn(token, capability)) throw notGranted(capability);
  }
  return { ...access, userId: token.userId, token };
}

/**
 * Throws unless the caller may do this to the recipient: a secret key may, a public key may with the user's own things,
 * and with an object or a tenant only as the user token grants it.
 */
export function requireGrant(
  { access }: Pick<FastifyRequest, 'access'>,
  recipient: RecipientKey,
  capability: Capability,
): void {
  if (access?.kind !== 'public') return;
  const { token } = access;
  if (recipient.collection === USERS) {
    if (token === undefined) return;
    if (token.userId === recipient.id && permitsOwn(token, capability)) return;
  } else if (token && permitsOn(token, recipient, capability)) {
    return;
  }
  throw notGranted(capability, recipient);
}

/** For which tenants a user's token allows this; undefined: for all. */
export function tenantScopeOf(
  { access }: Pick<FastifyRequest, 'access'>,
  capability: Capability,
): TenantScope | undefined {
  return access?.kind === 'public' && access.token
    ? tenantScope(access.token, capability)
    : undefined;
}

/** The 403 of a user token that does not allow what was asked. */
export function notGranted(capability: Capability | undefined, on?: RecipientKey): BelfryError {
  const wanted = capability === undefined ? 'this endpoint' : JSON.stringify(capability);
  const place = on === undefined ? '' : ` on ${JSON.stringify(on.id)} of ${on.collection}`;
  return new BelfryError(
    'authorization',
    `No user token grants ${wanted}${place}; sign one that does, or use a secret key`,
  );
}

/** The key in an `Authorization: Bearer ...` header. */
function bearerKey(header: string | undefined): string {
  if (!header) {
    throw new BelfryError(
      'api_key_missing',
      'No valid API key provided: send Authorization: Bearer <key>',
    );
  }
  const match = /^bearer +(.+)$/i.exec(header);
  const key = match?.[1]?.trim();
  if (!key) {
    throw new BelfryError(
      'authentication_required',
      'The Authorization header must have the form: Bearer <key>',
    );
  }
  return key;
}

/** What the verbs of a route need: the environment that the key belongs to. */
export function environmentContext(
  services: Services,
  request: FastifyRequest,
): EnvironmentContext {
  const access = request.access;
  if (access?.kind !== 'secret' && access?.kind !== 'public') {
    throw new Error(
      `${request.routeOptions.url ?? ''} has no environment: its rule is not for keys`,
    );
  }
  return {
    db: services.budgets.database.of(access.environment.accountId),
    clock: services.clock,
    log: services.log,
    environment: access.environment,
  };
}

export function serviceOf(request: FastifyRequest): ServiceAccess {
  if (request.access?.kind === 'service') return request.access;
  throw new Error(`${request.routeOptions.url ?? ''} is not restricted to service tokens`);
}

/** Who changes something of the account, for the audit log: the token by its id, with the name that it was given. */
export function serviceBy(request: FastifyRequest): By {
  const { tokenId, name } = serviceOf(request);
  const token = `service_${tokenId}`;
  return { author: name === '' ? token : `${name} (${token})`, reason: '' };
}

/** An environment of the service token's account: by its slug, or `development`. */
export async function requireEnvironment(
  services: Services,
  request: FastifyRequest,
  slug = 'development',
): Promise<Environment> {
  const { accountId } = serviceOf(request);
  const environment = await findAccountEnvironment(services.db, accountId, slug);
  if (environment) return environment;
  throw new BelfryError(
    'resource_missing',
    `The account has no environment ${JSON.stringify(slug.slice(0, 200))}`,
  );
}

/** What the verbs of a service token's route need, in the environment that its query names; statements count as the account’s. */
export async function serviceContext(
  services: Services,
  request: FastifyRequest<{ Querystring: { environment?: string } }>,
): Promise<EnvironmentContext> {
  const environment = await requireEnvironment(services, request, request.query.environment);
  return {
    db: services.budgets.database.of(environment.accountId),
    clock: services.clock,
    log: services.log,
    environment,
  };
}

function pathUser(params: unknown): string | undefined {
  if (typeof params !== 'object' || params === null || !('user_id' in params)) return undefined;
  return typeof params.user_id === 'string' ? params.user_id : undefined;
}

function single(header: string | string[] | undefined): string | undefined {
  return Array.isArray(header) ? header[0] : header;
}

function refuseUnknownBranch(header: string | string[] | undefined): void {
  const branch = single(header);
  if (branch === undefined || branch === '' || branch === 'main') return;
  throw new BelfryError(
    'branch_missing',
    `There is no branch ${JSON.stringify(branch.slice(0, 100))} here; leave X-Knock-Branch out or set it to main`,
  );
}

/** PostgreSQL text cannot hold NUL, so no id, filter or cursor in the URL may. */
function refuseNul(url: string): void {
  if (url.includes('%00')) {
    throw new BelfryError('invalid_params', 'The URL contains a NUL character (%00)', {
      fields: [{ field: 'url', message: 'contains a NUL character (%00)' }],
    });
  }
}
