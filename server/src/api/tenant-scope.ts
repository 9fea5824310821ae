import type { TenantScope } from '../accounts/user-token.ts';
import type { FeedFilter } from '../feed/feed-filter.ts';
import { BelfryError } from '../lib/errors.ts';

/** A feed's view within a user token's tenants. Throws `authorization` when none of it is within. */
export function narrowFeed(filter: FeedFilter, scope: TenantScope | undefined): FeedFilter {
  if (!scope) return filter;
  const { tenant, hasTenant } = filter;
  if (tenant === undefined) {
    if (hasTenant === true || !scope.untagged) throw outOfScope('without a tenant', scope);
    return { ...filter, hasTenant: false };
  }
  if (!scope.tenants.includes(tenant)) throw outOfScope(`of ${JSON.stringify(tenant)}`, scope);
  // A tenant's view has the items of no tenant too, unless it says that it wants a tenant.
  return scope.untagged ? filter : { ...filter, hasTenant: hasTenant ?? true };
}

/** Whether a preference set is within: `default` is of no tenant, any other id is a tenant's. */
export function isSetInScope(setId: string, scope: TenantScope | undefined): boolean {
  if (!scope) return true;
  return setId === 'default' ? scope.untagged : scope.tenants.includes(setId);
}

/** Throws `authorization` when the set is not within the user token's tenants. */
export function requireSetInScope(setId: string, scope: TenantScope | undefined): void {
  if (scope && !isSetInScope(setId, scope)) {
    throw outOfScope(`in set ${JSON.stringify(setId)}`, scope);
  }
}

/** Throws `authorization` when what is done for a tenant, or for none, is not within the user token's tenants. */
export function requireTenantInScope(tenant: string | null, scope: TenantScope | undefined): void {
  if (!scope || (tenant === null ? scope.untagged : scope.tenants.includes(tenant))) return;
  throw outOfScope(tenant === null ? 'without a tenant' : `of ${JSON.stringify(tenant)}`, scope);
}

function outOfScope(what: string, { tenants, untagged }: TenantScope): BelfryError {
  const names = tenants.map((name) => JSON.stringify(name)).slice(0, 10);
  const open = [...names, ...(untagged ? ['what has no tenant'] : [])].join(', ');
  return new BelfryError(
    'authorization',
    `The user token does not open what is ${what}; it opens ${open || 'nothing of this'}`,
  );
}
