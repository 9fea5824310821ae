import type { Queryable } from '../db/database.ts';
import type { Json } from '../lib/json.ts';
import { contentSha } from './canonical-json.ts';
import type { PublishedResource } from './publish.ts';
import type { Resource } from './resources.ts';

/**
 * Publishes one guide without problems. Whether it is switched on, and from when until when, is no part of its content:
 * what the push does not name stays as it is; a new guide is switched on. The caller has locked the environment.
 */
export async function publishGuide(
  tx: Queryable,
  environmentId: number,
  { kind, key, content: source }: Resource,
): Promise<PublishedResource> {
  const { active, active_from: from, active_until: until, ...content } = source;
  const rows = await tx.query(
    `
    insert into guide as kept (environment_id, key, content, sha, active, active_from, active_until)
    values ($1, $2, $3, $4, coalesce($5::boolean, true), $7, $9)
    on conflict (environment_id, key) do update
    set content = excluded.content,
      sha = excluded.sha,
      number = kept.number + case when kept.sha <> excluded.sha then 1 else 0 end,
      active = coalesce($5::boolean, kept.active),
      active_from = case when $6 then excluded.active_from else kept.active_from end,
      active_until = case when $8 then excluded.active_until else kept.active_until end,
      updated_at = now()
    where kept.sha <> excluded.sha
      or $5::boolean is distinct from kept.active and $5::boolean is not null
      or $6 and kept.active_from is distinct from excluded.active_from
      or $8 and kept.active_until is distinct from excluded.active_until
    returning key`,
    [
      environmentId,
      key,
      JSON.stringify(content),
      contentSha(content),
      typeof active === 'boolean' ? active : null,
      from !== undefined,
      time(from),
      until !== undefined,
      time(until),
    ],
  );
  return { kind, key, changed: rows.length > 0 };
}

function time(value: Json | undefined): Date | null {
  return typeof value === 'string' ? new Date(value) : null;
}
