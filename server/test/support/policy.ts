import { readFile } from 'node:fs/promises';

/** Scheduling policies of Linux; see sched(7). */
export const SCHED_OTHER = 0;
export const SCHED_IDLE = 5;

/** That of a thread of a process; of its first, when none is named. */
export async function policyOf(pid: number, thread: number = pid): Promise<number> {
  const stat = await readFile(`/proc/${pid}/task/${thread}/stat`, 'utf8');
  // The second field is the program's name in parentheses, which may hold anything; the policy is the 41st.
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[38]);
}
