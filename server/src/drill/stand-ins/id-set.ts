import { createHash } from 'node:crypto';

const FIRST_SLOTS = 1 << 12;
const MOST_FILLED = 0.6;
const DASH = 45;
const DIGITS_OF_WORD = 8;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/**
 * Which ids were there, in about 20 bytes each, so that ten million are no trouble: of each a hash of 64 bits is kept. Two of ten
 * million are taken for one with a probability of one in 100,000.
 */
export type IdSet = {
  readonly size: () => number;
  readonly has: (id: string) => boolean;
  /** False when it was there. */
  readonly add: (id: string) => boolean;
};

export function createIdSet(): IdSet {
  let highs = new Uint32Array(FIRST_SLOTS);
  let lows = new Uint32Array(FIRST_SLOTS);
  let size = 0;

  /** Where it is, or where it belongs: a slot of two zeroes is empty. */
  const slotOf = (high: number, low: number): number => {
    const mask = lows.length - 1;
    let slot = high & mask;
    while ((lows[slot] !== low || highs[slot] !== high) && !isEmpty(slot)) slot = (slot + 1) & mask;
    return slot;
  };
  const isEmpty = (slot: number): boolean => lows[slot] === 0 && highs[slot] === 0;
  const grow = (): void => {
    const [oldHighs, oldLows] = [highs, lows];
    highs = new Uint32Array(oldHighs.length * 2);
    lows = new Uint32Array(oldLows.length * 2);
    for (const [i, high] of oldHighs.entries()) {
      const low = oldLows[i] ?? 0;
      if (high === 0 && low === 0) continue;
      const slot = slotOf(high, low);
      highs[slot] = high;
      lows[slot] = low;
    }
  };

  return {
    size: () => size,
    has: (id) => !isEmpty(slotOf(...hashOf(id))),
    add: (id) => {
      const [high, low] = hashOf(id);
      const slot = slotOf(high, low);
      if (!isEmpty(slot)) return false;
      highs[slot] = high;
      lows[slot] = low;
      size += 1;
      if (size > lows.length * MOST_FILLED) grow();
      return true;
    },
  };
}

/**
 * Two words of 32 bits, never both zero. All of an id goes in and is mixed, because what is random in one kind of UUID is counted up
 * in another.
 */
function hashOf(id: string): readonly [high: number, low: number] {
  let high = 0x9e37_79b9;
  let low = 0x85eb_ca6b;
  const hex = UUID.test(id) ? id : createHash('sha256').update(id).digest('hex');
  let word = 0;
  let digits = 0;
  for (let i = 0; i < hex.length; i++) {
    const code = hex.charCodeAt(i);
    if (code === DASH) continue;
    word = (word << 4) | digitOf(code);
    digits += 1;
    if (digits % DIGITS_OF_WORD > 0) continue;
    high = mixed(high ^ word);
    low = mixed(low + Math.imul(word, 0xc2b2_ae35));
  }
  return [high, low || 1];
}

/** Of a character 0 to 9 or a to f: the letters follow a multiple of 16, and only they have bit 6. */
function digitOf(code: number): number {
  return (code & 15) + 9 * (code >> 6);
}

/** The finalizer of MurmurHash3 (Appleby): each bit of the word changes each bit of the result with a probability of a half. */
function mixed(word: number): number {
  let h = word;
  h = Math.imul(h ^ (h >>> 16), 0x85eb_ca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2_ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
