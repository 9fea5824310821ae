import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { withSystemPath } from '../lib/system-path.ts';

const run = (program: string, args: readonly string[]) =>
  promisify(execFile)(program, args, { env: withSystemPath(process.env) });

/** A small file system made for a drill, in a file. */
export type ScratchDisk = {
  readonly path: string;
  /** Takes room until so large a share of it is used, 0 to 1; returns the megabytes that are left. */
  readonly fill: (share: number) => Promise<number>;
  /** Gives back what `fill` took. */
  readonly empty: () => Promise<void>;
  readonly remove: () => Promise<void>;
};

/** What making one leaves free where the file is. */
const LEFT_MEGABYTES = 2_000;

/** Making one needs root, on Linux. */
export class NoScratchDisk extends Error {}

export type DiskSize = {
  readonly megabytes: number;
  /**
   * Whether every block of the file is written first, as those of a disk are. The file then takes all of its room.
   * Otherwise only what is used, and the first use of a block is a change to the file system below.
   */
  readonly isWritten: boolean;
};

/** Throws `NoScratchDisk`, one sentence with the reason, where this machine does not let us mount one. */
export async function makeScratchDisk({ megabytes, isWritten }: DiskSize): Promise<ScratchDisk> {
  const directory = await mkdtemp(join(tmpdir(), 'belfry-drill-disk-'));
  const image = join(directory, 'image');
  const path = join(directory, 'disk');
  const filler = join(path, 'filler');
  let isMounted = false;
  const remove = async (): Promise<void> => {
    // Lazily where a process that would not end still has a file open.
    if (isMounted) await run('umount', [path]).catch(() => run('umount', ['-l', path]));
    isMounted = false;
    await rm(directory, { recursive: true, force: true });
  };
  try {
    await mkdir(path);
    await run('truncate', ['-s', `${megabytes}M`, image]);
    if (isWritten) {
      await needRoom(directory, megabytes + LEFT_MEGABYTES);
      await writeAll(image, megabytes);
    }
    // Nothing kept back for root, and nothing left to be initialised later. No journal: the file system below has one,
    // and two make a sync take twice as long. A drill ends processes, not the machine.
    const features = ['-m', '0', '-N', '100000', '-O', '^has_journal'];
    await run('mkfs.ext4', ['-q', '-F', ...features, '-E', 'lazy_itable_init=0,nodiscard', image]);
    await run('mount', ['-o', 'loop,noatime', image, path]);
    isMounted = true;
    await pastTheCache(path);
  } catch (error) {
    await remove();
    const reason = error instanceof Error ? error.message.trim().split('\n').at(-1) : error;
    throw new NoScratchDisk(`a file system of its own cannot be mounted here (${reason})`);
  }
  return {
    path,
    fill: async (share) => {
      const { blocks, bavail, bsize } = await statfs(path);
      const bytes = Math.max(0, Math.floor((bavail - blocks * (1 - share)) * bsize));
      await run('fallocate', ['-l', String(bytes), filler]);
      return Math.round((bavail * bsize - bytes) / 1024 ** 2);
    },
    empty: () => rm(filler, { force: true }),
    remove,
  };
}

/** Whatever else is on that file system goes on. */
async function needRoom(directory: string, megabytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(directory);
  const free = Math.floor((bavail * bsize) / 1024 ** 2);
  if (free < megabytes) {
    throw new Error(`${free} MB are free in ${tmpdir()}, less than ${megabytes}; set TMPDIR`);
  }
}

/** Past the cache, which is the database's, where the file system below lets us. */
async function writeAll(image: string, megabytes: number): Promise<void> {
  const zeros = [
    'if=/dev/zero',
    `of=${image}`,
    'bs=1M',
    `count=${megabytes}`,
    'conv=notrunc,fsync',
  ];
  await run('dd', ['oflag=direct', ...zeros]).catch(() => run('dd', zeros));
}

/** Otherwise what is written to the file system in the file is cached, and copied, a second time. Slower where that cannot be had. */
async function pastTheCache(path: string): Promise<void> {
  try {
    const { stdout } = await run('findmnt', ['-n', '-o', 'SOURCE', path]);
    await run('losetup', ['--direct-io=on', stdout.trim()]);
  } catch {
    // An image on a file system that has no direct I/O, or an older losetup.
  }
}
