import { randomUUID } from 'node:crypto';
import type { Environment } from '../context.ts';
import type { Queryable } from '../db/database.ts';
import type { JsonObject } from '../lib/json.ts';
import { versionUuid } from '../lib/version-uuid.ts';
import { webhookEventTypes } from '../signals/webhook-event-types.ts';
import { webhookEventsSql } from '../signals/webhook-events-sql.ts';
import { contentSha } from './canonical-json.ts';
import type { PublishedResource, PublishedVersion } from './publish.ts';
import type { Resource } from './resources.ts';
import { withoutFileFields } from './without-file-fields.ts';

type Changed = {
  readonly kind: 'workflow' | 'email_layout' | 'partial' | 'translation';
  readonly data: JsonObject;
  /** What is pushed is committed: of a workflow, its version. */
  readonly commitId: string;
};

/** What webhooks are told of the kinds of resources; others are not told. */
const KINDS: { readonly [kind: string]: Changed['kind'] | undefined } = {
  layout: 'email_layout',
  partial: 'partial',
  translation: 'translation',
};

const TELL = webhookEventsSql(
  `
    select $1::int as environment_id, type, event_id, null::uuid as subject, content
    from unnest($2::int[], $3::uuid[], $4::json[]) as published (type, event_id, content)`,
  '$5::timestamptz',
);

/** Tells webhooks what a push changed, in its transaction: each is updated, and committed. */
export async function tellPublished(
  tx: Queryable,
  input: {
    readonly environment: Environment;
    readonly workflows: readonly {
      readonly content: JsonObject;
      readonly version: PublishedVersion;
    }[];
    readonly resources: readonly {
      readonly resource: Resource;
      readonly published: PublishedResource;
    }[];
    readonly nowMs: number;
  },
): Promise<void> {
  const { environment, nowMs } = input;
  const changed: Changed[] = [
    ...input.workflows
      .filter(({ version }) => version.changed)
      .map(({ content, version: { key, versionId } }) => ({
        kind: 'workflow' as const,
        data: dataOf(environment, key, withoutFileFields(content)),
        commitId: versionUuid(versionId),
      })),
    ...input.resources.flatMap(({ resource, published }) => {
      const kind = published.changed ? KINDS[resource.kind] : undefined;
      if (kind === undefined) return [];
      const data = dataOf(environment, resource.key, resource.content);
      return [{ kind, data, commitId: shaUuid(contentSha(resource.content)) }];
    }),
  ];
  if (changed.length === 0) return;
  const events = changed.flatMap(({ kind, data, commitId }) => [
    { type: webhookEventTypes[`${kind}.updated`], content: { data, event_data: null } },
    {
      type: webhookEventTypes[`${kind}.committed`],
      content: { data, event_data: { commit_id: commitId } },
    },
  ]);
  await tx.query(TELL, [
    environment.id,
    events.map(({ type }) => type),
    events.map(() => randomUUID()),
    events.map(({ content }) => JSON.stringify(content)),
    new Date(nowMs),
  ]);
}

function dataOf({ slug }: Environment, key: string, content: JsonObject): JsonObject {
  return { ...content, key, environment: slug, sha: contentSha(content), valid: true };
}

/** The first half of a sha-256 as a UUID of version 8. */
function shaUuid(sha: string): string {
  return `${sha.slice(0, 8)}-${sha.slice(8, 12)}-8${sha.slice(13, 16)}-8${sha.slice(17, 20)}-${sha.slice(20, 32)}`;
}
