/**
 * Public message and event ids: 27 base-62 characters, as the wire contract has them
 * (KSUID: a 32-bit time in seconds since 2014-05-13 and 128 bits of payload, 20 bytes in all).
 * The payload is the whole UUID of the row, whose first 48 bits are its time, so both directions
 * are lossless and the text sorts by time.
 */
const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const EPOCH_SECONDS = 1_400_000_000;
const LENGTH = 27;

/** As many digits as fit into a number, so that few divisions are of large integers. */
const CHUNK_DIGITS = 8;
const CHUNK = 62n ** BigInt(CHUNK_DIGITS);

/** The public id of a row with this UUID. */
export function ksuidFromUuid(uuid: string): string {
  const hex = uuid.replaceAll('-', '');
  // A clock that is years off must not stop a list: such an id names nothing.
  const seconds = Math.max(
    0,
    Math.floor(Number.parseInt(hex.slice(0, 12), 16) / 1000) - EPOCH_SECONDS,
  );
  let value = BigInt(`0x${seconds.toString(16)}${hex}`);
  let text = '';
  while (text.length + CHUNK_DIGITS <= LENGTH) {
    text = digits(Number(value % CHUNK), CHUNK_DIGITS) + text;
    value /= CHUNK;
  }
  return digits(Number(value), LENGTH - text.length) + text;
}

function digits(value: number, count: number): string {
  let rest = value;
  let text = '';
  for (let i = 0; i < count; i++) {
    const next = Math.floor(rest / 62);
    text = ALPHABET.charAt(rest - next * 62) + text;
    rest = next;
  }
  return text;
}

/** The UUID behind a public id, or undefined when the text is no such id. */
export function uuidFromKsuid(text: string): string | undefined {
  if (text.length !== LENGTH) return undefined;
  let value = 0n;
  for (const character of text) {
    const digit = ALPHABET.indexOf(character);
    if (digit < 0) return undefined;
    value = value * 62n + BigInt(digit);
  }
  const hex = value.toString(16).padStart(40, '0');
  if (hex.length !== 40) return undefined;
  const uuid = hex.slice(8);
  const seconds = Math.floor(Number.parseInt(uuid.slice(0, 12), 16) / 1000) - EPOCH_SECONDS;
  if (seconds !== Number.parseInt(hex.slice(0, 8), 16)) return undefined;
  return `${uuid.slice(0, 8)}-${uuid.slice(8, 12)}-${uuid.slice(12, 16)}-${uuid.slice(16, 20)}-${uuid.slice(20)}`;
}
