import type { EnvironmentContext } from '../context.ts';
import type { Queryable } from '../db/database.ts';
import { BelfryError, type FieldError } from '../lib/errors.ts';
import { isJsonObject, type JsonObject } from '../lib/json.ts';
import type { CompileEnvironment, Problem } from '../workflows/step.ts';
import { workflowKeyProblem, workflowProblems } from '../workflows/workflow-problems.ts';
import { loadCompileEnvironment } from './account-channels.ts';
import { contentSha } from './canonical-json.ts';
import { withoutFileFields } from './read-directory.ts';
import { storableProblems } from './storable-problems.ts';

export type WorkflowToPublish = { readonly key: string; readonly content: unknown };

export type PublishedVersion = {
  readonly key: string;
  /** 1 for the first version of this key in this environment. */
  readonly number: number;
  readonly versionId: number;
  /** False when the published version had this content already. */
  readonly changed: boolean;
};

const MAX_WORKFLOWS = 1000;
const MAX_PROBLEMS = 100;

/**
 * Publishes workflows to an environment, all or none: a new version of each whose content differs
 * from the published one, in the order given. Pushes to one environment happen one after the other.
 *
 * Throws `invalid_params` with a field `<key>: <JSON path>` for each defect. The caller tells this
 * process's cache (`PublishedWorkflows.invalidate`).
 */
export async function publishWorkflows(
  ctx: EnvironmentContext,
  workflows: readonly WorkflowToPublish[],
): Promise<{ readonly published: PublishedVersion[] }> {
  const channels = await loadCompileEnvironment(ctx.db, ctx.environment.accountId);
  refuseDefects(workflows, channels);
  const published = await ctx.db.transaction(async (tx) => {
    await lockEnvironment(tx, ctx.environment.id);
    const versions: PublishedVersion[] = [];
    for (const { key, content } of workflows) {
      versions.push(await publishOne(tx, ctx.environment.id, key, content as JsonObject));
    }
    return versions;
  });
  return { published };
}

/** Every defect of every workflow, or nothing. */
function pushProblems(
  workflows: readonly WorkflowToPublish[],
  channels: CompileEnvironment,
): FieldError[] {
  const seen = new Set<string>();
  return workflows.flatMap(({ key, content }) => {
    const keyProblem = workflowKeyProblem(key);
    if (keyProblem) return [{ field: String(key).slice(0, 255), message: keyProblem }];
    if (seen.has(key)) return [{ field: key, message: 'is there twice' }];
    seen.add(key);
    return contentProblems(content, channels).map(({ path, reason }) => ({
      field: `${key}: ${path}`,
      message: reason,
    }));
  });
}

function contentProblems(content: unknown, channels: CompileEnvironment): Problem[] {
  const unstorable = storableProblems(content);
  if (unstorable.length > 0) return unstorable;
  return workflowProblems(isJsonObject(content) ? withoutFileFields(content) : content, channels);
}

function refuseDefects(
  workflows: readonly WorkflowToPublish[],
  channels: CompileEnvironment,
): void {
  if (workflows.length > MAX_WORKFLOWS) {
    throw new BelfryError(
      'invalid_params',
      `${workflows.length} workflows are more than the ${MAX_WORKFLOWS} of one push; push them in parts`,
    );
  }
  const fields = pushProblems(workflows, channels).slice(0, MAX_PROBLEMS);
  const [first] = fields;
  if (!first) return;
  const others = fields.length > 1 ? ` (and ${fields.length - 1} more)` : '';
  throw new BelfryError(
    'invalid_params',
    `Nothing was published. ${first.field} ${first.message}${others}`,
    { fields },
  );
}

// No key update: rows that refer to the environment can still be written meanwhile.
async function lockEnvironment(tx: Queryable, environmentId: number): Promise<void> {
  await tx.query(
    `
    select id
    from environment
    where id = $1
    for no key update`,
    [environmentId],
  );
}

async function publishOne(
  tx: Queryable,
  environmentId: number,
  key: string,
  source: JsonObject,
): Promise<PublishedVersion> {
  // Whether a workflow is switched on is no part of its versions.
  const { active, ...content } = withoutFileFields(source);
  const sha = contentSha(content);
  const [current] = await tx.query<{ id: number; number: number; sha: string; active: boolean }>(
    `
    select v.id, v.number, v.sha, w.active
    from workflow w
    join workflow_version v on v.id = w.published_version_id
    where w.environment_id = $1
      and w.key = $2`,
    [environmentId, key],
  );
  if (current?.sha === sha) {
    if (typeof active === 'boolean' && active !== current.active) {
      await tx.query(
        `
        update workflow
        set active = $3, updated_at = now()
        where environment_id = $1
          and key = $2`,
        [environmentId, key, active],
      );
    }
    return { key, number: current.number, versionId: current.id, changed: false };
  }
  const version = await insertVersion(tx, environmentId, key, content, sha);
  await tx.query(
    `
    insert into workflow (environment_id, key, active, published_version_id)
    values ($1, $2, coalesce($4::boolean, true), $3)
    on conflict (environment_id, key) do update
    set published_version_id = excluded.published_version_id,
      active = coalesce($4::boolean, workflow.active),
      updated_at = now()`,
    [environmentId, key, version.id, typeof active === 'boolean' ? active : null],
  );
  return { key, number: version.number, versionId: version.id, changed: true };
}

async function insertVersion(
  tx: Queryable,
  environmentId: number,
  key: string,
  content: JsonObject,
  sha: string,
): Promise<{ readonly id: number; readonly number: number }> {
  const [version] = await tx.query<{ id: number; number: number }>(
    `
    insert into workflow_version (environment_id, key, number, content, sha)
    select $1, $2, coalesce(max(number), 0) + 1, $3, $4
    from workflow_version
    where environment_id = $1
      and key = $2
    returning id, number`,
    [environmentId, key, JSON.stringify(content), sha],
  );
  if (!version) throw new Error('an insert without a condition inserted nothing');
  return version;
}
