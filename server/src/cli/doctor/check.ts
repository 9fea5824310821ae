/** What a look at one part of a set-up found. */
export type Check = {
  readonly name: string;
  readonly state: 'ok' | 'warn' | 'fail';
  /** One sentence: what is so. */
  readonly finding: string;
  /** What to do about it, when it is not ok. */
  readonly wayOut?: string;
};

export function ok(name: string, finding: string): Check {
  return { name, state: 'ok', finding };
}

export function warn(name: string, finding: string, wayOut: string): Check {
  return { name, state: 'warn', finding, wayOut };
}

export function fail(name: string, finding: string, wayOut: string): Check {
  return { name, state: 'fail', finding, wayOut };
}

export function reasonOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') {
    return error.errors.map(reasonOf).join(', ');
  }
  if (!(error instanceof Error)) return String(error);
  return error.cause === undefined ? error.message : `${error.message}: ${reasonOf(error.cause)}`;
}
