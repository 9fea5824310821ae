import { statfs } from 'node:fs/promises';
import type { Logger } from '../lib/log.ts';

const MIB = 1024 ** 2;
const LOOK_MS = 250;
/** The floor: a share of the disk, not less than eight and not more than 64 segments of PostgreSQL's log (16 MB). */
const FLOOR_SHARE = 0.05;
const LEAST_FLOOR = 128 * MIB;
const MOST_FLOOR = 1024 * MIB;
/** The reserve: a share of the floor, not less than four such segments. */
const RESERVE_SHARE = 0.25;
const LEAST_RESERVE = 64 * MIB;
/** What ended below a bound begins again this much above it. */
const HYSTERESIS = 1.1;

export type DiskState = {
  readonly freeBytes: number;
  /** With less than this nothing is accepted. */
  readonly floorBytes: number;
  /** With less than this nothing that waits is started. */
  readonly reserveBytes: number;
};

/** How much room the database's disk has, looked at four times a second. */
export type DiskRoom = {
  /** Too little to accept anything. */
  readonly isLow: () => boolean;
  /** Too little to go on with what was accepted. */
  readonly isOut: () => boolean;
  /** Undefined: it cannot be found out. */
  readonly state: () => DiskState | undefined;
  readonly close: () => void;
};

export type DiskSpace = { readonly freeBytes: number; readonly totalBytes: number };

/** 1 GiB; of a disk below 20 GiB 5 %, of one below 2.5 GiB 128 MiB. */
export function defaultFloorBytes(totalBytes: number): number {
  return Math.max(LEAST_FLOOR, Math.min(MOST_FLOOR, Math.floor(totalBytes * FLOOR_SHARE)));
}

function reserveBytesOf(floorBytes: number): number {
  return Math.min(floorBytes, Math.max(LEAST_RESERVE, Math.floor(floorBytes * RESERVE_SHARE)));
}

/**
 * Watches the disk of an embedded database. PostgreSQL ends itself when it cannot write its log, and starts only
 * when there is room again; so before that new requests are refused (`isLow`), and long before the last
 * megabyte work that waits stays where it is (`isOut`).
 */
export async function watchDisk(options: {
  readonly directory: string;
  /** Undefined: `defaultFloorBytes`. */
  readonly floorBytes: number | undefined;
  readonly log: Logger;
  /** Of the disk that the directory is on. */
  readonly measure?: (directory: string) => Promise<DiskSpace>;
}): Promise<DiskRoom> {
  const { directory, log, measure = spaceOf } = options;
  let state: DiskState | undefined;
  let isLow = false;
  let isOut = false;
  let hasFailed = false;
  let timer: NodeJS.Timeout | undefined;
  let closed = false;

  const look = async (): Promise<void> => {
    try {
      const { freeBytes, totalBytes } = await measure(directory);
      const floorBytes = options.floorBytes ?? defaultFloorBytes(totalBytes);
      const reserveBytes = reserveBytesOf(floorBytes);
      state = { freeBytes, floorBytes, reserveBytes };
      hasFailed = false;
      const wasLow = isLow;
      isLow = freeBytes < floorBytes * (isLow ? HYSTERESIS : 1);
      isOut = freeBytes < reserveBytes * (isOut ? HYSTERESIS : 1);
      if (isLow && !wasLow) {
        log.error(
          { directory, freeBytes, floorBytes },
          'the disk is nearly full: nothing is accepted',
        );
      }
      if (wasLow && !isLow) log.info({ directory, freeBytes }, 'the disk has room again');
    } catch (error) {
      // A disk that cannot be measured is no reason to refuse.
      if (!hasFailed) log.warn({ err: error, directory }, 'the free space cannot be found out');
      hasFailed = true;
      state = undefined;
      isLow = false;
      isOut = false;
    }
  };
  const again = async (): Promise<void> => {
    await look();
    if (!closed) timer = setTimeout(again, LOOK_MS);
  };
  await again();
  return {
    isLow: () => isLow,
    isOut: () => isOut,
    state: () => state,
    close: () => {
      closed = true;
      clearTimeout(timer);
    },
  };
}

/** What the database's user may take, which is less than what root may. */
async function spaceOf(directory: string): Promise<DiskSpace> {
  const { bavail, blocks, bsize } = await statfs(directory);
  return { freeBytes: bavail * bsize, totalBytes: blocks * bsize };
}
