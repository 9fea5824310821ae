import type { Logger } from '../../src/lib/log.ts';

const nothing = () => {};

/** For tests that do not look at log lines. */
export const silentLog = {
  debug: nothing,
  info: nothing,
  warn: nothing,
  error: nothing,
  fatal: nothing,
  child: () => silentLog,
} as unknown as Logger;
