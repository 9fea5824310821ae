import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { setTimeout as wait } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Logger } from './log.ts';
import { SCHED_IDLE } from './priority.ts';

const run = promisify(execFile);

/** How long the other processors are looked at without it. */
const WITHOUT_MS = 5_000;
/** How long it may use them when they turned out to be idle. */
const WITH_MS = 55_000;
/** A share of their time that nobody needed, from 0 to 1. */
const IDLE_SHARE = 0.2;
/** `policy` of `/proc/pid/stat`, counted behind the program's name; proc_pid_stat(5). */
const POLICY_FIELD = 38;

export type ProcessorTimes = {
  /** By processor; ticks since the machine started. */
  readonly idle: ReadonlyMap<number, number>;
  readonly all: ReadonlyMap<number, number>;
};

/**
 * Keeps processes that have SCHED_IDLE to the last of our processors while the others are busy without them, on Linux with two processors or more. Of each minute,
 * five seconds are without them, to see; then they may use all again if a fifth of the others' time was idle.
 *
 * Why: when whatever a processor has to do waits, Linux fetches it work that waits for another one, but not while there is idle work to be done. Until
 * the next tick, up to 4 ms later, that work has the processor although others want it: a sixth of the time of one of two
 * processors, measured (docs/decisions/0042).
 *
 * `processes` is asked each time; those that have another policy by then are not touched.
 */
export function spareProcessors(options: {
  readonly processes: () => Iterable<number>;
  readonly log: Logger;
  /** Instead of `/proc/stat`. */
  readonly readTimes?: () => Promise<ProcessorTimes>;
  readonly withoutMs?: number;
  readonly withMs?: number;
}): { readonly stop: () => Promise<void> } {
  const { log, readTimes = readProcessorTimes } = options;
  const stopping = new AbortController();
  const { signal } = stopping;
  const pause = (ms: number) => wait(ms, undefined, { signal, ref: false }).catch(() => undefined);

  let failed = false;
  async function allow(processors: readonly number[]): Promise<void> {
    for (const pid of options.processes()) {
      if (signal.aborted || !(await isIdle(pid))) continue;
      try {
        if ((await processorsOfProcess(pid)).join() === processors.join()) continue;
        await run('taskset', ['-apc', processors.join(), String(pid)]);
      } catch (error) {
        // It may have ended meanwhile.
        if (failed || !(await isIdle(pid))) continue;
        failed = true;
        log.debug({ err: error, pid }, 'idle work is not kept off any processor');
      }
    }
  }

  async function keep(): Promise<void> {
    const own = await processorsOfProcess('self');
    const last = own.slice(-1);
    const others = own.slice(0, -1);
    while (others.length > 0 && !signal.aborted) {
      await allow(last);
      const before = await readTimes();
      await pause(options.withoutMs ?? WITHOUT_MS);
      if (signal.aborted || idleShare(others, before, await readTimes()) < IDLE_SHARE) continue;
      await allow(own);
      await pause(options.withMs ?? WITH_MS);
    }
  }

  const kept =
    process.platform === 'linux'
      ? keep().catch((error: unknown) =>
          log.debug({ err: error }, 'processors cannot be looked at: idle work is on all of them'),
        )
      : Promise.resolve();
  return {
    stop: async () => {
      stopping.abort();
      await kept;
    },
  };
}

/** What part of some processors' time was idle between two looks, from 0 to 1. */
export function idleShare(
  processors: readonly number[],
  before: ProcessorTimes,
  after: ProcessorTimes,
): number {
  const grown = (of: keyof ProcessorTimes): number =>
    processors.reduce(
      (sum, number) => sum + (after[of].get(number) ?? 0) - (before[of].get(number) ?? 0),
      0,
    );
  return grown('idle') / Math.max(1, grown('all'));
}

async function readProcessorTimes(): Promise<ProcessorTimes> {
  return processorTimes(await readFile('/proc/stat', 'utf8'));
}

/** From the text of `/proc/stat`: `cpu1 user nice system idle iowait irq softirq steal …`; proc_stat(5). */
export function processorTimes(text: string): ProcessorTimes {
  const idle = new Map<number, number>();
  const all = new Map<number, number>();
  for (const [, number, rest = ''] of text.matchAll(/^cpu(\d+) (.*)$/gm)) {
    const ticks = rest.split(' ').slice(0, 8).map(Number);
    idle.set(Number(number), (ticks[3] ?? 0) + (ticks[4] ?? 0));
    all.set(
      Number(number),
      ticks.reduce((sum, each) => sum + each, 0),
    );
  }
  return { idle, all };
}

/** Those that a process may run on, ascending; proc_pid_status(5). */
async function processorsOfProcess(pid: number | 'self'): Promise<number[]> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return processorsOf(/^Cpus_allowed_list:\s*(\S+)$/m.exec(status)?.[1] ?? '');
}

/** `0-2,5` is 0, 1, 2 and 5; cpuset(7), "List format". */
export function processorsOf(list: string): number[] {
  return list
    .split(',')
    .filter(Boolean)
    .flatMap((range) => {
      const [first = 0, last = first] = range.split('-').map(Number);
      return Array.from({ length: last - first + 1 }, (_, i) => first + i);
    });
}

/** A number of a process may be another's by now. */
async function isIdle(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[POLICY_FIELD]) === SCHED_IDLE;
}
