/** Milliseconds since 1970, with fractions, comparable between the processes of a machine. */
export function wallClockMs(): number {
  return performance.timeOrigin + performance.now();
}

export function waitMs(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, ms)));
}

/** Asks again and again until there is an answer; undefined when there was none within `timeoutMs`. */
export async function poll<Value>(
  probe: () => Promise<Value | undefined>,
  { everyMs, timeoutMs }: { readonly everyMs: number; readonly timeoutMs: number },
): Promise<Value | undefined> {
  const giveUpMs = wallClockMs() + timeoutMs;
  while (wallClockMs() < giveUpMs) {
    const value = await probe().catch(() => undefined);
    if (value !== undefined) return value;
    await waitMs(everyMs);
  }
  return undefined;
}
