/**
 * Frames of the Phoenix channel protocol, serializer version 2: a JSON array of join reference,
 * reference, topic, event and payload.
 */
export type PhoenixFrame = {
  readonly joinRef: string | null;
  readonly ref: string | null;
  readonly topic: string;
  readonly event: string;
  readonly payload: unknown;
};

/** The frame in a text, or undefined when it is none. */
export function parsePhoenixFrame(text: string): PhoenixFrame | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!Array.isArray(value) || value.length !== 5) return undefined;
  const [joinRef, ref, topic, event, payload]: unknown[] = value;
  if (!isReference(joinRef) || !isReference(ref)) return undefined;
  if (typeof topic !== 'string' || typeof event !== 'string') return undefined;
  return { joinRef, ref, topic, event, payload };
}

export function formatPhoenixFrame(frame: PhoenixFrame): string {
  return JSON.stringify([frame.joinRef, frame.ref, frame.topic, frame.event, frame.payload]);
}

/** The answer to a frame. */
export function phoenixReply(
  to: PhoenixFrame,
  status: 'ok' | 'error',
  response: { readonly [field: string]: unknown } = {},
): string {
  return formatPhoenixFrame({ ...to, event: 'phx_reply', payload: { status, response } });
}

function isReference(value: unknown): value is string | null {
  return value === null || typeof value === 'string';
}
