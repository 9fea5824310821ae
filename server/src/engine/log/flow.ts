/** Flows of a lane, but for 0, which is nobody's. They fit a smallint. */
const FLOWS = 32_767;

/**
 * The flow of a tenant's work: its number is a hash (FNV-1a, 32 bits), so that two tenants of a lane have one
 * turn between them once in 32,767 pairs.
 */
export function flowOfTenant(tenant: string | null): number {
  if (tenant === null) return 0;
  let hash = 0x811c9dc5;
  for (let i = 0; i < tenant.length; i++) {
    hash = Math.imul(hash ^ tenant.charCodeAt(i), 0x01000193);
  }
  return ((hash >>> 0) % FLOWS) + 1;
}
