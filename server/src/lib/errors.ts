/**
 * Every error that a caller can see. `docs/errors.md` lists exactly these; a test holds them
 * together. To add one: a line here, then `npm run generate`.
 */
type CatalogueEntry = {
  /** The HTTP status of the answer. */
  readonly status: number;
  readonly type: ErrorType;
  /** When it happens and what to do about it, for the documentation. */
  readonly meaning: string;
};

type ErrorType =
  | 'authentication_error'
  | 'invalid_request_error'
  | 'idempotency_error'
  | 'rate_limit_error'
  | 'api_error';

export const errorCatalogue = {
  api_key_missing: {
    status: 401,
    type: 'authentication_error',
    meaning:
      'The request has no API key, or one that does not exist. Send `Authorization: Bearer <key>`.',
  },
  api_key_expired: {
    status: 401,
    type: 'authentication_error',
    meaning: 'The key was revoked. Use another one, or create one with `belfry keys create`.',
  },
  authentication_required: {
    status: 401,
    type: 'authentication_error',
    meaning: 'The `Authorization` header is not of the form `Bearer <key>`.',
  },
  missing_user_token: {
    status: 401,
    type: 'authentication_error',
    meaning:
      'The environment has enhanced security on: a public key needs a signed user token in `X-Knock-User-Token`.',
  },
  invalid_user_token: {
    status: 401,
    type: 'authentication_error',
    meaning:
      'The user token is expired, is not signed (RS256) with a signing key of the environment, or is for another user.',
  },
  missing_jwt_signing_key: {
    status: 401,
    type: 'authentication_error',
    meaning: 'A user token was sent, but the environment has no signing key to check it with.',
  },
  incorrect_token_type: {
    status: 403,
    type: 'authentication_error',
    meaning:
      'The key is valid but of the wrong kind for this endpoint, for example a public key where a secret key is needed.',
  },
  authorization: {
    status: 403,
    type: 'authentication_error',
    meaning:
      'The user token does not grant this, or only for other tenants; or the object has no access token of the provider yet.',
  },
  malformed_json: {
    status: 400,
    type: 'invalid_request_error',
    meaning: 'The body is not JSON. The message says where parsing stopped.',
  },
  malformed_request: {
    status: 400,
    type: 'invalid_request_error',
    meaning: 'The request cannot be read: a broken URL encoding, header or body length.',
  },
  not_found: {
    status: 404,
    type: 'invalid_request_error',
    meaning: 'No endpoint has this method and path. `/docs` lists those that exist.',
  },
  viewer_off: {
    status: 404,
    type: 'invalid_request_error',
    meaning:
      'The built-in viewer is on only without `BELFRY_SMTP_URL` and with `BELFRY_HOST` at a loopback address, and not through a proxy. Unset the one or change the other. `BELFRY_DEMO=false` turns it off.',
  },
  demo_off: {
    status: 404,
    type: 'invalid_request_error',
    meaning:
      'The demo page is on only with `BELFRY_HOST` at a loopback address and with the keys of the account `demo` in `credentials.json`, only for its own page, and not through a proxy. `BELFRY_DEMO=false` turns it off.',
  },
  resource_missing: {
    status: 404,
    type: 'invalid_request_error',
    meaning: 'The thing that the path names does not exist in this environment.',
  },
  branch_missing: {
    status: 404,
    type: 'invalid_request_error',
    meaning:
      '`X-Knock-Branch` names a branch that does not exist. Leave the header out, or use `main`.',
  },
  workflow_missing: {
    status: 404,
    type: 'invalid_request_error',
    meaning:
      'The environment has no published workflow with this key. Publish it with `belfry push DIR`.',
  },
  workflow_inactive: {
    status: 422,
    type: 'invalid_request_error',
    meaning: 'The workflow is switched off. Set `active` and push it again.',
  },
  actor_missing: {
    status: 422,
    type: 'invalid_request_error',
    meaning: 'The request needs an actor and names none.',
  },
  channel_invalid: {
    status: 422,
    type: 'invalid_request_error',
    meaning: 'The channel does not exist in this account or is of the wrong type for this use.',
  },
  invalid_params: {
    status: 422,
    type: 'invalid_request_error',
    meaning: 'A parameter is missing or wrong. `errors` names each field and says why.',
  },
  request_too_large: {
    status: 413,
    type: 'invalid_request_error',
    meaning: 'The body is larger than 10 MB. It was refused before it was parsed.',
  },
  unsupported_media_type: {
    status: 415,
    type: 'invalid_request_error',
    meaning: 'The body is not JSON. Send `Content-Type: application/json`.',
  },
  conflict: {
    status: 409,
    type: 'invalid_request_error',
    meaning: 'A thing of this name exists already, or changed in the meantime.',
  },
  idempotency_conflict: {
    status: 409,
    type: 'idempotency_error',
    meaning: 'The idempotency key was used within 24 hours with other parameters. Use a new key.',
  },
  rate_limited: {
    status: 429,
    type: 'rate_limit_error',
    meaning: 'Too many requests. Wait for `Retry-After` and send the request again.',
  },
  internal_error: {
    status: 500,
    type: 'api_error',
    meaning:
      'A defect of the server. The log has the details under the `x-request-id` of the answer.',
  },
  provider_unavailable: {
    status: 502,
    type: 'api_error',
    meaning:
      'The provider of the channel (Slack, Microsoft) is down, too slow, or is not what answers at its URL. Try again later.',
  },
  database_unavailable: {
    status: 503,
    type: 'api_error',
    meaning: 'The database cannot be reached. Nothing was accepted; send the request again.',
  },
  storage_full: {
    status: 503,
    type: 'api_error',
    meaning:
      'The disk of the database is nearly full. Nothing was accepted; wait for `Retry-After` and send the request again. Reading still works.',
  },
  message_content_unavailable: {
    status: 503,
    type: 'api_error',
    meaning:
      'What the message says is in the object store, which cannot be read at the moment. Try again after `Retry-After`; deliveries do not need it.',
  },
  message_content_damaged: {
    status: 500,
    type: 'api_error',
    meaning:
      'What the object store has is not what the message said when it was made: its checksum is wrong, or the object is gone. The operator finds it in the log.',
  },
  overloaded: {
    status: 503,
    type: 'api_error',
    meaning: 'The server is too busy or is shutting down. Nothing was accepted; send it again.',
  },
} as const satisfies Record<string, CatalogueEntry>;

export type ErrorCode = keyof typeof errorCatalogue;

/** Why one field of a request was refused; `field` is a path such as `recipients[3].id`. */
export type FieldError = { readonly field: string; readonly message: string };

export type BelfryErrorDetails = {
  readonly fields?: readonly FieldError[];
  /** When it is worth trying again; becomes `Retry-After`. */
  readonly retryAfterMs?: number;
  /** Which budget was used up, for the counters. */
  readonly budget?: string;
};

/** An error that the caller sees. The message names the thing, the value and the way out. */
export class BelfryError extends Error {
  readonly code: ErrorCode;
  readonly fields: readonly FieldError[] | undefined;
  readonly retryAfterMs: number | undefined;
  readonly budget: string | undefined;

  constructor(code: ErrorCode, message: string, details: BelfryErrorDetails = {}) {
    super(message);
    this.name = 'BelfryError';
    this.code = code;
    this.fields = details.fields;
    this.retryAfterMs = details.retryAfterMs;
    this.budget = details.budget;
  }

  get status(): number {
    return errorCatalogue[this.code].status;
  }
}

export type ErrorEnvelope = {
  readonly code: string;
  readonly message: string;
  readonly status: number;
  readonly type: string;
  readonly errors?: readonly FieldError[];
};

/** The error as it goes over the wire. */
export function errorEnvelope(error: BelfryError): ErrorEnvelope {
  const { status, type } = errorCatalogue[error.code];
  const envelope = { code: error.code, message: error.message, status, type };
  return error.fields ? { ...envelope, errors: error.fields } : envelope;
}

/** A 422 about one field. */
export function invalidField(field: string, message: string): BelfryError {
  return new BelfryError('invalid_params', `${field} ${message}`, { fields: [{ field, message }] });
}

/** `docs/errors.md`, from the catalogue. */
export function errorDocument(): string {
  const rows = Object.entries(errorCatalogue).map(
    ([code, { status, type, meaning }]) => `| \`${code}\` | ${status} | \`${type}\` | ${meaning} |`,
  );
  return [
    '# Errors',
    '',
    'An answer with a status of 400 or more has this body:',
    '',
    '```json',
    '{ "code": "invalid_params", "message": "recipients[3].id is required", "status": 422,',
    '  "type": "invalid_request_error", "errors": [{ "field": "recipients[3].id", "message": "is required" }] }',
    '```',
    '',
    'Branch on `code`; `message` is for people and may change. `errors` is there for `invalid_params`.',
    'The answer header `x-request-id` finds the request in the log.',
    '',
    '| code | status | type | meaning |',
    '|---|---|---|---|',
    ...rows,
    '',
  ].join('\n');
}
