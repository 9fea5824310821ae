import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { pino } from 'pino';
import { expect, test, vi } from 'vitest';
import { createPriority } from '../../src/lib/priority.ts';
import {
  idleShare,
  type ProcessorTimes,
  processorsOf,
  processorTimes,
  spareProcessors,
} from '../../src/lib/spare-processors.ts';

const log = pino({ level: 'silent' });

test('processors are read from a list of ranges', () => {
  expect(processorsOf('0-2,5')).toEqual([0, 1, 2, 5]);
  expect(processorsOf('7')).toEqual([7]);
  expect(processorsOf('')).toEqual([]);
});

test('the share of idle time is that of the processors asked for, waiting for disks included', () => {
  const stat = (idle: number, wait: number, busy: number): string =>
    `cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 ${busy} 0 0 ${idle} ${wait} 0 0 0 9 9\ncpu1 0 0 0 500 0 0 0 0 0 0\nintr 1\n`;
  const before = processorTimes(stat(100, 10, 1_000));
  const after = processorTimes(stat(130, 20, 1_060));
  expect(idleShare([0], before, after)).toBeCloseTo(0.4);
  expect(idleShare([1], before, after)).toBe(0);
});

test.runIf(process.platform === 'linux' && availableParallelism() > 1)(
  'idle work is on one processor while the others are busy, and on all while they are idle or cannot be looked at',
  async () => {
    const own = processorsOf(await allowedOf(process.pid));
    const last = String(own.at(-1));
    const children = [0, 1].map(() => spawn('sleep', ['60']));
    const [idle = 0, other = 0] = children.map(({ pid }) => pid ?? 0);
    await createPriority('idle', log).lower(idle);
    let looks = 0;
    let idleTicks = 0;
    let idleOf100 = 2;
    let isUnreadable = false;
    const readTimes = async (): Promise<ProcessorTimes> => {
      looks += 1;
      idleTicks += idleOf100;
      const each = (ticks: number) => new Map(own.map((number) => [number, ticks]));
      if (isUnreadable) throw new Error('EMFILE');
      return { idle: each(idleTicks), all: each(100 * looks) };
    };
    const sparing = spareProcessors({
      ...{ processes: () => [idle, other, 2 ** 22], log, readTimes },
      ...{ lookMs: 50, busyLookMs: 20 },
    });
    const processors = async (pid: number) => processorsOf(await allowedOf(pid));
    try {
      expect(sparing.areBusy()).toBe(false);
      await vi.waitFor(async () => expect(await allowedOf(idle)).toBe(last));
      expect(sparing.areBusy()).toBe(true);
      idleOf100 = 60;
      await vi.waitFor(async () => expect(await processors(idle)).toEqual(own));
      expect(sparing.areBusy()).toBe(false);
      idleOf100 = 4;
      await vi.waitFor(async () => expect(await allowedOf(idle)).toBe(last));
      idleOf100 = 10;
      await new Promise((resolve) => setTimeout(resolve, 200));
      expect(await allowedOf(idle)).toBe(last);
      expect(await processors(other)).toEqual(own);
      isUnreadable = true;
      await vi.waitFor(async () => expect(await processors(idle)).toEqual(own));
      expect(sparing.areBusy()).toBe(false);
    } finally {
      await sparing.stop();
      for (const child of children) child.kill('SIGKILL');
    }
  },
);

async function allowedOf(pid: number): Promise<string> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return /^Cpus_allowed_list:\s*(\S+)$/m.exec(status)?.[1] ?? '';
}
