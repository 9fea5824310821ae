import type { Queryable, Statement } from '../../db/database.ts';
import type { Clock } from '../../lib/clock.ts';
import type { JsonObject } from '../../lib/json.ts';

const FRESH_MS = 2_000;
const MAX_ENVIRONMENTS = 10_000;

/** What holds for recipients of an environment who say nothing else. */
export type EnvironmentDefaults = {
  readonly preferences: JsonObject | undefined;
  readonly timezone: string | undefined;
  /** Whether there are audiences, of which preferences may ask. */
  readonly hasAudiences: boolean;
};

export const NO_DEFAULTS: EnvironmentDefaults = {
  preferences: undefined,
  timezone: undefined,
  hasAudiences: false,
};

const LOAD: Statement = {
  name: 'load_environment_defaults',
  text: `select settings -> 'preferences' as preferences,
       settings ->> 'timezone' as timezone,
      exists (
        select
        from audience
        where environment_id = $1
      ) as has_audiences
from environment
where id = $1`,
};

/** The environment's defaults, at most two seconds old. */
export function createEnvironmentDefaults(
  db: Queryable,
  clock: Clock,
): (environmentId: number) => Promise<EnvironmentDefaults> {
  const known = new Map<number, { readAtMs: number; defaults: EnvironmentDefaults }>();
  return async (environmentId) => {
    const nowMs = clock.now();
    const entry = known.get(environmentId);
    if (entry && nowMs - entry.readAtMs < FRESH_MS) return entry.defaults;
    const [row] = await db.query<{
      preferences: JsonObject | null;
      timezone: string | null;
      has_audiences: boolean;
    }>(LOAD, [environmentId]);
    const defaults: EnvironmentDefaults = {
      preferences: row?.preferences ?? undefined,
      timezone: row?.timezone ?? undefined,
      hasAudiences: row?.has_audiences ?? false,
    };
    if (known.size >= MAX_ENVIRONMENTS) known.clear();
    known.set(environmentId, { readAtMs: nowMs, defaults });
    return defaults;
  };
}
