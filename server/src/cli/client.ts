import type { ClientConfig } from '../config.ts';
import { isJsonObject, type JsonObject } from '../lib/json.ts';
import { findKey, type Role } from './credentials.ts';
import { CliError, type ErrorDetail } from './result.ts';

const TIMEOUT_MS = 30_000;

/** The server, as the commands see it. */
export type Client = {
  /** The answer's JSON object, {} for an answer without a body. Throws a CliError for any other. */
  readonly request: (request: ClientRequest) => Promise<JsonObject>;
  /** The answer's body as it comes; it may take as long as it goes on. Throws as `request` does. */
  readonly stream: (request: ClientRequest) => Promise<AsyncIterable<Uint8Array>>;
};

export type ClientRequest = {
  readonly role: Role;
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly path: string;
  readonly query?: Readonly<Record<string, string | undefined>>;
  readonly body?: unknown;
};

export function createClient(config: ClientConfig, environment: string): Client {
  const call = async (
    { role, method, path, query = {}, body }: ClientRequest,
    signal: AbortSignal,
  ): Promise<Response> => {
    const url = new URL(config.url.replace(/\/+$/, '') + path);
    for (const [name, value] of Object.entries(query)) {
      if (value !== undefined) url.searchParams.set(name, value);
    }
    const key = await findKey(config, role, environment).catch(async (error) => {
      // Without a server there are often no keys either, and the server comes first.
      await send(config.url, new URL(config.url), { signal: AbortSignal.timeout(TIMEOUT_MS) });
      throw error;
    });
    return send(config.url, url, {
      method,
      headers: {
        authorization: `Bearer ${key}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal,
    });
  };
  return {
    request: async (request) => {
      const response = await call(request, AbortSignal.timeout(TIMEOUT_MS));
      return await readAnswer(response, config.url);
    },
    stream: async (request) => {
      const silence = new AbortController();
      const response = await withDeadline(silence, () => call(request, silence.signal));
      if (response.ok && response.body) return untilSilent(response.body, silence);
      await readAnswer(response, config.url);
      throw new CliError('answer_unreadable', `${config.url} answered without a body.`);
    },
  };
}

/** The pieces of a body; ends with an error when none came for the time of a request. */
async function* untilSilent(
  body: ReadableStream<Uint8Array>,
  silence: AbortController,
): AsyncGenerator<Uint8Array> {
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await withDeadline(silence, () => reader.read());
      if (done) return;
      yield value;
    }
  } finally {
    silence.abort();
  }
}

async function withDeadline<Result>(
  controller: AbortController,
  work: () => Promise<Result>,
): Promise<Result> {
  const late = new DOMException('nothing came in time', 'TimeoutError');
  const timer = setTimeout(() => controller.abort(late), TIMEOUT_MS);
  try {
    return await work();
  } finally {
    clearTimeout(timer);
  }
}

async function send(origin: string, url: URL, init: RequestInit): Promise<Response> {
  try {
    return await fetch(url, init);
  } catch (error) {
    throw unreachable(origin, error);
  }
}

/** The sentence for a server that does not answer. */
function unreachable(origin: string, error: unknown): CliError {
  const cause = error instanceof Error ? error.cause : undefined;
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
  if (code === 'ECONNREFUSED') {
    return new CliError(
      'server_unreachable',
      `No server answers at ${origin}; start one with npm start, or name another with --url.`,
    );
  }
  if (error instanceof Error && error.name === 'TimeoutError') {
    return new CliError(
      'server_unreachable',
      `The server at ${origin} did not answer within ${TIMEOUT_MS / 1_000} s; see what is wrong with: belfry doctor`,
    );
  }
  const why = cause instanceof Error ? cause.message || code : String(error);
  return new CliError(
    'server_unreachable',
    `The server at ${origin} cannot be reached (${why}); check --url and BELFRY_URL.`,
  );
}

async function readAnswer(response: Response, origin: string): Promise<JsonObject> {
  const text = await response.text();
  if (response.ok && text === '') return {};
  let answer: unknown;
  try {
    answer = JSON.parse(text);
  } catch {
    answer = undefined;
  }
  if (!isJsonObject(answer)) {
    throw new CliError(
      'answer_unreadable',
      `${origin} answered ${response.status} and no JSON; is it a Belfry server?`,
    );
  }
  if (response.ok) return answer;
  const code = typeof answer.code === 'string' ? answer.code : 'unknown';
  const message = typeof answer.message === 'string' ? answer.message : `status ${response.status}`;
  throw new CliError(code, message, details(answer.errors));
}

function details(errors: unknown): ErrorDetail[] {
  if (!Array.isArray(errors)) return [];
  return errors
    .filter(isJsonObject)
    .map(({ field, message }) => ({ path: String(field), reason: String(message) }));
}
