/**
 * The 128-bit address of everything the engine creates: a UUID of version 8 (RFC 9562, section 5.8)
 * whose bits say where the thing came from.
 *
 *   48 bits  Unix time in milliseconds, so that ids sort by time and range partitions can hold them
 *    4 bits  version, 8
 *   12 bits  stream: the database session that appended the chunk
 *    2 bits  variant, binary 10
 *   44 bits  sequence of the chunk in its stream
 *   12 bits  index of the run in its chunk
 *    6 bits  part: 0 the recipient run, 1-62 its messages in this chunk, 63 the workflow run
 *
 * (stream, sequence, index, part) is unique for ever, because a stream never reuses a sequence.
 */
export type Address = {
  readonly timeMs: number;
  readonly stream: number;
  readonly sequence: number;
  readonly index: number;
  readonly part: number;
};

export const RECIPIENT_RUN_PART = 0;
export const WORKFLOW_RUN_PART = 63;
export const MAX_MESSAGE_PARTS = 62;
export const MAX_STREAM = 0xfff;

/** The address as a lower-case UUID. Fields out of range wrap, so callers keep them in range. */
export function formatAddress(
  timeMs: number,
  stream: number,
  sequence: number,
  index: number,
  part: number,
): string {
  return addressesOf(timeMs, stream, sequence)(index, part);
}

/** `formatAddress` for many runs of one chunk: what they share is formatted once. */
export function addressesOf(
  timeMs: number,
  stream: number,
  sequence: number,
): (index: number, part: number) => string {
  const time = hex(timeMs, 12);
  // variant (2) + sequence (44) + index (12) + part (6) = 64 bits, in two halves of 32 bits:
  // high: variant, sequence bits 43..14; low: sequence bits 13..0, index, part.
  const high = hex(0x80000000 + Math.floor(sequence / 0x4000), 8);
  const prefix = `${time.slice(0, 8)}-${time.slice(8)}-8${hex(stream, 3)}-${high.slice(0, 4)}-${high.slice(4)}`;
  const base = (sequence % 0x4000) * 0x40000;
  return (index, part) => prefix + hex(base + index * 0x40 + part, 8);
}

/** The fields of an address, or undefined when the text is no UUID of version 8. */
export function parseAddress(uuid: string): Address | undefined {
  const match =
    /^([0-9a-f]{8})-([0-9a-f]{4})-8([0-9a-f]{3})-([89ab][0-9a-f]{3})-([0-9a-f]{12})$/i.exec(uuid);
  if (!match) return undefined;
  const [, time1, time2, stream, high1, rest] = match;
  const high = Number.parseInt(`${high1}${rest?.slice(0, 4)}`, 16) - 0x80000000;
  const low = Number.parseInt(rest?.slice(4) ?? '0', 16);
  return {
    timeMs: Number.parseInt(`${time1}${time2}`, 16),
    stream: Number.parseInt(stream ?? '0', 16),
    sequence: high * 0x4000 + Math.floor(low / 0x40000),
    index: Math.floor(low / 0x40) % 0x1000,
    part: low % 0x40,
  };
}

/** The smallest UUID of version-agnostic order at or after a time: a partition bound. */
export function lowestUuidAt(timeMs: number): string {
  const time = hex(timeMs, 12);
  return `${time.slice(0, 8)}-${time.slice(8)}-0000-0000-000000000000`;
}

function hex(value: number, width: number): string {
  return value.toString(16).padStart(width, '0');
}
