/**
 * Shares a bounded thing among whoever comes: one may take more only while it holds less than is free
 * (Choudhury and Hahne: Dynamic Queue Length Thresholds, 1998). Alone it gets half; with one that
 * holds all that it may there is always room for the next.
 */
export type DynamicThreshold<Holder = number> = {
  /** Takes `amount`, which may be more than what is left of its share but not than what is free. */
  readonly take: (holder: Holder, amount: number) => boolean;
  readonly giveBack: (holder: Holder, amount: number) => void;
  readonly held: (holder: Holder) => number;
  readonly free: () => number;
};

export function createDynamicThreshold<Holder = number>(total: number): DynamicThreshold<Holder> {
  // Who holds nothing has no entry, so there are never more entries than things held.
  const holders = new Map<Holder, number>();
  let free = total;
  return {
    take: (holder, amount) => {
      const held = holders.get(holder) ?? 0;
      if (held >= free || amount > free) return false;
      holders.set(holder, held + amount);
      free -= amount;
      return true;
    },
    giveBack: (holder, amount) => {
      const held = (holders.get(holder) ?? 0) - amount;
      if (held > 0) holders.set(holder, held);
      else holders.delete(holder);
      free += amount;
    },
    held: (holder) => holders.get(holder) ?? 0,
    free: () => free,
  };
}
