/**
 * What a heap orders: the smallest tag first, ties by id, so that order is deterministic. An item is in one
 * heap at a time and knows its seat there (-1 at first): a map of seats costs twice as much with 100,000
 * items.
 */
export type Tagged = { readonly id: number; tagMs: number; heapSeat: number };

/** With four there are half as many levels as with two, and they lie side by side. */
const CHILDREN = 4;
const FIRST_CAPACITY = 4;
const NO_KEYS = new Float64Array(0);
const NO_SEATS = new Int32Array(0);

/**
 * Heap whose items can leave from anywhere. Everything costs O(log items). An item takes a seat and keeps it;
 * what is ordered are seats with copies of tags and ids, in flat arrays: to find an item's place does not touch
 * others, which are out of the processor's cache when there are many. A heap that never had two items, as
 * most, has no arrays.
 */
export class TagHeap<T extends Tagged> {
  #first: T | undefined;
  /** By seat; undefined until there are two items. */
  #items: (T | undefined)[] | undefined;
  #size = 0;
  /** Tag and id by position. */
  #keys = NO_KEYS;
  /** Seat by position, free ones after those in use; and position by seat. */
  #seats = NO_SEATS;
  #positions = NO_SEATS;

  get size(): number {
    return this.#size;
  }

  has(item: T): boolean {
    return this.#items ? this.#items[item.heapSeat] === item : this.#first === item;
  }

  peek(): T | undefined {
    return this.#first;
  }

  push(item: T): void {
    if (!this.#items) {
      if (this.#first) {
        this.#items = [];
        this.#take(this.#items, this.#first, 0);
      } else {
        this.#first = item;
        this.#size = 1;
        return;
      }
    }
    this.#take(this.#items, item, this.#size);
    this.#size += 1;
    this.#settle(this.#items, this.#size - 1);
  }

  remove(item: T): void {
    if (!this.has(item)) return;
    this.#size -= 1;
    const items = this.#items;
    if (!items) {
      this.#first = undefined;
      return;
    }
    items[item.heapSeat] = undefined;
    const position = this.#positions[item.heapSeat] ?? 0;
    const last = this.#size;
    if (position === last) {
      if (last === 0) this.#first = undefined;
      return;
    }
    const seat = this.#seats[last] ?? 0;
    const [tagMs, id] = [this.#keys[2 * last] ?? 0, this.#keys[2 * last + 1] ?? 0];
    this.#put(last, item.heapSeat, 0, 0);
    this.#put(position, seat, tagMs, id);
    this.#settle(items, position);
  }

  /** Restores order after an item's tag changed. */
  reposition(item: T): void {
    const items = this.#items;
    if (!items || !this.has(item)) return;
    const position = this.#positions[item.heapSeat] ?? 0;
    this.#keys[2 * position] = item.tagMs;
    this.#settle(items, position);
  }

  /** The item takes the free seat of this position. */
  #take(items: (T | undefined)[], item: T, position: number): void {
    if (position >= this.#seats.length) this.#grow();
    const seat = this.#seats[position] ?? 0;
    items[seat] = item;
    item.heapSeat = seat;
    this.#put(position, seat, item.tagMs, item.id);
  }

  #grow(): void {
    const former = this.#seats.length;
    const capacity = Math.max(FIRST_CAPACITY, 2 * former);
    const [keys, seats, positions] = [this.#keys, this.#seats, this.#positions];
    this.#keys = new Float64Array(2 * capacity);
    this.#seats = new Int32Array(capacity);
    this.#positions = new Int32Array(capacity);
    this.#keys.set(keys);
    this.#seats.set(seats);
    this.#positions.set(positions);
    for (let seat = former; seat < capacity; seat++) this.#put(seat, seat, 0, 0);
  }

  /** Moves what is at this position to where it belongs. */
  #settle(items: (T | undefined)[], from: number): void {
    const tagMs = this.#keys[2 * from] ?? 0;
    const id = this.#keys[2 * from + 1] ?? 0;
    const seat = this.#seats[from] ?? 0;
    let position = from;
    while (position > 0) {
      const above = Math.floor((position - 1) / CHILDREN);
      if (!this.#isBefore(tagMs, id, above)) break;
      this.#move(above, position);
      position = above;
    }
    // What rose at all is before everything below it.
    while (position >= from) {
      const child = this.#firstOf(CHILDREN * position + 1);
      if (child >= this.#size || this.#isBefore(tagMs, id, child)) break;
      this.#move(child, position);
      position = child;
    }
    this.#put(position, seat, tagMs, id);
    this.#first = items[this.#seats[0] ?? 0];
  }

  /** Which of the children from this position on goes first. */
  #firstOf(child: number): number {
    const keys = this.#keys;
    const end = Math.min(child + CHILDREN, this.#size);
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

  #move(from: number, to: number): void {
    this.#put(to, this.#seats[from] ?? 0, this.#keys[2 * from] ?? 0, this.#keys[2 * from + 1] ?? 0);
  }

  #put(position: number, seat: number, tagMs: number, id: number): void {
    this.#seats[position] = seat;
    this.#positions[seat] = position;
    this.#keys[2 * position] = tagMs;
    this.#keys[2 * position + 1] = id;
  }
}
