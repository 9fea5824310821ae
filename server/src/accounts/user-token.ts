/**
 * What a signed user token says, once its signature and its time are checked. Format: the claims `sub`, `exp`,
 * `grants` and `explicit_grants` of https://docs.knock.app/in-app-ui/security-and-authentication.
 *
 * A grant names a thing by URL and what may be done to it. Only the path of the URL counts, for SDKs write the host of
 * Knock whatever server they speak to: `/v1/users/ID`, `/v1/objects/COLLECTION/ID`, `/v1/tenants/ID` or
 * `/v1/objects/$tenants/ID`. Ids are compared as they are written, without percent encoding.
 */
export type UserToken = {
  readonly userId: string;
  /** Milliseconds since 1970. */
  readonly expiresAtMs: number;
  /** The signing key that it was verified with. */
  readonly signingKeyId: number;
  /** Nothing is allowed but what is granted. */
  readonly isExplicit: boolean;
  readonly grants: Grants;
};

/** Capabilities by `users/ID`, `objects/COLLECTION/ID` or `tenants/ID`. */
export type Grants = ReadonlyMap<string, ReadonlySet<string>>;

export type Capability =
  | 'user/read'
  | 'user/write'
  | 'user/feed_read'
  | 'user/feed_write'
  | 'user/guide_read'
  | 'user/guide_write'
  | 'preferences/read'
  | 'preferences/write'
  | 'channel_data/read'
  | 'channel_data/write'
  | 'slack/channels_read'
  | 'ms_teams/channels_read';

/** The tenants whose part of a user's things a token opens, and whether it opens what has no tenant. */
export type TenantScope = { readonly tenants: readonly string[]; readonly untagged: boolean };

// Other names for the same, in the examples of Knock's documentation.
const ALIASES: ReadonlyMap<string, Capability> = new Map([
  ['feed/read', 'user/feed_read'],
  ['feed/write', 'user/feed_write'],
  ['user_feed/read', 'user/feed_read'],
  ['user_feed/write', 'user/feed_write'],
  ['guide/read', 'user/guide_read'],
  ['guide/write', 'user/guide_write'],
]);

/** What there is of a user for each tenant; a tenant that is granted for one of a family narrows all of it. */
const FAMILIES: readonly ReadonlySet<string>[] = [
  new Set<Capability>([
    'user/feed_read',
    'user/feed_write',
    'preferences/read',
    'preferences/write',
  ]),
  new Set<Capability>(['user/guide_read', 'user/guide_write']),
];

const TENANTS = '$tenants';

/** The claim `grants`; what is no grant in it is left out, so that it allows nothing. */
export function readGrants(claim: unknown): Grants {
  const grants = new Map<string, ReadonlySet<string>>();
  for (const [url, capabilities] of entriesOf(claim)) {
    const thing = thingOf(url);
    if (thing === undefined) continue;
    const names = entriesOf(capabilities)
      .filter(([, value]) => value !== false && value !== null)
      .map(([name]) => ALIASES.get(name) ?? name);
    grants.set(thing, new Set([...(grants.get(thing) ?? []), ...names]));
  }
  return grants;
}

/** Whether the token's user may do this with its own things, be it for some tenants only. */
export function permitsOwn(token: UserToken, capability: Capability): boolean {
  if (!token.isExplicit || hasOwn(token, capability)) return true;
  const isOfTenants = FAMILIES.some((family) => family.has(capability));
  return isOfTenants && tenantsWith(token, (name) => name === capability).length > 0;
}

/** Whether this is granted on an object or a tenant; without a grant it never is. */
export function permitsOn(
  token: UserToken,
  { collection, id }: { readonly collection: string; readonly id: string },
  capability: Capability,
): boolean {
  const thing = collection === TENANTS ? `tenants/${id}` : `objects/${collection}/${id}`;
  return token.grants.get(thing)?.has(capability) ?? false;
}

/**
 * For which tenants the token's user may do this; undefined: for all, as nothing of the kind is granted on a tenant.
 * A grant of anything else on a tenant, its Slack channels for example, does not narrow what is the user's own.
 */
export function tenantScope(token: UserToken, capability: Capability): TenantScope | undefined {
  const family = FAMILIES.find((one) => one.has(capability));
  if (!family) return undefined;
  const scoped = tenantsWith(token, (name) => family.has(name));
  if (scoped.length === 0) return undefined;
  return {
    tenants: token.isExplicit ? tenantsWith(token, (name) => name === capability) : scoped,
    untagged: hasOwn(token, capability),
  };
}

function hasOwn(token: UserToken, capability: Capability): boolean {
  return token.grants.get(`users/${token.userId}`)?.has(capability) ?? false;
}

function tenantsWith(token: UserToken, wanted: (capability: string) => boolean): string[] {
  return [...token.grants].flatMap(([thing, capabilities]) =>
    thing.startsWith('tenants/') && [...capabilities].some(wanted)
      ? [thing.slice('tenants/'.length)]
      : [],
  );
}

/** `tenants/acme` of `https://api.knock.app/v1/objects/$tenants/acme`. */
function thingOf(url: string): string | undefined {
  const path = /^(?:[a-z]+:\/\/[^/]*)?\/v1\/(.+)$/i.exec(url)?.[1] ?? '';
  const [noun, first = '', second = '', ...rest] = path.split('/');
  if (first === '' || rest.length > 0) return undefined;
  if (noun === 'objects') {
    if (second === '') return undefined;
    return first === TENANTS ? `tenants/${second}` : `objects/${first}/${second}`;
  }
  return (noun === 'users' || noun === 'tenants') && second === '' ? `${noun}/${first}` : undefined;
}

function entriesOf(value: unknown): [string, unknown][] {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? Object.entries(value)
    : [];
}
