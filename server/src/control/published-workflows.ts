import type { Database } from '../db/database.ts';
import { type Clock, systemClock } from '../lib/clock.ts';
import type { JsonObject } from '../lib/json.ts';
import { texts } from '../workflows/compile-workflow.ts';
import type { Problem } from '../workflows/step.ts';
import {
  compileTriggerDataSchema,
  type TriggerDataSchema,
  triggerDataProblems,
} from '../workflows/trigger-data.ts';

/** What accepting a trigger needs to know of a workflow. */
export type PublishedWorkflow = {
  readonly versionId: number;
  readonly number: number;
  readonly active: boolean;
  readonly name: string;
  readonly categories: readonly string[];
  /** Where a trigger's data breaks `trigger_data_json_schema`; absent without such a schema. */
  readonly dataProblems?: (data: JsonObject) => Problem[];
};

/** The published workflows of every environment. */
export type PublishedWorkflows = {
  /**
   * The published version, at most 2 s older than the database. Undefined for an unknown key.
   * While the database is away it answers with what it knew last, and rejects for what it never knew.
   */
  readonly published: (
    environmentId: number,
    key: string,
  ) => Promise<PublishedWorkflow | undefined>;
  /** Call it after publishing in this process. */
  readonly invalidate: (environmentId: number) => void;
  readonly close: () => void;
};

const CAPACITY = 10_000;
/** From this age an answer is refreshed in the background, from the second one before it is given. */
const REFRESH_MS = 1_000;
const STALE_MS = 2_000;
/** How long a refresh may keep a caller waiting who could have the last good answer. */
const PATIENCE_MS = 300;

type Entry = {
  readonly environmentId: number;
  readonly workflow: PublishedWorkflow | undefined;
  /** When its query began; 0 when something was published since. */
  readonly asOfMs: number;
};

type Row = {
  readonly version_id: number;
  readonly number: number;
  readonly active: boolean;
  readonly name: string | null;
  readonly categories: JsonObject[string] | null;
  readonly schema: JsonObject | null;
};

/** Refreshes on demand, so that an idle server asks nothing. Holds at most 10,000 workflows. */
export function createPublishedWorkflows(
  db: Database,
  clock: Clock = systemClock,
): PublishedWorkflows {
  const entries = new Map<string, Entry>();
  const loads = new Map<string, Promise<PublishedWorkflow | undefined>>();
  let closed = false;

  const remember = (name: string, entry: Entry): void => {
    entries.delete(name);
    // An unknown key is looked up each time: it may be pushed any moment, and is no hot path.
    if (!entry.workflow || closed) return;
    entries.set(name, entry);
    if (entries.size <= CAPACITY) return;
    const oldest = entries.keys().next();
    if (!oldest.done) entries.delete(oldest.value);
  };

  const load = (environmentId: number, key: string): Promise<PublishedWorkflow | undefined> => {
    const name = `${environmentId}/${key}`;
    const running = loads.get(name);
    if (running) return running;
    const asOfMs = clock.now();
    const loading = select(db, environmentId, key, entries.get(name)?.workflow)
      .then((workflow) => {
        // After invalidate() a newer load has taken this one's place.
        if (loads.get(name) === loading) remember(name, { environmentId, workflow, asOfMs });
        return workflow;
      })
      .finally(() => {
        if (loads.get(name) === loading) loads.delete(name);
      });
    loads.set(name, loading);
    return loading;
  };

  return {
    published: async (environmentId, key) => {
      const name = `${environmentId}/${key}`;
      const entry = entries.get(name);
      if (!entry) return load(environmentId, key);
      const ageMs = clock.now() - entry.asOfMs;
      if (ageMs < REFRESH_MS) return entry.workflow;
      const loading = load(environmentId, key);
      if (ageMs < STALE_MS) {
        loading.catch(() => undefined);
        return entry.workflow;
      }
      return orAfter(PATIENCE_MS, loading, entry.workflow);
    },
    invalidate: (environmentId) => {
      for (const name of loads.keys()) {
        if (name.startsWith(`${environmentId}/`)) loads.delete(name);
      }
      for (const [name, entry] of entries) {
        if (entry.environmentId === environmentId) entries.set(name, { ...entry, asOfMs: 0 });
      }
    },
    close: () => {
      closed = true;
      entries.clear();
      loads.clear();
    },
  };
}

/** The load's result; `otherwise` when it fails or takes too long. */
async function orAfter<Value>(
  waitMs: number,
  loading: Promise<Value>,
  otherwise: Value,
): Promise<Value> {
  let timer: NodeJS.Timeout | undefined;
  const patience = new Promise<Value>((resolve) => {
    timer = setTimeout(resolve, waitMs, otherwise);
  });
  try {
    return await Promise.race([loading.catch(() => otherwise), patience]);
  } finally {
    clearTimeout(timer);
  }
}

const publishedStatement = {
  name: 'published_workflow',
  text: `
    select v.id as version_id, v.number, w.active, v.content ->> 'name' as name,
      v.content -> 'categories' as categories, v.content -> 'trigger_data_json_schema' as schema
    from workflow w
    join workflow_version v on v.id = w.published_version_id
    where w.environment_id = $1
      and w.key = $2`,
};

async function select(
  db: Database,
  environmentId: number,
  key: string,
  known: PublishedWorkflow | undefined,
): Promise<PublishedWorkflow | undefined> {
  const [row] = await db.query<Row>(publishedStatement, [environmentId, key]);
  if (!row) return undefined;
  if (known?.versionId === row.version_id) {
    return known.active === row.active ? known : { ...known, active: row.active };
  }
  const schema: TriggerDataSchema | undefined = compileTriggerDataSchema({
    trigger_data_json_schema: row.schema,
  });
  return {
    versionId: row.version_id,
    number: row.number,
    active: row.active,
    name: row.name ?? key,
    categories: texts(row.categories ?? undefined),
    ...(schema ? { dataProblems: (data: JsonObject) => triggerDataProblems(schema, data) } : {}),
  };
}
