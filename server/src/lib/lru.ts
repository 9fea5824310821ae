/** A cache of bounded size and age: the entry used longest ago goes first. */
export type LruCache<Value> = {
  readonly get: (key: string, nowMs: number) => Value | undefined;
  readonly set: (key: string, value: Value, nowMs: number) => void;
  readonly delete: (key: string) => void;
  /** What is not too old, the one used longest ago first. */
  readonly values: (nowMs: number) => IterableIterator<Value>;
  readonly clear: () => void;
};

export function createLruCache<Value>(capacity: number, ttlMs: number): LruCache<Value> {
  // A Map keeps insertion order, so its first key is the one used longest ago.
  const entries = new Map<string, { readonly value: Value; readonly expiresMs: number }>();
  return {
    get: (key, nowMs) => {
      const entry = entries.get(key);
      if (!entry) return undefined;
      entries.delete(key);
      if (entry.expiresMs <= nowMs) return undefined;
      entries.set(key, entry);
      return entry.value;
    },
    set: (key, value, nowMs) => {
      entries.delete(key);
      entries.set(key, { value, expiresMs: nowMs + ttlMs });
      if (entries.size > capacity) {
        const oldest = entries.keys().next();
        if (!oldest.done) entries.delete(oldest.value);
      }
    },
    delete: (key) => entries.delete(key),
    values: function* (nowMs) {
      for (const { value, expiresMs } of entries.values()) if (expiresMs > nowMs) yield value;
    },
    clear: () => entries.clear(),
  };
}
