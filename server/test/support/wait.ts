/** Resolves with the first value that is not undefined; fails after `timeoutMs`. */
export async function waitFor<Value>(
  what: string,
  probe: () => Value | undefined | Promise<Value | undefined>,
  timeoutMs = 20_000,
): Promise<Value> {
  const giveUpAt = Date.now() + timeoutMs;
  for (;;) {
    const value = await probe();
    if (value !== undefined) return value;
    if (Date.now() > giveUpAt) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
