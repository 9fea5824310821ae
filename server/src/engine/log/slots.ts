/** Slot arithmetic; the table in engine/README.md. */
const RING_SLOTS = 16;
const RING_ROTATION_MS = 10_000;
const TIMER_SLOTS = 26;
const HOUR_MS = 3_600_000;
const NEAR_MS = 24 * HOUR_MS;

export const FIRST_TIMER_SLOT = RING_SLOTS;
export const FAR_SLOT = FIRST_TIMER_SLOT + TIMER_SLOTS;
export const FIRST_ASIDE_SLOT = FAR_SLOT + 1;
const ASIDE_SLOTS = 8;
export const SLOT_COUNT = FIRST_ASIDE_SLOT + ASIDE_SLOTS;

/** The slot of a chunk appended at `nowMs`, due at `dueMs` (undefined: at once). */
export function slotFor(nowMs: number, dueMs: number | undefined): number {
  if (dueMs === undefined) return ringSlot(nowMs);
  if (dueMs - nowMs > NEAR_MS) return FAR_SLOT;
  return FIRST_TIMER_SLOT + (Math.floor(dueMs / HOUR_MS) % TIMER_SLOTS);
}

/** Where an order keeps what it set aside. */
export function asideSlot(orderId: number): number {
  return FIRST_ASIDE_SLOT + (orderId % ASIDE_SLOTS);
}

/**
 * One statement over the tables of slots from `first` up to `end`, each joined with its own: a join of the partitioned
 * tables compares every slot's chunks with every slot's receipts where the planner does not see that it need not.
 */
export function acrossSlots(first: number, end: number, sqlOf: (slot: number) => string): string {
  return Array.from({ length: end - first }, (_, i) => sqlOf(first + i)).join('\nunion all\n');
}

function ringSlot(nowMs: number): number {
  return Math.floor(nowMs / RING_ROTATION_MS) % RING_SLOTS;
}

/** Whether a writer may be appending to the slot now, so that truncating it would be premature. */
export function isOpenSlot(slot: number, nowMs: number): boolean {
  if (slot >= FAR_SLOT) return true;
  if (slot < FIRST_TIMER_SLOT) return slot === ringSlot(nowMs);
  // Hours from now on, up to a day ahead; only the ring's one spare hour, the last one, is closed.
  const hour = Math.floor(nowMs / HOUR_MS);
  const behind = (hour - (slot - FIRST_TIMER_SLOT)) % TIMER_SLOTS;
  return behind !== 1;
}

/** How far ahead timers are kept in the ring of hours. */
export const NEAR_TIMER_MS = NEAR_MS;
