import { createHash } from 'node:crypto';

/** A UUID as the database writes it, of the first 32 digits. */
const UUID = /^(.{8})(.{4})(.{4})(.{4})(.{12}).*$/;

/** What rows of windows are found by: 128 bits of SHA-256 over the parts, as a UUID. */
export function windowKey(...parts: readonly (string | number | boolean | null)[]): string {
  const hex = createHash('sha256').update(JSON.stringify(parts)).digest('hex');
  return hex.replace(UUID, '$1-$2-$3-$4-$5');
}

/** Items by the row that they are about, rows in the order in which everybody locks them. */
export function inLockOrder<Item>(
  items: readonly Item[],
  rowOf: (item: Item) => { readonly environmentId: number; readonly key: string },
): { readonly environmentId: number; readonly key: string; readonly positions: number[] }[] {
  const groups = new Map<
    string,
    { readonly environmentId: number; readonly key: string; readonly positions: number[] }
  >();
  items.forEach((item, position) => {
    const row = rowOf(item);
    const name = `${row.environmentId} ${row.key}`;
    const group = groups.get(name);
    if (group) group.positions.push(position);
    else groups.set(name, { ...row, positions: [position] });
  });
  return [...groups.values()].sort(
    (a, b) => a.environmentId - b.environmentId || (a.key < b.key ? -1 : 1),
  );
}
