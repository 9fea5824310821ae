import { createHash } from 'node:crypto';

const FIRST_SLOTS = 1 << 12;
const MOST_FILLED = 0.6;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/**
 * Which ids were there, in about 20 bytes each, so that ten million are no trouble: of each the last 64 bits
 * are kept, which are random in a version 7 UUID (of another text: of its hash). Two of ten million are taken
 * for one with a probability of one in 100,000.
 */
export type IdSet = {
  readonly size: () => number;
  readonly has: (id: string) => boolean;
  /** False when it was there. */
  readonly add: (id: string) => boolean;
};

export function createIdSet(): IdSet {
  let slots = new BigUint64Array(FIRST_SLOTS);
  let size = 0;

  /** Where it is, or where it belongs. */
  const slotOf = (fingerprint: bigint): number => {
    const mask = slots.length - 1;
    let slot = Number(fingerprint & 0xffff_ffffn) & mask;
    while (slots[slot] !== 0n && slots[slot] !== fingerprint) slot = (slot + 1) & mask;
    return slot;
  };
  const grow = (): void => {
    const old = slots;
    slots = new BigUint64Array(old.length * 2);
    for (const fingerprint of old) if (fingerprint !== 0n) slots[slotOf(fingerprint)] = fingerprint;
  };

  return {
    size: () => size,
    has: (id) => slots[slotOf(fingerprintOf(id))] !== 0n,
    add: (id) => {
      const fingerprint = fingerprintOf(id);
      const slot = slotOf(fingerprint);
      if (slots[slot] !== 0n) return false;
      slots[slot] = fingerprint;
      size += 1;
      if (size > slots.length * MOST_FILLED) grow();
      return true;
    },
  };
}

/** Never 0, which is an empty slot. */
function fingerprintOf(id: string): bigint {
  const hex = UUID.test(id)
    ? id.slice(19, 23) + id.slice(24)
    : createHash('sha256').update(id).digest('hex').slice(0, 16);
  return BigInt(`0x${hex}`) || 1n;
}
