import { readdirSync, readFileSync } from 'node:fs';

/** Clock ticks a second of /proc/PID/stat on Linux. */
const TICKS = 100;

type ProcessUse = {
  readonly pid: number;
  readonly parent: number;
  readonly name: string;
  readonly cpuSeconds: number;
};

/** A process and everything below it, with the CPU time of children that ended. Linux only. */
export function processTree(root: number): ProcessUse[] {
  const all = readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .flatMap((entry) => readProcess(Number(entry)) ?? []);
  const tree = all.filter((entry) => entry.pid === root);
  for (let i = 0; i < tree.length; i++) {
    tree.push(...all.filter((entry) => entry.parent === tree[i]?.pid));
  }
  return tree;
}

function readProcess(pid: number): ProcessUse | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const name = stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')'));
    const fields = stat
      .slice(stat.lastIndexOf(')') + 2)
      .split(' ')
      .map(Number);
    const ticks = (fields[11] ?? 0) + (fields[12] ?? 0) + (fields[13] ?? 0) + (fields[14] ?? 0);
    return { pid, parent: fields[1] ?? 0, name, cpuSeconds: ticks / TICKS };
  } catch {
    return undefined;
  }
}

/** Memory of processes in MB: shared pages are counted once (proportional set size). */
export function memoryMb(pids: readonly number[]): number {
  let kb = 0;
  for (const pid of pids) {
    try {
      kb += Number(
        /^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1] ?? 0,
      );
    } catch {
      // The process ended between the listing and the reading.
    }
  }
  return kb / 1024;
}

export type Usage = {
  readonly nodeCpuSeconds: number;
  readonly postgresCpuSeconds: number;
  readonly memoryMb: number;
  /** Of its Node processes alone. */
  readonly nodeMemoryMb: number;
};

/** CPU time and memory of a Belfry server: its Node processes and its PostgreSQL. */
export function usageOf(serverPid: number, postgresPid: number): Usage {
  const node = processTree(serverPid).filter((entry) => entry.name !== 'postgres');
  const postgres = processTree(postgresPid);
  const sum = (entries: readonly ProcessUse[]) =>
    entries.reduce((total, entry) => total + entry.cpuSeconds, 0);
  return {
    nodeCpuSeconds: sum(node),
    postgresCpuSeconds: sum(postgres),
    memoryMb: memoryMb([...node, ...postgres].map((entry) => entry.pid)),
    nodeMemoryMb: memoryMb(node.map((entry) => entry.pid)),
  };
}
