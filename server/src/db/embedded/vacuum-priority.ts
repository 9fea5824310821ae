import { readFile } from 'node:fs/promises';
import type { Logger } from '../../lib/log.ts';
import { createPriority } from '../../lib/priority.ts';

const LOOK_MS = 250;
/** A process has the name of its parent until it has said what it is. */
const LOOKS_AT_ONE = 4;
const VACUUM = /^postgres: (?:[^:]*: )?autovacuum worker/;

/**
 * Gives each autovacuum worker of a server the priority of work that can wait. To analyze a table that grew takes a third of a
 * second of a core, which on few cores everybody's next answers would wait for. Workers live for seconds and are children of
 * the server, so its children are looked at; only Linux lists them (`/proc/PID/task/TID/children`), elsewhere nothing is done.
 */
export function lowerVacuums(serverPid: number, log: Logger): { readonly close: () => void } {
  const priority = createPriority('low', log);
  /** Children that are there, and how often each is still to be looked at. */
  let known = new Map<number, number>();
  let isLooking = false;
  const look = async (): Promise<void> => {
    const children = await childrenOf(serverPid);
    const before = known;
    known = new Map(children.map((pid) => [pid, before.get(pid) ?? LOOKS_AT_ONE]));
    for (const [pid, looks] of known) {
      if (looks === 0) continue;
      const isVacuum = VACUUM.test(await nameOf(pid));
      known.set(pid, isVacuum ? 0 : looks - 1);
      if (isVacuum) await priority.lower(pid);
    }
  };
  if (process.platform !== 'linux') return { close: () => undefined };
  const timer = setInterval(() => {
    if (isLooking) return;
    isLooking = true;
    void look().finally(() => {
      isLooking = false;
    });
  }, LOOK_MS);
  timer.unref();
  return { close: () => clearInterval(timer) };
}

/** None for one that is gone, or where the kernel does not tell. */
async function childrenOf(pid: number): Promise<number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '');
  return text.split(' ').filter(Boolean).map(Number);
}

async function nameOf(pid: number): Promise<string> {
  return await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
}
