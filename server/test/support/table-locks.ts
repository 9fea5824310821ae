/** Who holds a table's lock, for models: "name shared" (writers) or "name exclusive". */
export type Locks = readonly string[];

/** Writers do not mind each other; who truncates minds everyone. */
export function mayShare(locks: Locks, name: string): boolean {
  return locks.every((lock) => lock.endsWith(' shared') || lock === `${name} exclusive`);
}

export function mayExclude(locks: Locks, name: string): boolean {
  return locks.every((lock) => lock.startsWith(`${name} `));
}

export function take(locks: Locks, name: string, mode: 'shared' | 'exclusive'): Locks {
  return [...drop(locks, name), `${name} ${mode}`].sort();
}

/** At the end of the transaction, however it ends. */
export function drop(locks: Locks, name: string): Locks {
  return locks.filter((lock) => !lock.startsWith(`${name} `));
}
