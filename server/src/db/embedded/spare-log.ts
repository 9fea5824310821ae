import { open, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { ServerUser } from './server-user.ts';

const MIB = 1024 ** 2;
/** `wal_segment_size` as initdb sets it. */
const SEGMENT_BYTES = 16 * MIB;
const SEGMENTS_PER_NAME = 2 ** 32 / SEGMENT_BYTES;
const DISK_SHARE = 0.02;
const LEAST_BYTES = 80 * MIB;
const MOST_BYTES = 1024 * MIB;

/**
 * How much of the write-ahead log is kept in segments that wait to be written again (`min_wal_size`), in bytes: 1 GiB, on disks
 * below 50 GiB 2 % of the disk, never less than PostgreSQL's own 80 MB.
 *
 * To make a segment takes 30 to 60 ms (a file, its directory and the file system's journal are synced) and every commit waits for it:
 * under load each few seconds. To go on with one that is there takes nothing.
 */
export async function spareLogBytes(clusterDir: string): Promise<number> {
  const { blocks, bsize } = await statfs(dirname(clusterDir));
  const share = Math.min(MOST_BYTES, Math.max(LEAST_BYTES, blocks * bsize * DISK_SHARE));
  return Math.floor(share / SEGMENT_BYTES) * SEGMENT_BYTES;
}

/**
 * Makes the segments that follow the only one of a new cluster, so that they are there before the first checkpoint could recycle
 * any. The server takes a file with the name of its next segment for one that was recycled
 * (XLogFileInitInternal in PostgreSQL's xlog.c). They are sparse, as the server's own with `wal_init_zero = off`:
 * they take no room until they are written.
 */
export async function makeSpareLog(
  clusterDir: string,
  bytes: number,
  user: ServerUser,
): Promise<void> {
  const directory = join(clusterDir, 'pg_wal');
  const files = [];
  for (let segment = 2; segment <= bytes / SEGMENT_BYTES; segment++) {
    const path = join(directory, segmentName(segment));
    const file = await open(path, 'wx', 0o600);
    files.push(file);
    await file.truncate(SEGMENT_BYTES);
    await user.own(path);
  }
  // The first sync takes the others along.
  for (const file of files) {
    await file.sync();
    await file.close();
  }
}

/** Timeline 1, then the number in two parts of 8 hexadecimal digits (XLogFileName in xlog_internal.h). */
function segmentName(segment: number): string {
  const parts = [1, Math.floor(segment / SEGMENTS_PER_NAME), segment % SEGMENTS_PER_NAME];
  return parts.map((part) => part.toString(16).toUpperCase().padStart(8, '0')).join('');
}
