import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { getPriority } from 'node:os';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { createPriority } from '../../src/lib/priority.ts';

test('a process is lowered with all its threads', async () => {
  const waits = "console.log('ready'); setInterval(() => undefined, 1_000);";
  const child = spawn(process.execPath, ['-e', waits], { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    await once(child.stdout, 'data');
    const pid = child.pid ?? 0;
    await createPriority(7, pino({ level: 'silent' })).lower(pid);
    const threads = process.platform === 'linux' ? await readdir(`/proc/${pid}/task`) : [pid];
    expect([...new Set(threads.map((thread) => getPriority(Number(thread))))]).toEqual([7]);
    if (process.platform === 'linux') expect(threads.length).toBeGreaterThan(1);
  } finally {
    child.kill('SIGKILL');
  }
});
