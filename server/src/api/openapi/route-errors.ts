import { type ErrorCode, errorCatalogue } from '../../lib/errors.ts';
import type { JsonObject } from '../../lib/json.ts';
import type { AccessRule } from '../access.ts';
import { WRITING_METHODS } from '../budget.ts';

type RouteOfErrors = {
  readonly method: string;
  readonly access: AccessRule;
  /** By its slug, in the query. */
  readonly namesEnvironment: boolean;
  /** What the route itself says of its errors. */
  readonly errors?: readonly ErrorCode[] | undefined;
};

/** Every error that a route can answer with: those of its kind, and its own. In the order of the catalogue. */
export function errorsOf({
  method,
  access,
  namesEnvironment,
  errors = [],
}: RouteOfErrors): ErrorCode[] {
  const isKeyed = access !== 'none';
  const isOfEnvironment = ['secret', 'public', 'granted'].includes(access);
  const codes = new Set<ErrorCode>([
    'malformed_request',
    'internal_error',
    ...when(isKeyed, [
      'api_key_missing',
      'api_key_expired',
      'authentication_required',
      'incorrect_token_type',
      'invalid_params',
      'database_unavailable',
      'overloaded',
    ]),
    ...when(isOfEnvironment, ['branch_missing']),
    ...when(access === 'public' || access === 'granted', [
      'missing_user_token',
      'invalid_user_token',
      'missing_jwt_signing_key',
      'authorization',
    ]),
    ...when(isOfEnvironment || access === 'service', [
      'rate_limited',
      ...when(WRITING_METHODS.has(method), ['storage_full']),
    ]),
    ...when(method !== 'GET', ['malformed_json', 'request_too_large', 'unsupported_media_type']),
    ...when(namesEnvironment, ['resource_missing']),
    ...errors,
  ]);
  const inOrder = Object.keys(errorCatalogue) as ErrorCode[];
  return inOrder.filter((code) => codes.has(code));
}

function when(condition: boolean, codes: readonly ErrorCode[]): readonly ErrorCode[] {
  return condition ? codes : [];
}

/** The answers of an operation with these errors, by status; each is in `errorComponents`. */
export function errorResponses(codes: readonly ErrorCode[]): JsonObject {
  return Object.fromEntries(
    byStatus(codes).map(([status, each]) => [
      status,
      { $ref: `#/components/responses/${each.join('.')}` },
    ]),
  );
}

/** What `errorResponses` refers to: an answer for each set of codes, and an example of each code. */
export function errorComponents(sets: readonly (readonly ErrorCode[])[]): {
  readonly responses: JsonObject;
  readonly examples: JsonObject;
} {
  const groups = sets.flatMap((codes) => byStatus(codes).map(([, each]) => each));
  const responses = groups.map((codes) => [
    codes.join('.'),
    {
      description: codes.map((code) => `\`${code}\`: ${errorCatalogue[code].meaning}`).join('\n\n'),
      content: {
        'application/json': {
          schema: { $ref: '#/components/schemas/Error' },
          examples: Object.fromEntries(
            codes.map((code) => [code, { $ref: `#/components/examples/${code}` }]),
          ),
        },
      },
    },
  ]);
  const codes = [...new Set(groups.flat())];
  const examples = codes.map((code) => {
    const { meaning, status, type } = errorCatalogue[code];
    const [message = meaning] = meaning.split(/(?<=\.) /);
    return [code, { summary: meaning, value: { code, message, status, type } }];
  });
  return {
    responses: Object.fromEntries(responses.sort(byName)),
    examples: Object.fromEntries(examples.sort(byName)),
  };
}

function byStatus(codes: readonly ErrorCode[]): (readonly [string, readonly ErrorCode[]])[] {
  const groups = new Map<string, ErrorCode[]>();
  for (const code of codes) {
    const status = String(errorCatalogue[code].status);
    groups.set(status, [...(groups.get(status) ?? []), code]);
  }
  return [...groups];
}

function byName([left]: readonly unknown[], [right]: readonly unknown[]): number {
  return String(left) < String(right) ? -1 : 1;
}
