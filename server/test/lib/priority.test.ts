import { fork } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { getPriority } from 'node:os';
import { fileURLToPath } from 'node:url';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { createPriority } from '../../src/lib/priority.ts';

test('a process is lowered with all its threads', async () => {
  const child = fork(fileURLToPath(new URL('./waits.mjs', import.meta.url)));
  try {
    await new Promise((resolve) => child.once('message', resolve));
    const pid = child.pid ?? 0;
    await createPriority(7, pino({ level: 'silent' })).lower(pid);
    const threads = process.platform === 'linux' ? await readdir(`/proc/${pid}/task`) : [pid];
    expect([...new Set(threads.map((thread) => getPriority(Number(thread))))]).toEqual([7]);
    if (process.platform === 'linux') expect(threads.length).toBeGreaterThan(1);
  } finally {
    child.kill('SIGKILL');
  }
});
