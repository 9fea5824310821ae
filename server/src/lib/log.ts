import type { Logger as PinoLogger } from 'pino';

/** Structured log lines; child loggers carry what their lines concern (run id, message id). */
export type Logger = Pick<PinoLogger, 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'child'>;
