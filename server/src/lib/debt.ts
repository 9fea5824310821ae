/**
 * A token bucket by what is owed (the generic cell rate algorithm, ITU-T I.371, kept in units and not in
 * time, so that a new rate applies to what is owed already).
 */
export type Debt = { readonly owed: number; readonly atMs: number };

export const NO_DEBT: Debt = { owed: 0, atMs: 0 };

/** What is owed at `nowMs` when `rate` units a second are paid back. */
export function repaid({ owed, atMs }: Debt, rate: number, nowMs: number): Debt {
  const paid = (Math.max(0, nowMs - atMs) / 1_000) * rate;
  return { owed: owed > paid ? owed - paid : 0, atMs: nowMs };
}

/**
 * Milliseconds until `amount` fits into `burst` units; 0: it fits. An amount larger than the burst fits
 * when nothing is owed. `debt` is that of now.
 */
export function waitMs(debt: Debt, rate: number, burst: number, amount: number): number {
  const excess = debt.owed + Math.min(amount, burst) - burst;
  return excess <= 0 ? 0 : (excess / rate) * 1_000;
}
