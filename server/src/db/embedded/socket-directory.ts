import { createHash } from 'node:crypto';
import { lstat, mkdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { StartError } from '../start-error.ts';
import type { ServerUser } from './server-user.ts';

// The kernel takes 107 characters (103 on macOS) for "DIRECTORY/.s.PGSQL.5432.lock" less the suffix.
const LONGEST_DIRECTORY = 80;

/**
 * Makes the directory of the server's socket, which only the server's user (and root) may enter. It
 * is in the data directory, or, where that path is too long or odd, in the system's for temporary files.
 */
export async function makeSocketDirectory(dataDir: string, user: ServerUser): Promise<string> {
  const inside = join(dataDir, 'socket');
  const path =
    inside.length <= LONGEST_DIRECTORY && /^[\w./+@-]+$/.test(inside)
      ? inside
      : join(tmpdir(), `belfry-${createHash('sha256').update(dataDir).digest('hex').slice(0, 16)}`);
  // Whoever made it before us in a directory that everybody may write to, could look inside.
  const found = await lstat(path).catch(() => undefined);
  const uid = process.getuid?.() ?? 0;
  if (found && uid !== 0 && found.uid !== uid) {
    throw new StartError(
      `The socket directory ${path} belongs to user ${found.uid}; remove it, or set BELFRY_DATA_DIR ` +
        'to a shorter path.',
    );
  }
  await rm(path, { recursive: true, force: true });
  await mkdir(path, { mode: 0o700 });
  await user.own(path);
  return path;
}
