/** How what is asked for at the same time is done together. */
export type Gathering<Item, Result> = {
  /**
   * Does them all; a result or an error for each, in their order. What it throws concerns all; it must then have done
   * nothing, or not know.
   */
  readonly run: (items: readonly Item[]) => Promise<readonly (Result | Error)[]>;
  readonly maxItems: number;
  /** Batches of one group that may be under way. */
  readonly maxUnderWay: number;
  /** Items of one name are never in one batch. Absent: any are. */
  readonly nameOf?: (item: Item) => string;
  /** Whether what `run` threw was caused by an item, and nothing was done: then each is tried alone. */
  readonly isRefusal: (error: unknown) => boolean;
};

type Waiting<Item, Result> = {
  readonly item: Item;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
};

type Group<Item, Result> = { waiting: Waiting<Item, Result>[]; underWay: number };

/** As many wait in a group; who comes then is done alone, and meets the bound of what is asked. */
const MAX_WAITING = 2_000;

/**
 * Natural batching: what comes in one turn of the event loop is done together, and while enough batches are under way what comes
 * waits for the next. Alone, nobody waits for anybody.
 *
 * @example
 *   const read = gathering<Key, Row>({ run: readRows, maxItems: 100, maxUnderWay: 2, nameOf, isRefusal });
 *   const row = await read(db, 'environment 1', key);
 */
export function gathering<Item, Result>(
  options: Gathering<Item, Result>,
): (owner: object, groupName: string, item: Item) => Promise<Result> {
  const owners = new WeakMap<object, Map<string, Group<Item, Result>>>();

  function groupOf(owner: object, name: string): Group<Item, Result> {
    const groups = owners.get(owner) ?? new Map<string, Group<Item, Result>>();
    owners.set(owner, groups);
    const group = groups.get(name) ?? { waiting: [], underWay: 0 };
    groups.set(name, group);
    return group;
  }

  function start(owner: object, name: string, group: Group<Item, Result>): void {
    while (group.waiting.length > 0 && group.underWay < options.maxUnderWay) {
      const { batch, rest } = take(group.waiting, options);
      group.waiting = rest;
      group.underWay += 1;
      void finish(batch, options).then(() => {
        group.underWay -= 1;
        start(owner, name, group);
      });
    }
    if (group.waiting.length === 0 && group.underWay === 0) owners.get(owner)?.delete(name);
  }

  return (owner, name, item) =>
    new Promise((resolve, reject) => {
      const group = groupOf(owner, name);
      const waiting = { item, resolve, reject };
      if (group.waiting.length >= MAX_WAITING) {
        void finish([waiting], options);
        return;
      }
      group.waiting.push(waiting);
      if (group.waiting.length === 1 && group.underWay < options.maxUnderWay) {
        setImmediate(() => start(owner, name, group));
      }
    });
}

function take<Item, Result>(
  waiting: readonly Waiting<Item, Result>[],
  { maxItems, nameOf }: Gathering<Item, Result>,
): { batch: Waiting<Item, Result>[]; rest: Waiting<Item, Result>[] } {
  const names = new Set<string>();
  const batch: Waiting<Item, Result>[] = [];
  const rest: Waiting<Item, Result>[] = [];
  for (const one of waiting) {
    const name = nameOf?.(one.item);
    if (batch.length < maxItems && (name === undefined || !names.has(name))) batch.push(one);
    else rest.push(one);
    if (name !== undefined) names.add(name);
  }
  return { batch, rest };
}

/** Tells everybody; never throws. */
async function finish<Item, Result>(
  batch: readonly Waiting<Item, Result>[],
  options: Gathering<Item, Result>,
): Promise<void> {
  try {
    const results = await options.run(batch.map(({ item }) => item));
    batch.forEach(({ resolve, reject }, index) => {
      const result = results[index];
      if (result instanceof Error) reject(result);
      else resolve(result as Result);
    });
  } catch (error) {
    if (batch.length > 1 && options.isRefusal(error)) {
      for (const one of batch) await finish([one], options);
    } else {
      for (const { reject } of batch) reject(error);
    }
  }
}
