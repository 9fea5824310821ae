import type { Database } from '../db/database.ts';
import type { JsonObject } from '../lib/json.ts';
import type { Logger } from '../lib/log.ts';
import { compileWorkflow } from '../workflows/compile-workflow.ts';
import type { CompiledWorkflow } from '../workflows/compiled-workflow.ts';
import type { CompileEnvironment } from '../workflows/step.ts';
import type { EnvironmentsInUse } from './environments-in-use.ts';

/** Compiled versions, for whoever runs them. */
export type WorkflowVersions = {
  /**
   * The version with what its environment shares now, at most 2 s old. Where that does not compile, it is as it was
   * when it last did. Rejects when there is no such version, or it never could run here.
   */
  readonly get: (versionId: number) => Promise<CompiledWorkflow>;
  /** The version when it is in memory, however old. */
  readonly peek: (versionId: number) => CompiledWorkflow | undefined;
};

type Options = {
  readonly db: Database;
  readonly environments: EnvironmentsInUse;
  readonly log: Logger;
  readonly capacity?: number;
};

type Entry = {
  readonly workflow: CompiledWorkflow;
  /** What it was compiled with, or could not be. */
  readonly environment: CompileEnvironment;
};

const DEFAULT_CAPACITY = 2_000;

/**
 * Loads a version once, for it never changes, and compiles it again when what it refers to did. The one used longest
 * ago goes.
 */
export function createWorkflowVersions(options: Options): WorkflowVersions {
  const { db, environments, log } = options;
  const capacity = options.capacity ?? DEFAULT_CAPACITY;
  const entries = new Map<number, Entry>();
  const loads = new Map<number, Promise<CompiledWorkflow>>();

  const use = (versionId: number): Entry | undefined => {
    const entry = entries.get(versionId);
    if (!entry) return undefined;
    entries.delete(versionId);
    entries.set(versionId, entry);
    return entry;
  };

  const load = async (versionId: number, known: Entry | undefined): Promise<CompiledWorkflow> => {
    const row = await loadVersion(db, versionId);
    const { compile: environment } = await environments.get(row.environment_id);
    const workflow = compileOrKeep(versionId, row, environment, known);
    entries.set(versionId, { workflow, environment });
    if (entries.size > capacity) {
      const oldest = entries.keys().next();
      if (!oldest.done) entries.delete(oldest.value);
    }
    return workflow;
  };

  const compileOrKeep = (
    versionId: number,
    { environment_id: environmentId, key, content }: Row,
    environment: CompileEnvironment,
    known: Entry | undefined,
  ): CompiledWorkflow => {
    try {
      return compileWorkflow({ versionId, environmentId, key, content, environment });
    } catch (error) {
      if (!known) throw error;
      log.error(
        { err: error, environment: environmentId, workflow: key, version: versionId },
        'the workflow does not compile with what its environment shares now; it goes on with what was there before',
      );
      return known.workflow;
    }
  };

  return {
    peek: (versionId) => use(versionId)?.workflow,
    get: async (versionId) => {
      const entry = use(versionId);
      if (entry) {
        const { environmentId } = entry.workflow;
        const { compile } =
          environments.peek(environmentId) ?? (await environments.get(environmentId));
        if (entry.environment === compile) return entry.workflow;
      }
      let loading = loads.get(versionId);
      if (!loading) {
        loading = load(versionId, entry).finally(() => loads.delete(versionId));
        loads.set(versionId, loading);
      }
      return loading;
    },
  };
}

type Row = {
  readonly environment_id: number;
  readonly key: string;
  readonly content: JsonObject;
};

async function loadVersion(db: Database, versionId: number): Promise<Row> {
  const [row] = await db.query<Row>(
    `
    select environment_id, key, content
    from workflow_version
    where id = $1`,
    [versionId],
  );
  if (!row) throw new Error(`there is no workflow version ${versionId}`);
  return row;
}
