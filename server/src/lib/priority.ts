import { readdir, readFile, writeFile } from 'node:fs/promises';
import { setPriority } from 'node:os';
import { setTimeout as wait } from 'node:timers/promises';
import type { Logger } from './log.ts';

/** Linux lets an ordinary user change a session's priority ten times a second, whichever session it is. */
const BUSY_TRIES = 20;
const BUSY_MS = 120;

/**
 * Lowers processes to `niceness`; 0 is the whole machine's default, 19 the lowest. One that the system does
 * not let us lower stays as it is, and the first of them is logged.
 *
 * Where Linux groups processes by session (`kernel.sched_autogroup_enabled`, the default of most distributions),
 * niceness counts only within a session, and sessions share the processor alike. Each process of PostgreSQL is a
 * session. So that of a process that leads one is lowered too; see sched(7), "The autogroup feature". In a control group, as a
 * container is one, it counts for each thread alone.
 */
export function createPriority(niceness: number | undefined, log: Logger) {
  let hasComplained = false;
  const complain = (error: unknown, pid: number): void => {
    if (!hasComplained) log.debug({ err: error, pid }, 'the priority of a process stays as it is');
    hasComplained = true;
  };
  return {
    /** Resolves when it is done, or cannot be done. */
    lower: async (pid: number): Promise<void> => {
      if (niceness === undefined) return;
      try {
        await lowerThreads(pid, niceness);
        await lowerSession(pid, niceness);
      } catch (error) {
        complain(error, pid);
      }
    },
  };
}

/** Those that a thread starts later have its priority. */
async function lowerThreads(pid: number, niceness: number): Promise<void> {
  // Elsewhere a priority is the process's.
  const threads = process.platform === 'linux' ? await readdir(`/proc/${pid}/task`) : [pid];
  for (const thread of threads) {
    try {
      setPriority(Number(thread), niceness);
    } catch (error) {
      // It has ended meanwhile.
      if ((error as { info?: { code?: string } }).info?.code !== 'ESRCH') throw error;
    }
  }
}

async function lowerSession(pid: number, niceness: number): Promise<void> {
  if (process.platform !== 'linux' || !(await leadsSession(pid))) return;
  for (let tried = 1; ; tried++) {
    try {
      await writeFile(`/proc/${pid}/autogroup`, String(niceness));
      return;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // No such file: a kernel without such groups.
      if (code === 'ENOENT') return;
      if (code !== 'EAGAIN' || tried === BUSY_TRIES) throw error;
      await wait(BUSY_MS);
    }
  }
}

/** Whoever shares a session with others must not lower it. */
async function leadsSession(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  // The second field is the program's name in parentheses, which may hold anything; the session is the sixth.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return Number(fields[3]) === pid;
}
