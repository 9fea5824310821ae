import type { Environment } from '../context.ts';
import type { Queryable } from '../db/database.ts';
import type { JsonObject } from '../lib/json.ts';
import { contentSha } from './canonical-json.ts';
import type { PublishedResource, PublishedVersion } from './publish.ts';
import { publishGuide } from './publish-guide.ts';
import type { Resource } from './resources.ts';
import { withoutFileFields } from './without-file-fields.ts';

/** Publishes one workflow without problems. The caller has locked the environment. */
export async function publishWorkflow(
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

/** Keeps one resource without problems. */
export async function publishResource(
  tx: Queryable,
  environment: Pick<Environment, 'id' | 'accountId'>,
  resource: Resource,
): Promise<PublishedResource> {
  const { kind, key, content } = resource;
  if (kind === 'guide') return publishGuide(tx, environment.id, resource);
  const values = [JSON.stringify(content), contentSha(content)];
  const changed =
    kind === 'channel_group'
      ? await tx.query(
          `
          insert into channel_group as kept (account_id, key, content, sha)
          values ($1, $2, $3, $4)
          on conflict (account_id, key) do update
          set content = excluded.content, sha = excluded.sha, updated_at = now()
          where kept.sha <> excluded.sha
          returning key`,
          [environment.accountId, key, ...values],
        )
      : kind === 'guide_group'
        ? await tx.query(
            `
            insert into guide_group as kept (environment_id, key, content, sha)
            values ($1, $2, $3, $4)
            on conflict (environment_id, key) do update
            set content = excluded.content, sha = excluded.sha, updated_at = now()
            where kept.sha <> excluded.sha
            returning key`,
            [environment.id, key, ...values],
          )
        : await tx.query(
            `
          insert into resource as kept (environment_id, kind, key, content, sha)
          values ($1, $2, $3, $4, $5)
          on conflict (environment_id, kind, key) do update
          set content = excluded.content, sha = excluded.sha, updated_at = now()
          where kept.sha <> excluded.sha
          returning key`,
            [environment.id, kind, key, ...values],
          );
  return { kind, key, changed: changed.length > 0 };
}

/**
 * Lets one at a time change what an environment shares, or (without one) all environments of the account; always in one
 * order, so that no two wait for each other.
 */
export async function lockEnvironments(
  tx: Queryable,
  accountId: number,
  environmentId: number | undefined,
): Promise<void> {
  // No key update: rows that refer to an environment can still be written meanwhile.
  await tx.query(
    `
    select id
    from environment
    where account_id = $1
      and ($2::int is null or id = $2)
    order by id
    for no key update`,
    [accountId, environmentId ?? null],
  );
}

/** Tells executors that something shared changed: in one environment, or in all of the account. They are locked. */
export async function raiseRevision(
  tx: Queryable,
  accountId: number,
  environmentId: number | undefined,
): Promise<void> {
  await tx.query(
    `
    update environment
    set revision = revision + 1
    where account_id = $1
      and ($2::int is null or id = $2)`,
    [accountId, environmentId ?? null],
  );
}
