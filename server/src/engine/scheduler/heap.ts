/**
 * What a heap orders: the smallest tag first, ties by id, so that order is deterministic. An item is in one
 * heap at a time and knows its position there (-1 at first): a map of positions costs twice as much with
 * 100,000 items.
 */
export type Tagged = { readonly id: number; tagMs: number; heapPosition: number };

/** With four there are half as many levels as with two, and they lie side by side. */
const CHILDREN = 4;
const NO_KEYS = new Float64Array(0);

/**
 * Heap whose items can leave from anywhere. Everything costs O(log items). Tags and ids are copied to one
 * flat array, so that to find an item's place does not touch others, which are out of the processor's cache
 * when there are many. A heap that never had two items, as most, has no arrays.
 */
export class TagHeap<T extends Tagged> {
  #first: T | undefined;
  #items: T[] | undefined;
  /** Tag and id by position. */
  #keys = NO_KEYS;

  get size(): number {
    if (this.#items) return this.#items.length;
    return this.#first ? 1 : 0;
  }

  has(item: T): boolean {
    return this.#items ? this.#items[item.heapPosition] === item : this.#first === item;
  }

  peek(): T | undefined {
    return this.#first;
  }

  push(item: T): void {
    if (!this.#first && !this.#items) {
      this.#first = item;
      return;
    }
    const items = this.#items ?? this.#begin();
    const position = items.length;
    if (this.#keys.length < 2 * (position + 1)) {
      const keys = new Float64Array(4 * (position + 1));
      keys.set(this.#keys);
      this.#keys = keys;
    }
    this.#rise(items, item, position);
  }

  remove(item: T): void {
    if (!this.has(item)) return;
    const items = this.#items;
    if (!items || items.length === 1) {
      this.#first = undefined;
      items?.pop();
      return;
    }
    const last = items.pop();
    if (last && last !== item) this.#settle(items, last, item.heapPosition);
  }

  /** Restores order after an item's tag changed. */
  reposition(item: T): void {
    const items = this.#items;
    if (items && this.has(item)) this.#settle(items, item, item.heapPosition);
  }

  #begin(): T[] {
    this.#items = [];
    if (this.#first) {
      this.#keys = new Float64Array(8);
      this.#place(this.#items, this.#first, 0);
    }
    return this.#items;
  }

  #settle(items: T[], item: T, position: number): void {
    this.#rise(items, item, position);
    if (item.heapPosition === position) this.#sink(items, item, position);
  }

  #rise(items: T[], item: T, from: number): void {
    const { tagMs, id } = item;
    let position = from;
    while (position > 0) {
      const above = Math.floor((position - 1) / CHILDREN);
      if (!this.#isBefore(tagMs, id, above)) break;
      this.#move(items, above, position);
      position = above;
    }
    this.#place(items, item, position);
  }

  #sink(items: T[], item: T, from: number): void {
    const { tagMs, id } = item;
    const { length } = items;
    let position = from;
    for (;;) {
      const child = this.#firstOf(CHILDREN * position + 1, length);
      if (child >= length || this.#isBefore(tagMs, id, child)) break;
      this.#move(items, child, position);
      position = child;
    }
    this.#place(items, item, position);
  }

  /** Which of the children from this position on goes first. */
  #firstOf(child: number, length: number): number {
    const keys = this.#keys;
    const end = Math.min(child + CHILDREN, length);
    let first = child;
    for (let other = child + 1; other < end; other++) {
      if (this.#isBefore(keys[2 * other] ?? 0, keys[2 * other + 1] ?? 0, first)) first = other;
    }
    return first;
  }

  #isBefore(tagMs: number, id: number, position: number): boolean {
    const other = this.#keys[2 * position] ?? 0;
    return tagMs < other || (tagMs === other && id < (this.#keys[2 * position + 1] ?? 0));
  }

  #move(items: T[], from: number, to: number): void {
    const item = items[from];
    if (!item) return;
    this.#keys[2 * to] = this.#keys[2 * from] ?? 0;
    this.#keys[2 * to + 1] = this.#keys[2 * from + 1] ?? 0;
    this.#put(items, item, to);
  }

  #place(items: T[], item: T, position: number): void {
    this.#keys[2 * position] = item.tagMs;
    this.#keys[2 * position + 1] = item.id;
    this.#put(items, item, position);
  }

  #put(items: T[], item: T, position: number): void {
    items[position] = item;
    item.heapPosition = position;
    if (position === 0) this.#first = item;
  }
}
