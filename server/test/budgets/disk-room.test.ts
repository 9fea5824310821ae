import { expect, test } from 'vitest';
import { type DiskSpace, defaultFloorBytes, watchDisk } from '../../src/budgets/disk-room.ts';
import { silentLog } from '../support/log.ts';
import { waitFor } from '../support/wait.ts';

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;

async function watched(totalBytes: number, floorBytes?: number) {
  let free: number | Error = totalBytes;
  let looks = 0;
  const room = await watchDisk({
    directory: '/somewhere',
    floorBytes,
    log: silentLog,
    measure: async (): Promise<DiskSpace> => {
      looks += 1;
      if (free instanceof Error) throw free;
      return { freeBytes: free, totalBytes };
    },
  });
  return {
    room,
    /** What is so once it was looked at. */
    with: async (freeBytes: number | Error) => {
      free = freeBytes;
      const before = looks;
      await waitFor('two looks', () => (looks >= before + 2 ? true : undefined));
      return { low: room.isLow(), out: room.isOut() };
    },
  };
}

test('a large disk that is 98 % full has room, and a small one has not', async () => {
  expect(defaultFloorBytes(1_000 * GIB)).toBeLessThan(0.02 * 1_000 * GIB);
  expect(defaultFloorBytes(20 * GIB)).toBe(GIB);
  for (const gib of [1, 2, 10]) {
    expect(defaultFloorBytes(gib * GIB)).toBeGreaterThan(0.02 * gib * GIB);
    expect(defaultFloorBytes(gib * GIB)).toBeLessThan(0.15 * gib * GIB);
  }
});

test('below the floor nothing is accepted, below the reserve nothing is started, and both come back by themselves', async () => {
  const disk = await watched(100 * GIB);
  try {
    expect(disk.room.state()).toMatchObject({ floorBytes: GIB, reserveBytes: GIB / 4 });
    expect(await disk.with(GIB)).toEqual({ low: false, out: false });
    expect(await disk.with(GIB - 1)).toEqual({ low: true, out: false });
    expect(await disk.with(GIB / 4 - 1)).toEqual({ low: true, out: true });
    // Not at once: what was freed is used again first.
    expect(await disk.with(GIB / 4 + MIB)).toEqual({ low: true, out: true });
    expect(await disk.with(GIB + MIB)).toEqual({ low: true, out: false });
    expect(await disk.with(1.2 * GIB)).toEqual({ low: false, out: false });
  } finally {
    disk.room.close();
  }
});

test('a floor of 0 is none, and a disk that cannot be measured refuses nobody', async () => {
  const none = await watched(GIB, 0);
  expect(await none.with(0)).toEqual({ low: false, out: false });
  none.room.close();
  const lost = await watched(100 * GIB);
  expect(await lost.with(1)).toEqual({ low: true, out: true });
  expect(await lost.with(new Error('gone'))).toEqual({ low: false, out: false });
  expect(lost.room.state()).toBeUndefined();
  lost.room.close();
});
