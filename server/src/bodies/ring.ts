/** Slot arithmetic of the ring; see README.md. */
export const SLOT_COUNT = 32;
const ROTATION_MS = 10_000;
/** Longer than a statement is under way, as a rule; the proof before truncation covers the rest. */
const LATE_MS = 5_000;

/** The slot of a pack that is written at `nowMs`. */
export function slotAt(nowMs: number): number {
  return Math.floor(nowMs / ROTATION_MS) % SLOT_COUNT;
}

/** The slot of a pack, by the time in its id. */
export function slotOfPack(packId: string): number {
  return slotAt(timeOfPack(packId));
}

/** When a pack was written, in ms since 1970: the first 48 bits of its id. */
export function timeOfPack(packId: string): number {
  return Number.parseInt(packId.slice(0, 8) + packId.slice(9, 13), 16);
}

/** Whether somebody may be writing to the slot now. */
export function isOpenSlot(slot: number, nowMs: number): boolean {
  return slot === slotAt(nowMs) || slot === slotAt(nowMs - LATE_MS);
}

/** The times, in ms, at which the slot was open between two packs of it: from, until. */
export function lapsOf(
  slot: number,
  firstPack: string,
  lastPack: string,
): readonly (readonly [number, number])[] {
  const lapMs = SLOT_COUNT * ROTATION_MS;
  const lastMs = timeOfPack(lastPack);
  const firstLap = Math.floor(timeOfPack(firstPack) / lapMs);
  const laps: [number, number][] = [];
  for (let fromMs = firstLap * lapMs + slot * ROTATION_MS; fromMs <= lastMs; fromMs += lapMs) {
    laps.push([fromMs, fromMs + ROTATION_MS]);
  }
  return laps;
}

/** The slots that may have been written to between two times. */
export function slotsSince(fromMs: number, untilMs: number): readonly number[] {
  const slots = new Set<number>();
  const firstMs = Math.max(fromMs - LATE_MS, untilMs - SLOT_COUNT * ROTATION_MS);
  for (let ms = firstMs; ms < untilMs; ms += ROTATION_MS) slots.add(slotAt(ms));
  return [...slots.add(slotAt(untilMs))];
}
