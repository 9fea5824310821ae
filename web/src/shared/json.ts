export type JsonRecord = { readonly [key: string]: unknown };

export function isRecord(value: unknown): value is JsonRecord {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The value as text; anything else is empty. */
export function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

export type Answer =
  | { readonly kind: 'ok'; readonly body: JsonRecord }
  /** `message` is the server's own words where it said something. */
  | { readonly kind: 'failed'; readonly status: number; readonly message: string };

/** A JSON request to this page's own server. Never throws: a dead server is an answer, too. */
export async function requestJson(path: string, init?: RequestInit): Promise<Answer> {
  try {
    const response = await fetch(path, {
      ...init,
      headers: { accept: 'application/json', ...init?.headers },
    });
    const body: unknown = await response.json().catch(() => ({}));
    if (response.ok && isRecord(body)) return { kind: 'ok', body };
    const message = isRecord(body) ? text(body.message) : '';
    return {
      kind: 'failed',
      status: response.status,
      message: message || `The server answered ${response.status}.`,
    };
  } catch {
    return {
      kind: 'failed',
      status: 0,
      message: 'The server does not answer. Is `npm start` still running?',
    };
  }
}
