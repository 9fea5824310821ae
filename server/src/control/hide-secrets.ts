import type { EnvironmentContext } from '../context.ts';
import { createLruCache } from '../lib/lru.ts';
import type { SecretBox } from '../lib/secret-box.ts';
import { createMask, secretTexts } from '../lib/secret-texts.ts';
import { loadVars } from './vars.ts';

/**
 * An answer without the values that secret variables of an environment have now, up to 2 s ago. For what templates said:
 * older messages may have been rendered when a template could read secrets.
 */
export type HideSecrets = <Answer>(ctx: HidingContext, answer: Answer) => Promise<Answer>;

type HidingContext = Pick<EnvironmentContext, 'db' | 'clock'> & {
  readonly environment: Pick<EnvironmentContext['environment'], 'id' | 'accountId' | 'slug'>;
};

const CAPACITY = 10_000;
const FRESH_MS = 2_000;

export function createHideSecrets(secrets: SecretBox): HideSecrets {
  const known = createLruCache<{ readonly mask: ReturnType<typeof createMask> }>(
    CAPACITY,
    FRESH_MS,
  );
  return async ({ db, clock, environment }, answer) => {
    const nowMs = clock.now();
    const key = String(environment.id);
    let entry = known.get(key, nowMs);
    if (!entry) {
      const loaded = await loadVars(db, environment, {
        appName: '',
        branding: {},
        secrets,
        unreadable: () => undefined,
      });
      entry = { mask: createMask(secretTexts(loaded.secrets)) };
      known.set(key, entry, nowMs);
    }
    return entry.mask ? entry.mask(answer) : answer;
  };
}
