import type { Queryable } from '../../db/database.ts';
import type { Clock } from '../../lib/clock.ts';
import type { JsonObject } from '../../lib/json.ts';

const FRESH_MS = 2_000;
const MAX_ENVIRONMENTS = 10_000;

/** The environment's default preference set, at most two seconds old. */
export function createEnvironmentPreferences(
  db: Queryable,
  clock: Clock,
): (environmentId: number) => Promise<JsonObject | undefined> {
  const known = new Map<number, { readAtMs: number; preferences: JsonObject | undefined }>();
  return async (environmentId) => {
    const nowMs = clock.now();
    const entry = known.get(environmentId);
    if (entry && nowMs - entry.readAtMs < FRESH_MS) return entry.preferences;
    const [row] = await db.query<{ preferences: JsonObject | null }>(
      `select settings -> 'preferences' as preferences
       from environment
       where id = $1`,
      [environmentId],
    );
    const preferences = row?.preferences ?? undefined;
    if (known.size >= MAX_ENVIRONMENTS) known.clear();
    known.set(environmentId, { readAtMs: nowMs, preferences });
    return preferences;
  };
}
