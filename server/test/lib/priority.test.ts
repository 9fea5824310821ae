import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { getPriority } from 'node:os';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { createPriority, type Priority } from '../../src/lib/priority.ts';

const isLinux = process.platform === 'linux';
/** sched(7) */
const SCHED_OTHER = '0';
const SCHED_IDLE = '5';

test.each<[Priority, string]>([
  ['low', SCHED_OTHER],
  ['idle', SCHED_IDLE],
])('a process whose work can wait is lowered with all its threads: %s', async (to, policy) => {
  const waits = "console.log('ready'); setInterval(() => undefined, 1_000);";
  const child = spawn(process.execPath, ['-e', waits], { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    await once(child.stdout, 'data');
    const pid = child.pid ?? 0;
    await createPriority(to, pino({ level: 'silent' })).lower(pid);
    const threads = isLinux ? await readdir(`/proc/${pid}/task`) : [pid];
    expect([...new Set(threads.map((thread) => getPriority(Number(thread))))]).toEqual([10]);
    if (!isLinux) return;
    expect(threads.length).toBeGreaterThan(1);
    const policies = await Promise.all(threads.map((thread) => policyOf(pid, thread)));
    expect([...new Set(policies)]).toEqual([policy]);
  } finally {
    child.kill('SIGKILL');
  }
});

/** The 41st field; the second is the program's name in parentheses, which may hold anything. */
async function policyOf(pid: number, thread: string | number): Promise<string | undefined> {
  const stat = await readFile(`/proc/${pid}/task/${thread}/stat`, 'utf8');
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[38];
}
