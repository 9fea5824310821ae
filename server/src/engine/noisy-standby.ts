import { usableMemoryBytes } from '../lib/memory.ts';

/**
 * With less memory than a machine of 4 GB the executor for noisy lanes, some 90 MB, is there only while it is needed. Such a machine
 * has a few hundred MB less to give.
 */
const STANDBY_BYTES = 3.5 * 1024 ** 3;
const KEEP_MS = 180_000;

/** How long the executor for noisy lanes is kept after the last of them, in ms: for ever where memory is no matter. */
export function noisyKeepMs(memoryBytes: number = usableMemoryBytes()): number {
  return memoryBytes >= STANDBY_BYTES ? Number.POSITIVE_INFINITY : KEEP_MS;
}
