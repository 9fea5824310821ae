import { plainArray } from '../db/array-literal.ts';
import { slotAt } from './ring.ts';
import { bodyHash, storedText } from './stored-body.ts';

/** A pack that is larger gets no more contents. */
const MAX_PACK_BYTES = 4 * 1024 * 1024;

type Pack = {
  readonly id: string;
  readonly environmentId: number;
  readonly parts: Buffer[];
  bytes: number;
};

/** What an executor writes contents by: whether they leave their messages now, and from which size on. */
export type PackPolicy = {
  readonly minBytes: number;
  readonly isOpen: () => boolean;
  /** A content stayed in its message, because too much waits for the store. */
  readonly kept: () => void;
};

/** The contents that one statement writes, gathered into packs: one for each environment, or a few. */
export class Packs {
  readonly #policy: PackPolicy;
  readonly #isOpen: boolean;
  readonly #open = new Map<number, Pack>();
  readonly #packs: Pack[] = [];

  constructor(policy: PackPolicy) {
    this.#policy = policy;
    this.#isOpen = policy.isOpen();
  }

  get count(): number {
    return this.#packs.length;
  }

  /** Takes the content of a message, JSON, unless it is small; returns what the message's row holds of it. */
  add(environmentId: number, messageId: string, content: string): string {
    if (Buffer.byteLength(content) < this.#policy.minBytes) return content;
    if (!this.#isOpen) {
      this.#policy.kept();
      return content;
    }
    const body = Buffer.from(content);
    let pack = this.#open.get(environmentId);
    if (!pack || pack.bytes + body.length > MAX_PACK_BYTES) {
      pack = { id: messageId, environmentId, parts: [], bytes: 0 };
      this.#open.set(environmentId, pack);
      this.#packs.push(pack);
    }
    const at = pack.bytes;
    pack.parts.push(body);
    pack.bytes += body.length;
    return storedText({ pack: pack.id, at, bytes: body.length, sha: bodyHash(body) });
  }

  /** The values of `insertPacksSql`, in order. */
  values(nowMs: number): readonly unknown[] {
    const packs = this.#packs;
    let from = 0;
    const starts = packs.map(({ bytes }) => {
      from += bytes;
      return from - bytes;
    });
    return [
      slotAt(nowMs),
      plainArray(packs.map(({ environmentId }) => environmentId)),
      plainArray(packs.map(({ id }) => id)),
      plainArray(starts),
      plainArray(packs.map(({ bytes }) => bytes)),
      Buffer.concat(packs.flatMap(({ parts }) => parts)),
    ];
  }
}

/** Writes packs; `first` is the number of its first parameter, of six. The bytes of all are one parameter: it is sent as it is. */
export function insertPacksSql(first: number): string {
  const p = (offset: number): string => `$${first + offset}`;
  return `insert into body_pack (slot, environment_id, id, size, bytes)
  select ${p(0)}::smallint, k.environment_id, k.id, k.size, substring(${p(5)}::bytea from k.start_byte + 1 for k.size)
  from unnest(${p(1)}::int[], ${p(2)}::uuid[], ${p(3)}::int[], ${p(4)}::int[]) as k(environment_id, id, start_byte, size)`;
}
