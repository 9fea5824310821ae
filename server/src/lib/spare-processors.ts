import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { setTimeout as wait } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Logger } from './log.ts';
import { SCHED_IDLE } from './priority.ts';

const run = promisify(execFile);

const LOOK_MS = 5_000;
/** Who is kept back is not for longer than it must be. */
const BUSY_LOOK_MS = 1_000;
/** Shares of the other processors' time that nobody used, from 0 to 1: below the first they are busy, from the second on idle. */
const BUSY_BELOW = 0.05;
const IDLE_FROM = 0.2;
/** `policy` of `/proc/pid/stat`, counted behind the program's name; proc_pid_stat(5). */
const POLICY_FIELD = 38;

export type ProcessorTimes = {
  /** By processor; ticks since the machine started. */
  readonly idle: ReadonlyMap<number, number>;
  readonly all: ReadonlyMap<number, number>;
};

export type SpareProcessors = {
  /** Whether others want all there is; false where that is not known. */
  readonly areBusy: () => boolean;
  readonly stop: () => Promise<void>;
};

/**
 * Keeps processes that have SCHED_IDLE to the last of our processors while the others are busy, on Linux with two processors or more.
 *
 * ```
 * on all ──others less than 5 % idle, with them──► on the last ──others a fifth idle, without them──► on all
 * ```
 *
 * The first looked at for five seconds, the second for one: it is for a program that keeps the last processor to itself, and for when there is much to
 * do for them and nothing else. In the second state `areBusy` is true: who has much to do works a part of the time only.
 *
 * Why: when whatever a processor has to do waits, Linux fetches it work that waits for another one, but not while there is idle work to be done. Until
 * the next tick, up to 4 ms later, that work has the processor although others want it: a sixth of the time of one of two
 * processors, measured (docs/decisions/0043).
 *
 * `processes` is asked each time; those that have another policy by then are not touched.
 */
export function spareProcessors(options: {
  readonly processes: () => Iterable<number>;
  readonly log: Logger;
  /** Instead of `/proc/stat`. */
  readonly readTimes?: () => Promise<ProcessorTimes>;
  readonly lookMs?: number;
  readonly busyLookMs?: number;
}): SpareProcessors {
  const { log, readTimes = readProcessorTimes } = options;
  const stopping = new AbortController();
  const { signal } = stopping;
  const pause = (ms: number) => wait(ms, undefined, { signal, ref: false }).catch(() => undefined);

  let areBusy = false;
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
    try {
      for (let before = await readTimes(); others.length > 0 && !signal.aborted; ) {
        await pause(areBusy ? (options.busyLookMs ?? BUSY_LOOK_MS) : (options.lookMs ?? LOOK_MS));
        const after = await readTimes();
        const share = idleShare(others, before, after);
        before = after;
        areBusy = areBusy ? share < IDLE_FROM : share < BUSY_BELOW;
        await allow(areBusy ? last : own);
      }
    } finally {
      // Who cannot be looked at must not be kept back for ever.
      areBusy = false;
      await allow(own);
    }
  }

  const kept =
    process.platform === 'linux'
      ? keep().catch((error: unknown) =>
          log.debug({ err: error }, 'processors cannot be looked at: idle work is on all of them'),
        )
      : Promise.resolve();
  return {
    areBusy: () => areBusy,
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
