import type { Database } from '../db/database.ts';
import type { JsonObject } from '../lib/json.ts';
import { compileWorkflow } from '../workflows/compile-workflow.ts';
import type { CompiledWorkflow } from '../workflows/compiled-workflow.ts';
import { loadCompileEnvironment } from './account-channels.ts';

/** Compiled versions, for whoever runs them. */
export type WorkflowVersions = {
  /** Rejects when there is no such version, or it cannot run with the account's channels. */
  readonly get: (versionId: number) => Promise<CompiledWorkflow>;
  /** The version when it is in memory. */
  readonly peek: (versionId: number) => CompiledWorkflow | undefined;
};

const DEFAULT_CAPACITY = 2_000;

/** Loads and compiles a version once; a version never changes. The one used longest ago goes. */
export function createWorkflowVersions(
  db: Database,
  options: { readonly capacity?: number } = {},
): WorkflowVersions {
  const capacity = options.capacity ?? DEFAULT_CAPACITY;
  const compiled = new Map<number, CompiledWorkflow>();
  const loads = new Map<number, Promise<CompiledWorkflow>>();

  const peek = (versionId: number): CompiledWorkflow | undefined => {
    const workflow = compiled.get(versionId);
    if (!workflow) return undefined;
    compiled.delete(versionId);
    compiled.set(versionId, workflow);
    return workflow;
  };

  const load = async (versionId: number): Promise<CompiledWorkflow> => {
    const workflow = await loadVersion(db, versionId);
    compiled.set(versionId, workflow);
    if (compiled.size > capacity) {
      const oldest = compiled.keys().next();
      if (!oldest.done) compiled.delete(oldest.value);
    }
    return workflow;
  };

  const get = async (versionId: number): Promise<CompiledWorkflow> => {
    const known = peek(versionId);
    if (known) return known;
    let loading = loads.get(versionId);
    if (!loading) {
      loading = load(versionId).finally(() => loads.delete(versionId));
      loads.set(versionId, loading);
    }
    return loading;
  };

  return {
    get,
    peek,
  };
}

type Row = {
  readonly environment_id: number;
  readonly account_id: number;
  readonly key: string;
  readonly content: JsonObject;
};

async function loadVersion(db: Database, versionId: number): Promise<CompiledWorkflow> {
  const [row] = await db.query<Row>(
    `
    select v.environment_id, e.account_id, v.key, v.content
    from workflow_version v
    join environment e on e.id = v.environment_id
    where v.id = $1`,
    [versionId],
  );
  if (!row) throw new Error(`there is no workflow version ${versionId}`);
  return compileWorkflow({
    versionId,
    environmentId: row.environment_id,
    key: row.key,
    content: row.content,
    environment: await loadCompileEnvironment(db, row.account_id),
  });
}
