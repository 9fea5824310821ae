import { performance } from 'node:perf_hooks';

/** A process of its own core may be busy this much before others wait noticeably (1 / (1 - 0.7): three times). */
const HIGHEST = 0.7;

/**
 * How busy the event loop may be before anybody is limited: on few cores less, because the database and the
 * executors that answer the rest of a trigger run on the same ones. 0.25 with two, 0.7 from six on.
 */
export function highPressureOf(cores: number): number {
  return Math.min(HIGHEST, 0.03 + 0.11 * cores);
}

/** The share of the time since the last call in which this process's event loop was busy, 0 to 1. */
export function createLoopPressure(): () => number {
  let last = performance.eventLoopUtilization();
  return () => {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, last);
    last = now;
    return utilization;
  };
}
