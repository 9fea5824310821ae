import type { EnvironmentContext } from '../context.ts';
import type { JsonObject } from '../lib/json.ts';
import { createLruCache } from '../lib/lru.ts';
import { loadVars } from './vars.ts';

/** What everybody who has a public key may see of an environment's `vars`: public variables and `app_name`. */
export type PublicVars = (ctx: EnvironmentContext) => Promise<JsonObject>;

const CAPACITY = 10_000;
const FRESH_MS = 2_000;

/** At most 2 s older than the database; feeds are asked for too often to read them each time. */
export function createPublicVars(): PublicVars {
  const known = createLruCache<JsonObject>(CAPACITY, FRESH_MS);
  return async ({ db, clock, environment }) => {
    const nowMs = clock.now();
    const key = String(environment.id);
    const fresh = known.get(key, nowMs);
    if (fresh) return fresh;
    const [account] = await db.query<{ readonly name: string }>(
      {
        name: 'account_name',
        text: `
        select name
        from account
        where id = $1`,
      },
      [environment.accountId],
    );
    const loaded = await loadVars(db, environment, {
      appName: account?.name ?? '',
      branding: {},
      unreadable: () => undefined,
    });
    const { branding: _, ...vars } = loaded.vars;
    known.set(key, vars, nowMs);
    return vars;
  };
}
