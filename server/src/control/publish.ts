import type { EnvironmentContext } from '../context.ts';
import { BelfryError, type FieldError } from '../lib/errors.ts';
import { isJsonObject, type JsonObject } from '../lib/json.ts';
import { contentSha } from './canonical-json.ts';
import {
  compileEnvironment,
  type KnownKeys,
  loadShared,
  type Shared,
} from './compile-environment.ts';
import {
  lockEnvironments,
  publishResource,
  publishWorkflow,
  raiseRevision,
} from './publish-rows.ts';
import {
  pushedResourceProblems,
  pushedWorkflowProblems,
  type ResourceToPublish,
  unusableResources,
  type WorkflowToPublish,
} from './push-problems.ts';
import { pushWarnings } from './push-warnings.ts';
import { type Resource, type ResourceKind, resourcePlace } from './resources.ts';
import { tellPublished } from './tell-published.ts';
import { unnamed } from './unnamed.ts';
import { withoutFileFields } from './without-file-fields.ts';

export type PublishedVersion = {
  readonly key: string;
  /** 1 for the first version of this key in this environment. */
  readonly number: number;
  readonly versionId: number;
  /** False when the published version had this content already. */
  readonly changed: boolean;
};

export type PublishedResource = {
  readonly kind: ResourceKind;
  readonly key: string;
  /** False when it had this content already. */
  readonly changed: boolean;
};

export type Publication = {
  readonly workflows: readonly WorkflowToPublish[];
  readonly resources: readonly ResourceToPublish[];
  /** Only say what is wrong. */
  readonly check?: boolean;
  /** It names all that there is to be of the kinds that it has something of: what else there is, is told. */
  readonly isWhole?: boolean;
};

export type Published = {
  /** Empty after a check. */
  readonly workflows: readonly PublishedVersion[];
  readonly resources: readonly PublishedResource[];
  /** What is doubtful and refuses nothing; fields as of problems. */
  readonly warnings: readonly FieldError[];
  /** What stays though a whole push does not name it; see `unnamed`. */
  readonly unnamed: readonly string[];
};

const MAX_WORKFLOWS = 1000;
const MAX_RESOURCES = 2000;
const MAX_GUIDES = 200;
const MAX_PROBLEMS = 100;

/** Publishes workflows alone: see `publish`. */
export async function publishWorkflows(
  ctx: EnvironmentContext,
  workflows: readonly WorkflowToPublish[],
): Promise<{ readonly published: readonly PublishedVersion[] }> {
  const published = await publish(ctx, { workflows, resources: [] });
  return { published: published.workflows };
}

/**
 * Publishes workflows and what they share to an environment, all or none: a new version of each workflow whose
 * content differs from the published one, in the order given. What is not named stays. Channel groups are the
 * account's: they change in all of its environments. Pushes to one environment happen one after the other.
 *
 * Throws `invalid_params` with a field `<key>: <JSON path>` (`layouts/<key>: <JSON path>`) for each defect. The caller
 * tells this process's cache (`PublishedWorkflows.invalidate`).
 */
export async function publish(ctx: EnvironmentContext, input: Publication): Promise<Published> {
  const { workflows } = input;
  const { id, accountId } = ctx.environment;
  refuseTooMany(workflows.length, MAX_WORKFLOWS, 'workflows');
  refuseTooMany(input.resources.length, MAX_RESOURCES, 'resources');
  refuse(unusableResources(input.resources));
  const resources = input.resources.map(usable);
  const shared = withPushed(await loadShared(ctx.db, ctx.environment), resources);
  const keys = await knownKeys(ctx, workflows, resources);
  const secrets = await secretKeys(ctx);
  const isSecret = (key: string): boolean => secrets.has(key);
  // What is unreadable is a problem of the resource itself.
  const environment = compileEnvironment(shared, () => undefined, keys);
  refuse([
    ...(await pushedResourceProblems(resources, environment, isSecret)),
    ...(await pushedWorkflowProblems(workflows, environment, isSecret)),
  ]);
  const warnings = await pushWarnings(ctx, { workflows, resources, environment });
  const others = input.isWhole ? await unnamed(ctx, { workflows, resources }) : [];
  if (input.check) return { workflows: [], resources: [], warnings, unnamed: others };
  return ctx.db.transaction(async (tx) => {
    const ofAccount = resources.some(({ kind }) => kind === 'channel_group');
    await lockEnvironments(tx, accountId, ofAccount ? undefined : id);
    const published: PublishedResource[] = [];
    for (const resource of resources) {
      published.push(await publishResource(tx, ctx.environment, resource));
    }
    const versions: PublishedVersion[] = [];
    for (const { key, content } of workflows) {
      versions.push(await publishWorkflow(tx, id, key, content as JsonObject));
    }
    const changed = published.filter((resource) => resource.changed);
    const changedAll = changed.some(({ kind }) => kind === 'channel_group');
    if (changed.length > 0) await raiseRevision(tx, accountId, changedAll ? undefined : id);
    await tellPublished(tx, {
      environment: ctx.environment,
      workflows: versions.map((version, i) => ({
        version,
        content: objectOf(workflows[i]?.content),
      })),
      resources: resources.flatMap((resource, i) => {
        const done = published[i];
        return done ? [{ resource, published: done }] : [];
      }),
      nowMs: ctx.clock.now(),
    });
    return { workflows: versions, resources: published, warnings, unnamed: others };
  });
}

/** Without what only files need. */
function usable({ kind, key, content }: ResourceToPublish): Resource {
  return { kind, key, content: withoutFileFields(objectOf(content)) };
}

function objectOf(content: unknown): JsonObject {
  return isJsonObject(content) ? content : {};
}

/** What the environment shares after the push. */
function withPushed(shared: Shared, pushed: readonly Resource[]): Shared {
  const resources = new Map(
    shared.resources.map((resource) => [resourcePlace(resource), resource]),
  );
  for (const resource of pushed) {
    resources.set(resourcePlace(resource), { ...resource, sha: contentSha(resource.content) });
  }
  return { ...shared, resources: [...resources.values()] };
}

async function knownKeys(
  { db, environment }: EnvironmentContext,
  pushed: readonly WorkflowToPublish[],
  resources: readonly Resource[],
): Promise<KnownKeys> {
  const rows = await db.query<{ readonly kind: string; readonly key: string }>(
    `
    select 'workflow' as kind, key
    from workflow
    where environment_id = $1
    union all
    select 'audience', key
    from audience
    where environment_id = $1
    union all
    select 'guide', key
    from guide
    where environment_id = $1
    union all
    select 'guide_channel', key
    from channel
    where account_id = $2
      and type = 'in_app_guide'`,
    [environment.id, environment.accountId],
  );
  const keysOf = (kind: string) => rows.filter((row) => row.kind === kind).map(({ key }) => key);
  const workflows = new Set([...keysOf('workflow'), ...pushed.map(({ key }) => key)]);
  const audiences = new Set(keysOf('audience'));
  const guides = new Set([
    ...keysOf('guide'),
    ...resources.flatMap(({ kind, key }) => (kind === 'guide' ? [key] : [])),
  ]);
  if (guides.size > MAX_GUIDES) {
    throw new BelfryError(
      'invalid_params',
      `The environment would have ${guides.size} guides, more than the ${MAX_GUIDES} that each look at guides can weigh`,
    );
  }
  const guideChannels = new Set(keysOf('guide_channel'));
  return {
    workflow: (key) => workflows.has(key),
    audience: (key) => audiences.has(key),
    guide: (key) => guides.has(key),
    guideChannel: (key) => guideChannels.has(key),
  };
}

async function secretKeys({ db, environment }: EnvironmentContext): Promise<ReadonlySet<string>> {
  const rows = await db.query<{ readonly key: string }>(
    `
    select key
    from variable
    where account_id = $1
      and type = 'secret'`,
    [environment.accountId],
  );
  return new Set(rows.map(({ key }) => key));
}

function refuseTooMany(count: number, most: number, name: string): void {
  if (count <= most) return;
  throw new BelfryError(
    'invalid_params',
    `${count} ${name} are more than the ${most} of one push; push them in parts`,
  );
}

function refuse(problems: readonly FieldError[]): void {
  const fields = problems.slice(0, MAX_PROBLEMS);
  const [first] = fields;
  if (!first) return;
  const others = problems.length > 1 ? ` (and ${problems.length - 1} more)` : '';
  throw new BelfryError(
    'invalid_params',
    `Nothing was published. ${first.field} ${first.message}${others}`,
    { fields },
  );
}
