/** Why Belfry cannot start, in one sentence that names the thing and the way out. Shown without a stack. */
export class StartError extends Error {
  override readonly name = 'StartError';
}

/** The code of a failed system call (EACCES, ENOSPC, ...), or undefined for any other thrown thing. */
export function systemErrorCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string'
    ? error.code
    : undefined;
}
