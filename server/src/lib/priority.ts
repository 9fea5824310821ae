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

/** The number of the policy in `/proc`. */
export const SCHED_IDLE = 5;

/** What this process made idle, those that ended since among them: a set of bounded size. */
const madeIdle = new Set<number>();
const MOST_MADE_IDLE = 100;

/** Of work that can wait: `low` goes on slowly beside others, `idle` has the processor only while nobody else wants it. */
export type Priority = 'low' | 'idle';

/**
 * Lowers processes. What the system does not let us lower stays as it is, and the first of its kind is logged.
 *
 * `idle` is a policy of Linux (SCHED_IDLE, which `chrt` sets), and `low` elsewhere. Niceness only says who has how much of the time: since
 * 6.6 Linux lets whoever was given a processor keep it for its slice, up to a tick, while somebody of a higher priority waits. Two
 * processes that kept both processors busy at nice 19 made the median trigger wait 1.4 times as long, with this policy 1.0 times (docs/decisions/0039).
 * Not for whom others wait: on a machine that is never idle it has some thousandths of it.
 *
 * Where Linux groups processes by session (`kernel.sched_autogroup_enabled`, the default of most distributions), both
 * count only within a session, and sessions share the processor alike. Each process of PostgreSQL is a
 * session. So that of a process that leads one is lowered too; see sched(7), "The autogroup feature". In a control group of the processor's,
 * as a container has one, there are no such groups.
 */
export function createPriority(to: Priority, log: Logger) {
  const failed = new Set<string>();
  const trying = async (what: string, pid: number, act: () => Promise<void>): Promise<void> => {
    try {
      await act();
    } catch (error) {
      if (!failed.has(what)) log.debug({ err: error, pid }, `a process keeps its ${what}`);
      failed.add(what);
    }
  };
  return {
    /** Resolves when it is done, or cannot be done. */
    lower: async (pid: number): Promise<void> => {
      await trying('priority', pid, () => lowerThreads(pid));
      if (to === 'idle' && process.platform === 'linux') {
        await trying('policy', pid, () => makeIdle(pid));
      }
      await trying('session’s priority', pid, () => lowerSession(pid));
    },
  };
}

/** Those that a thread starts later have its priority. */
async function lowerThreads(pid: number): Promise<void> {
  // Elsewhere a priority is the process's.
  if (process.platform !== 'linux') return setPriority(pid, NICENESS);
  await forEachThread(pid, (thread) => setPriority(thread, NICENESS));
}

/** By the program that comes with every Linux (util-linux, busybox); short options: busybox has no others. */
async function makeIdle(pid: number): Promise<void> {
  await forEachThread(pid, async (thread) => {
    await run('chrt', ['-i', '-p', '0', String(thread)]);
  });
  madeIdle.add(pid);
  for (const oldest of madeIdle) {
    if (madeIdle.size <= MOST_MADE_IDLE) break;
    madeIdle.delete(oldest);
  }
}

/** The latest hundred processes that this one made idle; some may have ended. */
export function idleProcesses(): readonly number[] {
  return [...madeIdle];
}

/** Those too that come meanwhile, from a thread whose turn has not come: a process that was just born starts a dozen. */
async function forEachThread(
  pid: number,
  act: (thread: number) => Promise<void> | void,
): Promise<void> {
  const done = new Set<number>();
  for (;;) {
    const threads = (await threadsOf(pid)).filter((thread) => !done.has(thread));
    if (threads.length === 0) return;
    for (const thread of threads) {
      done.add(thread);
      try {
        await act(thread);
      } catch (error) {
        // It may have ended meanwhile.
        if ((await threadsOf(pid)).includes(thread)) throw error;
      }
    }
  }
}

async function threadsOf(pid: number): Promise<number[]> {
  return (await readdir(`/proc/${pid}/task`)).map(Number);
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
