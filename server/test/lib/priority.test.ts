import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { getPriority } from 'node:os';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { createPriority, type Priority } from '../../src/lib/priority.ts';
import { policyOf, SCHED_IDLE, SCHED_OTHER } from '../support/policy.ts';

const isLinux = process.platform === 'linux';

test.each<[Priority, number]>([
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
    const policies = await Promise.all(threads.map((thread) => policyOf(pid, Number(thread))));
    expect([...new Set(policies)]).toEqual([policy]);
  } finally {
    child.kill('SIGKILL');
  }
});

test.runIf(isLinux)(
  'one that is lowered from its birth too, whatever it starts meanwhile',
  async () => {
    const child = spawn(
      process.execPath,
      ['-e', "setInterval(() => undefined, 1_000); console.log('ready')"],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    try {
      const ready = once(child.stdout, 'data');
      const pid = child.pid ?? 0;
      await createPriority('idle', pino({ level: 'silent' })).lower(pid);
      await ready;
      const threads = await readdir(`/proc/${pid}/task`);
      const policies = await Promise.all(threads.map((thread) => policyOf(pid, Number(thread))));
      expect([...new Set(policies)]).toEqual([SCHED_IDLE]);
    } finally {
      child.kill('SIGKILL');
    }
  },
);
