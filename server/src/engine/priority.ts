import { setPriority } from 'node:os';
import type { Logger } from '../lib/log.ts';

/**
 * Lowers processes to `niceness`; 0 is the whole machine's default, 19 the lowest. One that the system does
 * not let us lower stays as it is, and the first of them is logged.
 */
export function createPriority(niceness: number | undefined, log: Logger) {
  let hasComplained = false;
  return {
    lower: (pid: number): void => {
      if (niceness === undefined) return;
      try {
        setPriority(pid, niceness);
      } catch (error) {
        if (!hasComplained)
          log.debug({ err: error, pid }, 'the priority of a process stays as it is');
        hasComplained = true;
      }
    },
  };
}
