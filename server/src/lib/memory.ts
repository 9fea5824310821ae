import { totalmem } from 'node:os';

/** Memory that this process may use, in bytes: the machine's, or its control group's if that is less. */
export function usableMemoryBytes(): number {
  return Math.min(totalmem(), process.constrainedMemory() || Number.POSITIVE_INFINITY);
}
