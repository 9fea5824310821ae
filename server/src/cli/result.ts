import type { Style } from './style.ts';

/** What a command found out, for machines and for people. */
export type CommandResult = {
  /** The one document on stdout with `--json`. */
  readonly json: unknown;
  /** The same for a terminal, without a line break at the end; nothing is printed for ''. */
  readonly text: (style: Style) => string;
  /** True: the answer is complete and says that something is wrong, so the exit code is 1. */
  readonly failed?: boolean;
};

/** Why a command did not do its work: a sentence for the operator, shown without a stack. */
export class CliError extends Error {
  readonly code: string;
  /** One line each, under the sentence. */
  readonly details: readonly ErrorDetail[];

  constructor(code: string, message: string, details: readonly ErrorDetail[] = []) {
    super(message);
    this.name = 'CliError';
    this.code = code;
    this.details = details;
  }
}

export type ErrorDetail = {
  readonly file?: string;
  /** JSON path or field. */
  readonly path: string;
  readonly reason: string;
};
