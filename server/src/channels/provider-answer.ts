import { isJsonObject, type JsonObject } from '../lib/json.ts';
import type { OutboundAnswer } from './outbound-requests.ts';

/** What became of a question to the API of a chat provider. Nothing that it answers is believed before it is read. */
export type ProviderAnswer<Value> =
  | { readonly kind: 'answered'; readonly value: Value }
  /** The credentials do not allow it; `reason` is the provider's word for that. */
  | { readonly kind: 'refused'; readonly reason: string }
  /** What was asked for makes no sense to the provider. */
  | { readonly kind: 'invalid'; readonly reason: string }
  | { readonly kind: 'limited' }
  /** Down, slow, or no such API. */
  | { readonly kind: 'unavailable'; readonly reason: string };

type Failure = Exclude<ProviderAnswer<never>, { readonly kind: 'answered' }>;

const REASON_CHARACTERS = 300;

/** The JSON object that came, with its status; or why there is none. */
export function readAnswer(
  answer: OutboundAnswer,
): { readonly status: number; readonly body: JsonObject } | Failure {
  if ('failed' in answer) return { kind: 'unavailable', reason: answer.failed };
  if (answer.status === 429) return { kind: 'limited' };
  if (answer.status >= 500) {
    return { kind: 'unavailable', reason: `it answered with status ${answer.status}` };
  }
  const body = parsed(answer.body);
  if (body) return { status: answer.status, body };
  return { kind: 'unavailable', reason: `it answered with status ${answer.status} and no JSON` };
}

/** A text of the answer in a length that can be shown. */
export function shown(value: unknown, otherwise: string): string {
  return typeof value === 'string' && value !== '' ? value.slice(0, REASON_CHARACTERS) : otherwise;
}

export function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

function parsed(text: string): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isJsonObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
