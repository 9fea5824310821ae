import { type CryptoKey, errors, importSPKI, jwtVerify } from 'jose';
import {
  type Access,
  type FoundKey,
  findKey,
  findSigningKeys,
  type OperatorAccess,
  type ServiceAccess,
} from '../accounts/access.ts';
import { keyHash } from '../accounts/key.ts';
import { readGrants, type UserToken } from '../accounts/user-token.ts';
import type { Context, Environment } from '../context.ts';
import { BelfryError } from '../lib/errors.ts';
import { createLruCache } from '../lib/lru.ts';

/**
 * Who is asking. Keys are looked up by their sha-256, so no comparison depends on a secret's
 * characters. Answers, refusals too, are remembered for 5 seconds; `forget` ends that at once. While the
 * database cannot be asked, whatever it last called valid within the hour stays so.
 */
export type Authentication = {
  /** What a key of any kind opens. Throws `api_key_missing` or `api_key_expired`. */
  readonly authenticateKey: (key: string) => Promise<Access>;
  /**
   * The user that a public key may act for, and until when: what the token says, or undefined when there is
   * none and the environment does not ask for one (the key may then act for anybody).
   * `userId`, where given, must be the token's subject.
   */
  readonly authenticateUser: (
    environment: Environment,
    userId: string | undefined,
    token: string | undefined,
  ) => Promise<UserToken | undefined>;
  /** Whether a token that was let in would be now: it has not expired, and its key is not revoked. */
  readonly isStillValid: (environment: Environment, token: UserToken) => Promise<boolean>;
  readonly authenticateServiceToken: (token: string) => Promise<ServiceAccess>;
  readonly authenticateOperator: (token: string) => Promise<OperatorAccess>;
  /** Forgets what is remembered. Call it after a key or an environment's settings changed. */
  readonly forget: () => void;
};

const REMEMBERED_MS = 5_000;
const REMEMBERED_KEYS = 10_000;
const REMEMBERED_ENVIRONMENTS = 1_000;

// While the database is away triggers wait for it instead of being refused, and an operator gets in.
const VALID_KEYS = 100_000;
const VALID_REMEMBERED_MS = 3_600_000;

type VerifyingKey = { readonly id: number; readonly key: CryptoKey };

export function createAuthentication(ctx: Context): Authentication {
  const found = createLruCache<FoundKey>(REMEMBERED_KEYS, REMEMBERED_MS);
  const valid = createLruCache<FoundKey>(VALID_KEYS, VALID_REMEMBERED_MS);
  const signingKeys = createLruCache<readonly VerifyingKey[]>(
    REMEMBERED_ENVIRONMENTS,
    REMEMBERED_MS,
  );
  // Look-ups under way, so that an expired entry costs one query and not one a request.
  const pending = new Map<string, Promise<FoundKey>>();
  let generation = 0;

  const find = async (key: string): Promise<FoundKey> => {
    const hash = keyHash(key);
    const known = found.get(hash, ctx.clock.now());
    if (known) return known;
    let lookup = pending.get(hash);
    if (!lookup) {
      const startedIn = generation;
      lookup = findKey(ctx.db, hash)
        .then((result) => {
          if (generation === startedIn) {
            found.set(hash, result, ctx.clock.now());
            if (result.kind === 'found') valid.set(hash, result, ctx.clock.now());
            else valid.delete(hash);
          }
          return result;
        })
        .catch((error: unknown) => {
          const last = valid.get(hash, ctx.clock.now());
          if (last) return last;
          throw error;
        })
        .finally(() => pending.delete(hash));
      pending.set(hash, lookup);
    }
    return lookup;
  };

  const authenticateKey = async (key: string): Promise<Access> => {
    const result = await find(key);
    switch (result.kind) {
      case 'found':
        return result.access;
      case 'revoked':
        throw new BelfryError('api_key_expired', 'This key was revoked; use another one');
      case 'unknown':
        throw new BelfryError(
          'api_key_missing',
          'No valid API key provided: this key does not exist here',
        );
    }
  };

  const keysOf = async (environment: Environment): Promise<readonly VerifyingKey[]> => {
    const cacheKey = String(environment.id);
    const known = signingKeys.get(cacheKey, ctx.clock.now());
    if (known) return known;
    const found = await findSigningKeys(ctx.db, environment.id);
    const keys = await Promise.all(
      found.map(async ({ id, pem }) => ({ id, key: await importSPKI(pem, 'RS256') })),
    );
    signingKeys.set(cacheKey, keys, ctx.clock.now());
    return keys;
  };

  const verified = async (environment: Environment, token: string): Promise<UserToken> => {
    const keys = await keysOf(environment);
    if (keys.length === 0) {
      throw new BelfryError(
        'missing_jwt_signing_key',
        `A user token was sent, but environment ${environment.slug} has no signing key`,
      );
    }
    let refusal = 'it was not signed with a signing key of this environment';
    for (const { id, key } of keys) {
      try {
        const { payload } = await jwtVerify(token, key, {
          algorithms: ['RS256'],
          requiredClaims: ['sub', 'exp'],
          currentDate: new Date(ctx.clock.now()),
        });
        if (typeof payload.sub === 'string' && payload.sub !== '') {
          return {
            userId: payload.sub,
            expiresAtMs: Number(payload.exp) * 1_000,
            signingKeyId: id,
            isExplicit: payload.explicit_grants === true,
            grants: readGrants(payload.grants),
          };
        }
        refusal = 'its subject (sub) is empty';
      } catch (error) {
        refusal = tokenRefusal(error, refusal);
      }
    }
    throw new BelfryError('invalid_user_token', `The user token is not valid: ${refusal}`);
  };

  return {
    authenticateKey,
    authenticateUser: async (environment, userId, token) => {
      if (!token) {
        if (!environment.settings.enhanced_security) return undefined;
        throw new BelfryError(
          'missing_user_token',
          `Environment ${environment.slug} has enhanced security on: send a signed user token in X-Knock-User-Token`,
        );
      }
      const proof = await verified(environment, token);
      if (userId !== undefined && proof.userId !== userId) {
        throw new BelfryError(
          'invalid_user_token',
          'The user token is for another user than the one that the request names',
        );
      }
      return proof;
    },
    isStillValid: async (environment, { expiresAtMs, signingKeyId }) =>
      expiresAtMs > ctx.clock.now() &&
      (await keysOf(environment)).some(({ id }) => id === signingKeyId),
    authenticateServiceToken: async (token) => {
      const access = await authenticateKey(token);
      if (access.kind === 'service') return access;
      throw wrongKind(access, 'a service token (knock_st_...)');
    },
    authenticateOperator: async (token) => {
      const access = await authenticateKey(token);
      if (access.kind === 'operator') return access;
      throw wrongKind(access, 'an operator token (bf_op_...)');
    },
    forget: () => {
      generation += 1;
      pending.clear();
      found.clear();
      valid.clear();
      signingKeys.clear();
    },
  };
}

const keyNames: Readonly<Record<Access['kind'], string>> = {
  secret: 'a secret key',
  public: 'a public key',
  service: 'a service token',
  operator: 'an operator token',
};

/** The 403 for a valid key of the wrong kind. */
export function wrongKind(access: Access, wanted: string): BelfryError {
  return new BelfryError(
    'incorrect_token_type',
    `You cannot call this endpoint with ${keyNames[access.kind]}; it needs ${wanted}`,
  );
}

function tokenRefusal(error: unknown, otherwise: string): string {
  if (error instanceof errors.JWTExpired) return 'it is expired';
  if (error instanceof errors.JWTClaimValidationFailed) return `its claim ${error.claim} is wrong`;
  if (error instanceof errors.JOSEAlgNotAllowed) return 'it must be signed with RS256';
  if (error instanceof errors.JWSInvalid || error instanceof errors.JWTInvalid) {
    return 'it is not a signed JWT';
  }
  return otherwise;
}
