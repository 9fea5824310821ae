import { describe, expect, it } from 'vitest';
import { Packs } from '../../src/bodies/packs.ts';
import { spansOf } from '../../src/bodies/read-objects.ts';
import {
  isOpenSlot,
  lapsOf,
  SLOT_COUNT,
  slotAt,
  slotOfPack,
  slotsSince,
} from '../../src/bodies/ring.ts';
import { storedBody } from '../../src/bodies/stored-body.ts';
import { batchSize, OBJECT_BYTES, WaitingPacks } from '../../src/bodies/waiting-packs.ts';
import { formatAddress, lowestUuidAt } from '../../src/lib/address.ts';
import { forSeeds, integer } from '../support/random.ts';

const NOW = Date.UTC(2026, 10, 21, 12);
const pack = (n: number, size: number, atMs = NOW) => ({
  id: formatAddress(atMs, 1, n, 0, 1),
  slot: slotAt(atMs),
  size,
});

describe('a batch', () => {
  it('waits for 8 MB or for half a minute', () => {
    expect(batchSize([], NOW)).toBe(0);
    expect(batchSize([pack(1, 5_000)], NOW)).toBe(0);
    expect(batchSize([pack(1, 5_000), pack(2, 5_000, NOW + 20_000)], NOW + 30_000)).toBe(2);
    expect(batchSize([pack(1, OBJECT_BYTES - 1), pack(2, 10)], NOW)).toBe(2);
    expect(batchSize([pack(1, OBJECT_BYTES), pack(2, 10)], NOW)).toBe(1);
  });

  it('has packs of one month', () => {
    const december = Date.UTC(2026, 11, 1);
    const packs = [pack(1, 10, december - 1), pack(2, 10, december), pack(3, 10, december - 1)];
    expect(batchSize(packs, december + 60_000)).toBe(1);
    expect(batchSize(packs.slice(1), december + 60_000)).toBe(1);
  });

  it('is one of each environment in turn, four at a time, and only of those that may', () => {
    const waiting = new WaitingPacks();
    const many = (from: number) =>
      Array.from({ length: 10 }, (_, n) => pack(from + n, OBJECT_BYTES));
    waiting.add(1, many(0));
    waiting.add(2, many(100));
    waiting.add(3, many(200));
    const turns: (number | undefined)[] = [];
    for (let i = 0; i < 9; i++) turns.push(waiting.next(NOW, (id) => id !== 3)?.environmentId);
    expect(turns).toEqual([1, 2, 1, 2, 1, 2, 1, 2, undefined]);
    expect(waiting.next(NOW, () => true)?.environmentId).toBe(3);
  });

  it('is known until a look that began after it was moved', () => {
    const waiting = new WaitingPacks();
    const packs = [pack(1, OBJECT_BYTES)];
    waiting.add(1, packs);
    const batch = waiting.next(NOW, () => true);
    const end = waiting.beginLook();
    if (batch) waiting.done(batch);
    // The look saw it as waiting.
    waiting.add(1, packs);
    end();
    expect(waiting.next(NOW, () => true)).toBeUndefined();
    expect(waiting.has(packs[0]?.id ?? '')).toBe(true);
    expect(waiting.isSlotBusy(slotAt(NOW))).toBe(false);
    waiting.beginLook()();
    expect(waiting.count).toBe(0);
  });
});

describe('the ring', () => {
  it('has every pack in a slot that was looked at while it was written', () => {
    forSeeds(5_000, (random) => {
      const fromMs = NOW + integer(random, 0, 1_000_000);
      const untilMs = fromMs + integer(random, 0, 400_000);
      const atMs = integer(random, fromMs, untilMs);
      expect(slotsSince(fromMs, untilMs)).toContain(slotAt(atMs));
      expect(isOpenSlot(slotAt(atMs), atMs)).toBe(true);
      expect(slotOfPack(formatAddress(atMs, 3, 4, 5, 6))).toBe(slotAt(atMs));
    });
  });

  it('tells the times of a slot from its first and last pack', () => {
    forSeeds(2_000, (random) => {
      const slot = integer(random, 0, SLOT_COUNT - 1);
      const firstMs =
        Math.floor(NOW / 320_000) * 320_000 + slot * 10_000 + integer(random, 0, 9_999);
      const lastMs = firstMs + 320_000 * integer(random, 0, 5);
      const laps = lapsOf(slot, lowestUuidAt(firstMs), lowestUuidAt(lastMs));
      const covers = (ms: number) => laps.some(([from, until]) => ms >= from && ms < until);
      expect(covers(firstMs) && covers(lastMs)).toBe(true);
      for (const [from] of laps) expect(slotAt(from)).toBe(slot);
    });
  });
});

describe('packs', () => {
  const policy = (isOpen: boolean) => {
    let kept = 0;
    return {
      ...{ minBytes: 20, isOpen: () => isOpen, kept: () => (kept += 1) },
      keptCount: () => kept,
    };
  };
  const long = JSON.stringify({ text: 'ä long content, long enough' });

  it('leave short contents where they are, and all of them while the ring is full', () => {
    const open = new Packs(policy(true));
    expect(open.add(1, 'a', '{}')).toBe('{}');
    expect(open.count).toBe(0);
    const full = policy(false);
    const closed = new Packs(full);
    expect(closed.add(1, 'a', long)).toBe(long);
    expect(closed.add(1, 'b', '{}')).toBe('{}');
    expect(full.keptCount()).toBe(1);
  });

  it('are apart for each environment, and say at which bytes a content is', () => {
    const packs = new Packs(policy(true));
    const ids = [1, 2, 3].map((n) => formatAddress(NOW, 1, n, 0, 1));
    const [first, other, second] = [1, 2, 1].map((environmentId, i) =>
      storedBody(JSON.parse(packs.add(environmentId, ids[i] ?? '', long))),
    );
    expect(packs.count).toBe(2);
    expect(first).toMatchObject({ pack: ids[0], at: 0, bytes: Buffer.byteLength(long) });
    expect(second).toMatchObject({ pack: ids[0], at: Buffer.byteLength(long) });
    expect(other).toMatchObject({ pack: ids[1], at: 0 });
  });
});

describe('ranges of an object', () => {
  it('are read together when they lie close to each other, each of another object alone', () => {
    const body = (objectId: string, at: number, bytes = 1_000) => ({
      row: { environment_id: 1 },
      body: { pack: 'p', at, bytes, sha: '' },
      ...{ objectId, packAt: 0 },
    });
    const spans = spansOf([
      body('o1', 5_000_000),
      body('o1', 2_000),
      body('o2', 2_000),
      body('o1', 0),
    ]);
    expect(spans.map(({ at, end, of }) => [at, end, of])).toEqual([
      [0, 3_000, [3, 1]],
      [5_000_000, 5_001_000, [0]],
      [2_000, 3_000, [2]],
    ]);
  });
});
