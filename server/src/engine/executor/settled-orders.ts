import type { Governance } from '../orders/rules.ts';
import type { KnownOrders } from './governance.ts';

/**
 * The orders in force, and what is to be known of the work to ask about them. Between the last of their changes that this
 * process heard of and the return nothing is waited for, so whoever calls somebody right then obeys them. `inForce`
 * is the number that the database gave just before: a process that was not told of an order still does not begin what
 * it is about.
 */
export async function settledOrders<Facts>(
  orders: KnownOrders,
  inForce: number | undefined,
  load: (asked: Governance) => Promise<Facts>,
): Promise<{ readonly asked: Governance; readonly facts: Facts }> {
  if (inForce !== undefined && inForce > orders.current().version) await orders.reload();
  for (;;) {
    if (orders.isChanged()) await orders.reload();
    const asked = orders.current();
    const facts = await load(asked);
    if (orders.current() === asked && !orders.isChanged()) return { asked, facts };
  }
}
