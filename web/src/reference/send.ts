import type { Call } from './call.ts';

export type Sent =
  | {
      readonly kind: 'answered';
      readonly status: number;
      readonly statusText: string;
      readonly milliseconds: number;
      readonly headers: readonly (readonly [string, string])[];
      /** Pretty where it is JSON. */
      readonly body: string;
      /** Characters that are not shown. */
      readonly left: number;
    }
  | { readonly kind: 'failed'; readonly message: string };

/** More of an answer makes the page slow and helps nobody. */
const SHOWN_CHARACTERS = 200_000;

/** Sends a call to this server. Never throws: a dead server is an answer, too. */
export async function send(
  call: Call,
  keys: { readonly key: string; readonly userToken: string },
  signal: AbortSignal,
): Promise<Sent> {
  const started = performance.now();
  try {
    const response = await fetch(call.path, {
      method: call.method,
      headers: {
        ...call.headers,
        ...(keys.key && { authorization: `Bearer ${keys.key}` }),
        ...(keys.userToken && { 'x-knock-user-token': keys.userToken }),
      },
      ...(call.body !== undefined && { body: call.body }),
      cache: 'no-store',
      signal,
    });
    const received = await response.text();
    const milliseconds = performance.now() - started;
    const body = pretty(received);
    return {
      kind: 'answered',
      status: response.status,
      statusText: response.statusText,
      milliseconds,
      headers: [...response.headers],
      body: body.slice(0, SHOWN_CHARACTERS),
      left: Math.max(0, body.length - SHOWN_CHARACTERS),
    };
  } catch (error) {
    if (signal.aborted) return { kind: 'failed', message: 'Stopped.' };
    const reason = error instanceof Error ? error.message : String(error);
    return { kind: 'failed', message: `The request could not be sent: ${reason}` };
  }
}

function pretty(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
