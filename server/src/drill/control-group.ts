import { access, mkdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * Whose processor time counts together. `own`: made for the drill; `given`: the process was started in one, as by a
 * service manager or in a container; `none`: Linux may share the processors among sessions, or it is not Linux.
 */
export type ControlGroup = {
  readonly is: 'own' | 'given' | 'none';
  readonly leave: () => Promise<void>;
};

const nothingToLeave = async (): Promise<void> => undefined;

/**
 * Puts this process, and whatever it starts from now on, into a control group of its own where it has none and may make
 * one (as root). A container has one, and a service where the system shares the processor out by service; what the server
 * says of priorities counts among all of its processes there; see cgroups(7), and sched(7), "The autogroup feature".
 */
export async function enterControlGroup(): Promise<ControlGroup> {
  const root = await rootGroup();
  if (root === 'given') return { is: 'given', leave: nothingToLeave };
  if (root === 'none') return { is: 'none', leave: nothingToLeave };
  const group = join(root.path, `belfry-drill-${process.pid}`);
  try {
    await mkdir(group);
  } catch {
    // Read-only, or not root.
    return { is: 'none', leave: nothingToLeave };
  }
  const leave = async (): Promise<void> => {
    // What a drill found is worth more than an empty group that stays.
    await moveTo(root.path).catch(() => undefined);
    await rmdir(group).catch(() => undefined);
  };
  try {
    await moveTo(group);
  } catch {
    await leave();
    return { is: 'none', leave: nothingToLeave };
  }
  return { is: 'own', leave };
}

/**
 * Where the control groups of the processor are, when this process is in none but the root; `given` when it is in another. With version 2 that
 * is one for which the system shares the processor out, or one within it.
 */
async function rootGroup(): Promise<{ readonly path: string } | 'given' | 'none'> {
  const [groups, mounts] = await Promise.all([
    readFile('/proc/self/cgroup', 'utf8').catch(() => ''),
    readFile('/proc/self/mounts', 'utf8').catch(() => ''),
  ]);
  // number:controllers:path; version 2 has no controllers.
  const lines = groups.split('\n').map((line) => line.split(':'));
  const cpu = lines.find(([, controllers]) => controllers?.split(',').includes('cpu'));
  const [, , group] = cpu ?? lines.find(([, controllers]) => controllers === '') ?? [];
  const path = mountPoint(mounts, cpu !== undefined);
  if (group === undefined || path === undefined) return 'none';
  // A container calls its own group the root; only that of the machine has the one file, and has not the other.
  const isRoot = cpu
    ? await exists(join(path, 'release_agent'))
    : !(await exists(join(path, 'cgroup.type')));
  if (cpu) return group === '/' && isRoot ? { path } : 'given';
  const isShared = !isRoot || (await sharesProcessor(path));
  if (!isShared) return 'none';
  return group === '/' && isRoot ? { path } : 'given';
}

/** Whether the groups of the root, and all within them, have shares of the processor. */
async function sharesProcessor(path: string): Promise<boolean> {
  const shared = await readFile(join(path, 'cgroup.subtree_control'), 'utf8').catch(() => '');
  return shared.split(/\s/).includes('cpu');
}

/** Each line: device, path, type, options. */
function mountPoint(mounts: string, isVersion1: boolean): string | undefined {
  const [, path] =
    mounts
      .split('\n')
      .map((line) => line.split(' '))
      .find(([, , type, options]) =>
        isVersion1 ? type === 'cgroup' && options?.split(',').includes('cpu') : type === 'cgroup2',
      ) ?? [];
  return path;
}

async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}

async function moveTo(group: string): Promise<void> {
  await writeFile(join(group, 'cgroup.procs'), String(process.pid));
}
