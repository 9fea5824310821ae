import type { Database } from '../db/database.ts';
import { prepared } from '../db/prepared.ts';
import type { Json } from '../lib/json.ts';
import { createLruCache, type LruCache } from '../lib/lru.ts';

/** What a version of a workflow says of the items that one of its steps makes. */
export type StepTemplate = {
  readonly categories: Json;
  /** Null: the version has no such step. */
  readonly template: Json;
};

type StepKey = { readonly version_id: number; readonly step_ref: string };

const REMEMBERED = 1_000;

// A version never changes.
const remembered = new WeakMap<Database, LruCache<StepTemplate>>();

/** The templates of these steps. No query for those that were asked for before. */
export async function readStepTemplates(
  db: Database,
  steps: readonly StepKey[],
): Promise<(step: StepKey) => StepTemplate | undefined> {
  const cache = remembered.get(db) ?? createLruCache(REMEMBERED, Number.POSITIVE_INFINITY);
  remembered.set(db, cache);
  const found = new Map<string, StepTemplate>();
  const unknown = new Map<string, StepKey>();
  for (const step of steps) {
    const name = nameOf(step);
    if (found.has(name) || unknown.has(name)) continue;
    const known = cache.get(name, 0);
    if (known) found.set(name, known);
    else unknown.set(name, step);
  }
  if (unknown.size > 0) {
    for (const { version_id, step_ref, ...template } of await readSteps(db, [
      ...unknown.values(),
    ])) {
      const name = nameOf({ version_id, step_ref });
      found.set(name, template);
      cache.set(name, template, 0);
    }
  }
  return (step) => found.get(nameOf(step));
}

function readSteps(db: Database, steps: readonly StepKey[]): Promise<(StepKey & StepTemplate)[]> {
  return db.query<StepKey & StepTemplate>(
    prepared(`select s.version_id, s.step_ref, v.content -> 'categories' as categories,
  jsonb_path_query_first(
    v.content, '$.** ? (@.ref == $ref).template', jsonb_build_object('ref', s.step_ref)
  ) as template
from unnest($1::int[], $2::text[]) as s(version_id, step_ref)
join workflow_version v on v.id = s.version_id`),
    [steps.map(({ version_id }) => version_id), steps.map(({ step_ref }) => step_ref)],
  );
}

function nameOf({ version_id, step_ref }: StepKey): string {
  return `${version_id} ${step_ref}`;
}
