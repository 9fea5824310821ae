/**
 * What a heap orders: the smallest tag first, ties by id, so that order is deterministic. An item is in one
 * heap at a time and knows its position there (-1 at first): a map of positions costs twice as much with
 * 100,000 items.
 */
export type Tagged = { readonly id: number; tagMs: number; heapPosition: number };

/** Binary heap whose items can leave from anywhere. Everything costs O(log items). */
export class TagHeap<T extends Tagged> {
  readonly #items: T[] = [];

  get size(): number {
    return this.#items.length;
  }

  has(item: T): boolean {
    return this.#items[item.heapPosition] === item;
  }

  peek(): T | undefined {
    return this.#items[0];
  }

  push(item: T): void {
    this.#place(item, this.#items.length);
    this.#rise(this.#items.length - 1);
  }

  remove(item: T): void {
    if (!this.has(item)) return;
    const position = item.heapPosition;
    const last = this.#items.pop();
    item.heapPosition = -1;
    if (!last || last === item) return;
    this.#place(last, position);
    this.reposition(last);
  }

  /** Restores order after an item's tag changed. */
  reposition(item: T): void {
    if (!this.has(item)) return;
    this.#rise(item.heapPosition);
    this.#sink(item.heapPosition);
  }

  #place(item: T, position: number): void {
    this.#items[position] = item;
    item.heapPosition = position;
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
