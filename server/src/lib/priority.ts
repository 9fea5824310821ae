import { execFile } from 'node:child_process';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { setPriority } from 'node:os';
import { setTimeout as wait } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Logger } from './log.ts';

const run = promisify(execFile);

/** 0 is the whole machine's default, 19 the lowest. */
const NICENESS = 10;

/** Linux lets an ordinary user change a session's priority ten times a second, whichever session it is. */
const BUSY_TRIES = 20;
const BUSY_MS = 120;

/** Of work that can wait: `low` goes on slowly beside others, `idle` has the processor only while nobody else wants it. */
export type Priority = 'low' | 'idle';

/**
 * Lowers processes. One that the system does not let us lower stays as it is, and the first of them is logged.
 *
 * `idle` is a policy of Linux (SCHED_IDLE, which `chrt` sets), and `low` elsewhere. Niceness only says who has how much of the time: since
 * 6.6 Linux lets whoever was given a processor keep it for its slice, up to a tick, while somebody of a higher priority waits. Two
 * processes that kept both processors busy at nice 19 made triggers wait 1.4 times as long, with this policy 1.0 times (docs/decisions/0039).
 *
 * Where Linux groups processes by session (`kernel.sched_autogroup_enabled`, the default of most distributions), both
 * count only within a session, and sessions share the processor alike. Each process of PostgreSQL is a
 * session. So that of a process that leads one is lowered too; see sched(7), "The autogroup feature". In a control group, as a service or a
 * container has, there are no such groups.
 */
export function createPriority(to: Priority, log: Logger) {
  let hasComplained = false;
  const complain = (error: unknown, pid: number): void => {
    if (!hasComplained) log.debug({ err: error, pid }, 'the priority of a process stays as it is');
    hasComplained = true;
  };
  return {
    /** Resolves when it is done, or cannot be done. */
    lower: async (pid: number): Promise<void> => {
      try {
        await lowerThreads(pid);
        await lowerSession(pid);
        if (to === 'idle' && process.platform === 'linux') await makeIdle(pid);
      } catch (error) {
        complain(error, pid);
      }
    },
  };
}

/** Those that a thread starts later have its priority. */
async function lowerThreads(pid: number): Promise<void> {
  // Elsewhere a priority is the process's.
  const threads = process.platform === 'linux' ? await threadsOf(pid) : [pid];
  for (const thread of threads) {
    try {
      setPriority(Number(thread), NICENESS);
    } catch (error) {
      // It has ended meanwhile.
      if ((error as { info?: { code?: string } }).info?.code !== 'ESRCH') throw error;
    }
  }
}

/** The same, by the program that comes with every Linux (util-linux, busybox); short options: busybox has no others. */
async function makeIdle(pid: number): Promise<void> {
  for (const thread of await threadsOf(pid)) {
    try {
      await run('chrt', ['-i', '-p', '0', thread]);
    } catch (error) {
      if ((await threadsOf(pid)).includes(thread)) throw error;
    }
  }
}

async function threadsOf(pid: number): Promise<string[]> {
  return await readdir(`/proc/${pid}/task`);
}

async function lowerSession(pid: number): Promise<void> {
  if (process.platform !== 'linux' || !(await leadsSession(pid))) return;
  for (let tried = 1; ; tried++) {
    try {
      await writeFile(`/proc/${pid}/autogroup`, String(NICENESS));
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
