import type { Database } from '../db/database.ts';
import type { Clock } from '../lib/clock.ts';
import { isJsonObject, type JsonObject } from '../lib/json.ts';
import type { Logger } from '../lib/log.ts';
import type { SecretBox } from '../lib/secret-box.ts';
import type { CompileEnvironment } from '../workflows/step.ts';
import { compileEnvironment, fingerprint, loadShared } from './compile-environment.ts';
import { loadVars } from './vars.ts';

/** An environment as its runs see it. */
export type EnvironmentInUse = {
  readonly id: number;
  /** Rises with everything that is shared; nothing below is older. */
  readonly revision: number;
  /** The same object for as long as nothing changed that is compiled in. */
  readonly compile: CompileEnvironment;
  /** What templates see as `vars`; a tenant's branding is not in it. */
  readonly vars: JsonObject;
  /** Values of its secret variables: for requests alone. */
  readonly secrets: JsonObject;
};

/** The environments that this process works for, each at most 2 s older than the database. */
export type EnvironmentsInUse = {
  /** The environment when it is in memory and fresh. */
  readonly peek: (environmentId: number) => EnvironmentInUse | undefined;
  /** Rejects when there is no such environment, or the database is away. */
  readonly get: (environmentId: number) => Promise<EnvironmentInUse>;
  /** The next answer is no older than this call; after a push in this process. */
  readonly invalidate: (environmentId: number) => void;
};

type Options = {
  readonly db: Database;
  readonly clock: Clock;
  readonly log: Logger;
  /** Absent: secret variables are not opened, and requests do not have them. */
  readonly secrets?: SecretBox;
  readonly capacity?: number;
};

type Entry = {
  readonly environment: EnvironmentInUse;
  readonly revision: number;
  readonly fingerprint: string;
  /** When the query began that says so; undefined once a newer revision is known. */
  readonly asOfMs: number | undefined;
};

const FRESH_MS = 2_000;
const DEFAULT_CAPACITY = 2_000;

/** See README.md: one query for all environments when the answer is older than 2 s and somebody asks. */
export function createEnvironmentsInUse(options: Options): EnvironmentsInUse {
  const { db, clock } = options;
  const capacity = options.capacity ?? DEFAULT_CAPACITY;
  const entries = new Map<number, Entry>();
  const loads = new Map<number, Promise<EnvironmentInUse>>();
  let checking: Promise<void> | undefined;
  /** Grows with each invalidation: what a query says that began before one counts as stale. */
  let changes = 0;

  const isFresh = ({ asOfMs }: Entry): boolean => {
    if (asOfMs === undefined) return false;
    const ageMs = clock.now() - asOfMs;
    // Of a time that is still to come nothing is known.
    return ageMs >= 0 && ageMs < FRESH_MS;
  };

  const peek = (environmentId: number): EnvironmentInUse | undefined => {
    const entry = entries.get(environmentId);
    return entry && isFresh(entry) ? entry.environment : undefined;
  };

  const check = async (): Promise<void> => {
    const asOfMs = clock.now();
    const began = changes;
    const rows = await db.query<{ readonly id: number; readonly revision: number }>(
      {
        name: 'environment_revisions',
        text: 'select id, revision from environment where id = any ($1::int[])',
      },
      [[...entries.keys()]],
    );
    for (const { id, revision } of rows) {
      const entry = entries.get(id);
      if (entry)
        entries.set(id, {
          ...entry,
          asOfMs: entry.revision === revision && began === changes ? asOfMs : undefined,
        });
    }
  };

  const load = async (environmentId: number): Promise<EnvironmentInUse> => {
    const asOfMs = clock.now();
    const began = changes;
    const known = entries.get(environmentId);
    const loaded = await loadEnvironment(options, environmentId, known);
    entries.delete(environmentId);
    entries.set(environmentId, { ...loaded, asOfMs: began === changes ? asOfMs : undefined });
    if (entries.size > capacity) {
      const oldest = entries.keys().next();
      if (!oldest.done) entries.delete(oldest.value);
    }
    return loaded.environment;
  };

  return {
    peek,
    invalidate: (environmentId) => {
      changes += 1;
      checking = undefined;
      loads.delete(environmentId);
      const entry = entries.get(environmentId);
      if (entry) entries.set(environmentId, { ...entry, asOfMs: undefined });
    },
    get: async (environmentId) => {
      const fresh = peek(environmentId);
      if (fresh) return fresh;
      if (entries.has(environmentId)) {
        checking ??= check();
        const running = checking;
        await running.finally(() => {
          if (checking === running) checking = undefined;
        });
        const checked = peek(environmentId);
        if (checked) return checked;
      }
      let loading = loads.get(environmentId);
      if (!loading) {
        const running = load(environmentId).finally(() => {
          if (loads.get(environmentId) === running) loads.delete(environmentId);
        });
        loading = running;
        loads.set(environmentId, running);
      }
      return loading;
    },
  };
}

type Row = {
  readonly account_id: number;
  readonly slug: string;
  readonly revision: number;
  readonly account_name: string;
  readonly branding: JsonObject;
};

async function loadEnvironment(
  { db, log, secrets }: Options,
  id: number,
  known: Entry | undefined,
): Promise<Omit<Entry, 'asOfMs'>> {
  const [row] = await db.query<Row>(
    `
    select e.account_id, e.slug, e.revision, a.name as account_name, a.branding
    from environment e
    join account a on a.id = e.account_id
    where e.id = $1`,
    [id],
  );
  if (!row) throw new Error(`there is no environment ${id}`);
  // The revision is older than what is read now, so that a change in between is seen by the next check.
  const environment = { id, accountId: row.account_id, slug: row.slug };
  const shared = await loadShared(db, environment);
  const { vars, secrets: values } = await loadVars(db, environment, {
    appName: row.account_name,
    branding: isJsonObject(row.branding) ? row.branding : {},
    ...(secrets ? { secrets } : {}),
    unreadable: (key) =>
      log.error(
        { environment: id, variable: key },
        'a secret variable was sealed with another installation secret; set it again',
      ),
  });
  const print = fingerprint(shared);
  const compile =
    known?.fingerprint === print
      ? known.environment.compile
      : compileEnvironment(shared, (error) =>
          log.error({ err: error, environment: id }, 'a resource cannot be used'),
        );
  return {
    environment: { id, revision: row.revision, compile, vars, secrets: values },
    revision: row.revision,
    fingerprint: print,
  };
}
