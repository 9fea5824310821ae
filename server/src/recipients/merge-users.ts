import type { EnvironmentContext } from '../context.ts';
import { againAfterDeadlock, type Queryable } from '../db/database.ts';
import { BelfryError, invalidField } from '../lib/errors.ts';
import { movedZonesSql } from '../signals/moved-zones-sql.ts';
import { signalsSql } from '../signals/signals-sql.ts';
import { recordDeletion } from './delete-recipients.ts';
import { fits, MOVED, UPDATED } from './identify.ts';
import { tooManyProperties } from './inline.ts';
import type { RecipientRow } from './recipient.ts';
import { USERS } from './reference.ts';

const PROPERTIES = {
  name: 'merge_users',
  text: `
    with written as (
      update recipient r
      set properties = jsonb_deep_merge(other.properties, r.properties),
        updated_at = now()
      from recipient other
      where r.environment_id = $1
        and r.collection = '${USERS}'
        and r.id = $2
        and other.environment_id = $1
        and other.collection = '${USERS}'
        and other.id = $3
        and ${fits('other.properties', 'r.properties')}
      returning r.environment_id, r.collection, r.id, r.properties, r.created_at, r.updated_at
    ),
    preferences as (
      insert into preference_set (environment_id, collection, recipient_id, id, preferences)
      select p.environment_id, p.collection, written.id, p.id, p.preferences
      from written
      join preference_set p
        on p.environment_id = written.environment_id
        and p.collection = written.collection
        and p.recipient_id = $3
      order by p.id
      on conflict do nothing
    ),
    channels as (
      insert into channel_data (environment_id, collection, recipient_id, channel_id, data)
      select c.environment_id, c.collection, written.id, c.channel_id, c.data
      from written
      join channel_data c
        on c.environment_id = written.environment_id
        and c.collection = written.collection
        and c.recipient_id = $3
      order by c.channel_id
      on conflict do nothing
    ),
    engagements as (
      insert into guide_engagement (environment_id, user_id, tenant, guide_key, step_ref, message_id, seen_at, read_at,
        interacted_at, archived_at, inserted_at, updated_at)
      select e.environment_id, written.id, e.tenant, e.guide_key, e.step_ref, e.message_id, e.seen_at, e.read_at,
        e.interacted_at, e.archived_at, e.inserted_at, e.updated_at
      from written
      join guide_engagement e
        on e.environment_id = written.environment_id
        and e.user_id = $3
      order by e.tenant, e.guide_key, e.step_ref
      on conflict do nothing
    ),
    signals as (
      ${signalsSql(UPDATED)}
    ),
    schedules as (
      ${movedZonesSql(MOVED)}
    )
    select collection, id, properties, created_at, updated_at
    from written`,
};

/**
 * Merges the user `fromId` into the user `id` and deletes it: properties are merged, preference sets, channel data and
 * what was done with guides that the user has not are added, and messages of the last 30 days become his within minutes. Where both have
 * something, the user's own stays. Throws 404 when one of them does not exist.
 */
export async function mergeUsers(
  ctx: EnvironmentContext,
  { id, fromId }: { readonly id: string; readonly fromId: string },
): Promise<RecipientRow> {
  if (id === fromId) throw invalidField('from_user_id', 'must be another user');
  const merge = async (tx: Queryable): Promise<RecipientRow> => {
    // Both in one order, so that merging them into each other at once cannot deadlock.
    const known = await tx.query<{ readonly id: string }>(
      `
      select id
      from recipient
      where environment_id = $1
        and collection = '${USERS}'
        and id = any($2::text[])
      order by id
      for update`,
      [ctx.environment.id, [id, fromId]],
    );
    for (const wanted of [id, fromId]) {
      if (known.some((user) => user.id === wanted)) continue;
      throw new BelfryError('resource_missing', `There is no user ${JSON.stringify(wanted)}`);
    }
    const [row] = await tx.query<RecipientRow>(PROPERTIES, [ctx.environment.id, id, fromId]);
    if (!row) throw tooManyProperties({ collection: USERS, id });
    await recordDeletion(tx, ctx, [{ collection: USERS, id: fromId }], id);
    return row;
  };
  return againAfterDeadlock(() => ctx.db.transaction(merge));
}
