import { describe, expect, it } from 'vitest';
import { formatAddress, lowestUuidAt, MAX_STREAM, parseAddress } from '../../src/lib/address.ts';
import { ksuidFromUuid, uuidFromKsuid } from '../../src/lib/ksuid.ts';
import { timeOrderedUuid } from '../../src/lib/uuid.ts';
import { forSeeds, integer } from '../support/random.ts';

const MAX_TIME = 2 ** 48 - 1;
const MAX_SEQUENCE = 2 ** 44 - 1;

function randomAddress(random: () => number) {
  // Small, large and extreme values alike.
  const pick = (most: number): number => {
    const kind = random();
    if (kind < 0.1) return 0;
    if (kind < 0.2) return most;
    return Math.floor(random() * (kind < 0.6 ? Math.min(most, 1_000) : most));
  };
  return {
    timeMs: pick(MAX_TIME),
    stream: pick(MAX_STREAM),
    sequence: pick(MAX_SEQUENCE),
    index: pick(0xfff),
    part: pick(63),
  };
}

const format = (a: ReturnType<typeof randomAddress>): string =>
  formatAddress(a.timeMs, a.stream, a.sequence, a.index, a.part);

describe('addresses', () => {
  it('come back from their text with every field, over the whole range of each', () => {
    forSeeds(20_000, (random) => {
      const address = randomAddress(random);
      expect(parseAddress(format(address))).toEqual(address);
      expect(parseAddress(format(address).toUpperCase())).toEqual(address);
    });
  });

  it('are UUIDs of version 8 and variant 10', () => {
    forSeeds(2_000, (random) => {
      expect(format(randomAddress(random))).toMatch(
        /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
      );
    });
  });

  it('differ when stream, sequence, index or part differ', () => {
    forSeeds(5_000, (random) => {
      const address = randomAddress(random);
      for (const [field, most] of [
        ['stream', MAX_STREAM],
        ['sequence', MAX_SEQUENCE],
        ['index', 0xfff],
        ['part', 63],
      ] as const) {
        const other = { ...address, [field]: (address[field] + 1) % (most + 1) };
        expect(format(other)).not.toBe(format(address));
      }
    });
  });

  it('sort by time, then stream, sequence, index and part', () => {
    forSeeds(5_000, (random) => {
      const [a, b] = [randomAddress(random), randomAddress(random)];
      if (random() < 0.5) b.timeMs = a.timeMs;
      if (random() < 0.5) b.stream = a.stream;
      if (random() < 0.5) b.sequence = a.sequence;
      const fields = ['timeMs', 'stream', 'sequence', 'index', 'part'] as const;
      const decisive = fields.find((field) => a[field] !== b[field]);
      const expected = decisive === undefined ? 0 : Math.sign(a[decisive] - b[decisive]);
      const [left, right] = [format(a), format(b)];
      expect(left < right ? -1 : left > right ? 1 : 0).toBe(expected);
    });
  });

  it('are at or above the partition bound of their time, and below that of the next millisecond', () => {
    forSeeds(2_000, (random) => {
      const address = { ...randomAddress(random), timeMs: integer(random, 0, MAX_TIME - 1) };
      expect(format(address) >= lowestUuidAt(address.timeMs)).toBe(true);
      expect(format(address) < lowestUuidAt(address.timeMs + 1)).toBe(true);
    });
  });

  it('are not seen in other UUIDs or other text', () => {
    for (const text of [
      '',
      'x',
      timeOrderedUuid(Date.now()),
      '018f0000-0000-4000-8000-000000000000',
      '018f0000-0000-8000-c000-000000000000',
      '018f0000-0000-8000-8000-00000000000',
      ' 018f0000-0000-8000-8000-000000000000',
      '018f0000-0000-8000-8000-000000000000\n',
    ]) {
      expect(parseAddress(text), JSON.stringify(text)).toBeUndefined();
    }
  });
});

describe('public ids', () => {
  const EPOCH_MS = 1_400_000_000_000;
  const randomTime = (random: () => number): number => EPOCH_MS + Math.floor(random() * 4e12);

  it('lead back to the UUID they were made of', () => {
    forSeeds(10_000, (random) => {
      const uuid =
        random() < 0.5
          ? timeOrderedUuid(randomTime(random))
          : format({ ...randomAddress(random), timeMs: randomTime(random) });
      expect(uuidFromKsuid(ksuidFromUuid(uuid))).toBe(uuid);
    });
  });

  it('have 27 characters of base 62', () => {
    forSeeds(2_000, (random) => {
      expect(ksuidFromUuid(timeOrderedUuid(randomTime(random)))).toMatch(/^[0-9A-Za-z]{27}$/);
    });
    expect(ksuidFromUuid(timeOrderedUuid(EPOCH_MS))).toMatch(/^[0-9A-Za-z]{27}$/);
  });

  it('sort as their UUIDs do, hence by time', () => {
    forSeeds(5_000, (random) => {
      const first = timeOrderedUuid(randomTime(random));
      const second = timeOrderedUuid(randomTime(random));
      expect(ksuidFromUuid(first) < ksuidFromUuid(second)).toBe(first < second);
    });
  });

  it('are told from garbage', () => {
    const good = ksuidFromUuid(timeOrderedUuid(Date.now()));
    for (const text of [
      '',
      good.slice(1),
      `${good}0`,
      `${good.slice(0, 26)}-`,
      `${good.slice(0, 26)}é`,
      'z'.repeat(27),
      'aWgEPTl1tmebfsQzFP4bxwgy80W',
      '0'.repeat(26).concat('!'),
      // The time in front does not fit the UUID behind it.
      `1${good.slice(1)}`,
    ]) {
      expect(uuidFromKsuid(text), text).toBeUndefined();
    }
  });
});
