import { spawn } from 'node:child_process';
import { chmod, mkdtemp, rm, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startEmbeddedPostgres } from '../../src/db/embedded.ts';
import { silentLog } from './log.ts';

/** Where files are memory. A test database is 1,300 files: there they are copied in 20 ms, and on a disk in up to 250. */
const MEMORY = '/dev/shm';
/** Many times what a run takes. */
const ROOM_BYTES = 3 * 1024 ** 3;

export type ScratchPostgres = { readonly url: string; readonly stop: () => Promise<void> };

/** A server on an empty directory that is gone, with its directory, when this process is. */
export async function startScratchPostgres(): Promise<ScratchPostgres> {
  const dataDir = await scratchDirectory();
  await chmod(dataDir, 0o711);
  const guard = guardDirectory(dataDir);
  try {
    const postgres = await startEmbeddedPostgres({
      dataDir,
      log: silentLog,
      fsync: false,
      settings: {
        max_connections: '200',
        synchronous_commit: 'off',
        full_page_writes: 'off',
        autovacuum: 'off',
        max_wal_size: '512MB',
      },
    });
    return {
      url: postgres.url,
      stop: async () => {
        await postgres.stop();
        await rm(dataDir, { recursive: true, force: true });
        guard.kill();
      },
    };
  } catch (error) {
    await rm(dataDir, { recursive: true, force: true });
    guard.kill();
    throw error;
  }
}

/** In memory where there is enough of it and this user may. */
async function scratchDirectory(): Promise<string> {
  const { bavail, bsize } = await statfs(MEMORY).catch(() => ({ bavail: 0, bsize: 0 }));
  const onDisk = () => mkdtemp(join(tmpdir(), 'belfry-test-'));
  if (Math.min(bavail * bsize, process.availableMemory()) < ROOM_BYTES) return onDisk();
  return mkdtemp(join(MEMORY, 'belfry-test-')).catch(onDisk);
}

// Waits for the end of its input, which comes however this process ends, kill -9 included.
function guardDirectory(dataDir: string) {
  const script = `
    cat > /dev/null
    pid=$(head -n 1 "$1/postgres/postmaster.pid" 2> /dev/null) && kill -QUIT "$pid" 2> /dev/null
    for attempt in 1 2 3 4 5 6 7 8 9 10; do
      [ -d "$1" ] || exit 0
      rm -rf "$1" 2> /dev/null || sleep 0.2
    done`;
  const guard = spawn('sh', ['-c', script, 'guard', dataDir], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  guard.unref();
  return guard;
}
