import { fork } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { createPriority } from '../../src/lib/priority.ts';

test.runIf(process.platform === 'linux')('every thread of a process is lowered', async () => {
  const child = fork(fileURLToPath(new URL('./waits.mjs', import.meta.url)));
  try {
    await new Promise((resolve) => child.once('message', resolve));
    const pid = child.pid ?? 0;
    await createPriority(7, pino({ level: 'silent' })).lower(pid);
    const threads = await readdir(`/proc/${pid}/task`);
    expect(threads.length).toBeGreaterThan(1);
    const niceness = await Promise.all(threads.map((thread) => nicenessOf(pid, thread)));
    expect(new Set(niceness)).toEqual(new Set([7]));
  } finally {
    child.kill('SIGKILL');
  }
});

/** The nineteenth field of proc_pid_stat(5); the second one, in parentheses, may hold anything. */
async function nicenessOf(pid: number, thread: string): Promise<number> {
  const stat = await readFile(`/proc/${pid}/task/${thread}/stat`, 'utf8');
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16]);
}
