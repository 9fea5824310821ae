import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { copyFile, open, readFile, rename, stat, truncate } from 'node:fs/promises';
import { systemErrorCode } from '../start-error.ts';

const LIMIT_BYTES = 10 * 1024 * 1024;
const CHECK_EVERY_MS = 60_000;
const TAIL_LINES = 8;

export type ServerLog = {
  /** What the server writes to. */
  readonly file: FileHandle;
  /** What the server wrote since this start, its last lines. */
  readonly tail: () => Promise<string>;
  readonly close: () => Promise<void>;
};

/** The server's own log, at most twice 10 MB: the older half is PATH.1. */
export async function openServerLog(path: string): Promise<ServerLog> {
  const before = (await stat(path).catch(() => undefined))?.size ?? 0;
  if (before > LIMIT_BYTES) await rename(path, `${path}.1`);
  const file = await open(path, 'a', 0o600);
  const from = before > LIMIT_BYTES ? 0 : before;
  const timer = setInterval(() => void shorten(path), CHECK_EVERY_MS);
  timer.unref();
  return {
    file,
    tail: async () => {
      const text = (await readFile(path)).subarray(from).toString();
      return text.trim().split('\n').slice(-TAIL_LINES).join('\n');
    },
    close: async () => {
      clearInterval(timer);
      await file.close();
    },
  };
}

// The server appends to the file that it was given, so that is emptied, not replaced.
async function shorten(path: string): Promise<void> {
  try {
    if ((await stat(path)).size <= LIMIT_BYTES) return;
    await copyFile(path, `${path}.1`, constants.COPYFILE_FICLONE);
    await truncate(path);
  } catch (error) {
    // The directory is being removed, or the disk is full: the next check tries again.
    if (systemErrorCode(error) === undefined) throw error;
  }
}
