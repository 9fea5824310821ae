/** What a heap orders: the smallest tag first, ties by id, so that order is deterministic. */
export type Tagged = { readonly id: number; tagMs: number };

/** Binary heap whose items can leave from anywhere. Everything costs O(log items). */
export class TagHeap<T extends Tagged> {
  readonly #items: T[] = [];
  readonly #positions = new Map<T, number>();

  get size(): number {
    return this.#items.length;
  }

  has(item: T): boolean {
    return this.#positions.has(item);
  }

  peek(): T | undefined {
    return this.#items[0];
  }

  push(item: T): void {
    this.#place(item, this.#items.length);
    this.#rise(this.#items.length - 1);
  }

  remove(item: T): void {
    const position = this.#positions.get(item);
    if (position === undefined) return;
    const last = this.#items.pop();
    if (!last) return;
    this.#positions.delete(item);
    if (last === item) return;
    this.#place(last, position);
    this.reposition(last);
  }

  /** Restores order after an item's tag changed. */
  reposition(item: T): void {
    const position = this.#positions.get(item);
    if (position === undefined) return;
    this.#rise(position);
    this.#sink(this.#positions.get(item) ?? position);
  }

  #place(item: T, position: number): void {
    this.#items[position] = item;
    this.#positions.set(item, position);
  }

  #rise(from: number): void {
    let position = from;
    const item = this.#items[position];
    if (!item) return;
    while (position > 0) {
      const above = (position - 1) >> 1;
      const parent = this.#items[above];
      if (!parent || !isBefore(item, parent)) break;
      this.#place(parent, position);
      position = above;
    }
    this.#place(item, position);
  }

  #sink(from: number): void {
    let position = from;
    const item = this.#items[position];
    if (!item) return;
    while (true) {
      const left = this.#items[2 * position + 1];
      const right = this.#items[2 * position + 2];
      const child = left && right && isBefore(right, left) ? right : left;
      if (!child || !isBefore(child, item)) break;
      const below = child === left ? 2 * position + 1 : 2 * position + 2;
      this.#place(child, position);
      position = below;
    }
    this.#place(item, position);
  }
}

function isBefore(a: Tagged, b: Tagged): boolean {
  return a.tagMs < b.tagMs || (a.tagMs === b.tagMs && a.id < b.id);
}
