import type { Socket } from 'node:net';
import type { ConnectionError, FastifyReply, FastifyRequest } from 'fastify';
import { isDiskFull, sqlState } from '../db/database.ts';
import { BelfryError, errorEnvelope } from '../lib/errors.ts';
import { callerOf, DISK_RETRY_MS } from './budget.ts';
import type { Services } from './services.ts';
import { isValidationFailure, validationError } from './validation.ts';

const DATABASE_RETRY_MS = 1_000;

/** Answers with the error's envelope; what a caller must not see goes into the log instead. */
export function answerError(
  services: Services,
  thrown: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
): void {
  const error = callerError(thrown);
  // Of a full disk one line is enough; more would fill it.
  if (error.status >= 500 && error.code !== 'storage_full') {
    services.log.error(
      // Not the URL: a path can hold a whole key, a query a user's token.
      {
        err: thrown,
        request_id: request.id,
        method: request.method,
        route: request.routeOptions.url,
      },
      'request failed',
    );
  }
  if (error.budget !== undefined) {
    const caller = callerOf(request.access);
    if (caller)
      services.budgets.refusals.count(caller.accountId, error.budget, services.clock.now());
  }
  // An error before the first hook (a URL that cannot be read) has no request id yet.
  reply.header('x-request-id', request.id);
  if (error.retryAfterMs !== undefined) {
    reply.header('retry-after', String(Math.ceil(error.retryAfterMs / 1_000)));
    reply.header('retry-after-ms', String(error.retryAfterMs));
  }
  reply.status(error.status).header('content-type', 'application/json; charset=utf-8');
  reply.send(JSON.stringify(errorEnvelope(error)));
}

/** 404 for a path that no route has, whatever the key. */
export function answerUnknownPath(request: FastifyRequest, reply: FastifyReply): void {
  const path = request.url.split('?', 1)[0] ?? '';
  const error = new BelfryError(
    'not_found',
    `There is no ${request.method} ${path.slice(0, 200)}; see /docs`,
  );
  reply.status(404).header('content-type', 'application/json; charset=utf-8');
  reply.send(JSON.stringify(errorEnvelope(error)));
}

/** Bytes that are no HTTP request get an answer too, where the connection still takes one. */
export function answerUnreadableRequest(error: ConnectionError, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const isTooLarge = error.code === 'HPE_HEADER_OVERFLOW';
  const text = JSON.stringify(
    errorEnvelope(
      new BelfryError(
        'malformed_request',
        isTooLarge
          ? 'The headers of the request are larger than 16 kB'
          : 'This is not an HTTP request that the server can read',
      ),
    ),
  );
  socket.end(
    `HTTP/1.1 400 Bad Request\r\nContent-Type: application/json; charset=utf-8\r\nConnection: close\r\nContent-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`,
  );
}

function callerError(thrown: unknown): BelfryError {
  if (thrown instanceof BelfryError) return thrown;
  if (isValidationFailure(thrown)) return validationError(thrown);
  if (isDiskFull(thrown)) {
    return new BelfryError(
      'storage_full',
      'The disk of the database is full; nothing was accepted, send the request again after Retry-After',
      { retryAfterMs: DISK_RETRY_MS },
    );
  }
  if (isDatabaseLoss(thrown)) {
    return new BelfryError(
      'database_unavailable',
      'The database cannot be reached; nothing was accepted, send the request again',
      { retryAfterMs: DATABASE_RETRY_MS },
    );
  }
  if (isDatabaseBusy(thrown)) {
    return new BelfryError(
      'overloaded',
      'The database was too busy with this; nothing was accepted, send the request again',
      { retryAfterMs: DATABASE_RETRY_MS },
    );
  }
  switch (errorCode(thrown)) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new BelfryError('request_too_large', 'The body is larger than 10 MB');
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new BelfryError(
        'unsupported_media_type',
        'The body must be JSON, sent with Content-Type: application/json',
      );
    case 'FST_ERR_CTP_INVALID_CONTENT_LENGTH':
      return new BelfryError('malformed_request', 'The body is not as long as Content-Length says');
    // What a path outside of the folder of static files gets: there is nothing either.
    case 'FST_STATIC_FORBIDDEN_PATH':
      return new BelfryError('not_found', 'There is no such file');
    case 'FST_ERR_MAX_PARAM_LENGTH':
      return new BelfryError('malformed_request', 'A part of the URL is longer than any id can be');
    case 'FST_ERR_BAD_URL':
      return new BelfryError('malformed_request', 'The URL has a broken percent encoding');
    default:
      return new BelfryError(
        'internal_error',
        'Something went wrong on our side; the request id finds it in the log',
      );
  }
}

function errorCode(thrown: unknown): string | undefined {
  if (typeof thrown !== 'object' || thrown === null || !('code' in thrown)) return undefined;
  return typeof thrown.code === 'string' ? thrown.code : undefined;
}

const LOST_CONNECTION_CODES = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'ENOENT',
  'ENOTFOUND',
  'EHOSTUNREACH',
]);

/**
 * Whether the database ended a statement for others' sake, and so did nothing: it took too long (57014), would have waited for ever
 * (class 40), or could not have a lock (55P03).
 */
function isDatabaseBusy(thrown: unknown): boolean {
  return /^(?:57014|40...|55P03)$/.test(sqlState(thrown) ?? '');
}

/** Whether the database is gone, starting, stopping or out of connections (classes 08, 53, 57P). */
function isDatabaseLoss(thrown: unknown): boolean {
  const state = sqlState(thrown);
  if (state !== undefined) {
    return state.startsWith('08') || state.startsWith('53') || state.startsWith('57P');
  }
  if (LOST_CONNECTION_CODES.has(errorCode(thrown) ?? '')) return true;
  // node-postgres has no codes for these.
  return (
    thrown instanceof Error &&
    /^(Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error|Cannot use a pool after calling end)/.test(
      thrown.message,
    )
  );
}
