import type { EnvironmentContext } from '../context.ts';
import { textArray } from '../db/array-literal.ts';
import type { Queryable } from '../db/database.ts';
import { type RecipientKey, USERS } from './reference.ts';

/** Rows of a kind that go in the request itself, for all recipients together, and what each has at the least. */
const AT_ONCE = 1_000;
const AT_LEAST = 20;

// Recipients are locked before what is theirs, in the order of all that lock them, so that nobody deadlocks.
const DELETE = {
  name: 'delete_recipients',
  text: `
    with given as materialized (
      select distinct collection, id
      from unnest($2::text[], $3::text[]) as given (collection, id)
    ),
    held as materialized (
      select r.collection, r.id
      from given
      join recipient r
        on r.environment_id = $1
        and r.collection = given.collection
        and r.id = given.id
      order by r.collection, r.id
      for update of r
    ),
    gone_preferences as (
      delete from preference_set p
      using given
      where p.environment_id = $1
        and p.collection = given.collection
        and p.recipient_id = given.id
        and (select count(*) from held) >= 0
    ),
    gone_channel_data as (
      delete from channel_data c
      using given
      where c.environment_id = $1
        and c.collection = given.collection
        and c.recipient_id = given.id
        and (select count(*) from held) >= 0
    ),
    gone_engagements as (
      delete from guide_engagement e
      using given
      where e.environment_id = $1
        and given.collection = '${USERS}'
        and e.user_id = given.id
    ),
    gone_displays as (
      delete from guide_display d
      using given
      where d.environment_id = $1
        and given.collection = '${USERS}'
        and d.user_id = given.id
    ),
    gone_members as (
      delete from audience_member m
      using given, audience a
      where a.environment_id = $1
        and given.collection = '${USERS}'
        and m.audience_id = a.id
        and m.user_id = given.id
    ),
    gone_schedules as (
      delete from schedule
      where id in (
        select s.id
        from given
        cross join lateral (
          select id
          from schedule
          where environment_id = $1
            and collection = given.collection
            and recipient_id = given.id
          limit $6
        ) s
      )
    ),
    gone_subscriptions as (
      delete from subscription s
      using given
      cross join lateral (
        select object_collection, object_id
        from subscription
        where environment_id = $1
          and recipient_collection = given.collection
          and recipient_id = given.id
        limit $6
      ) own
      where s.environment_id = $1
        and s.object_collection = own.object_collection
        and s.object_id = own.object_id
        and s.recipient_collection = given.collection
        and s.recipient_id = given.id
    ),
    gone_subscribers as (
      delete from subscription s
      using given
      cross join lateral (
        select recipient_collection, recipient_id
        from subscription
        where environment_id = $1
          and object_collection = given.collection
          and object_id = given.id
        limit $6
      ) those
      where s.environment_id = $1
        and s.object_collection = given.collection
        and s.object_id = given.id
        and s.recipient_collection = those.recipient_collection
        and s.recipient_id = those.recipient_id
    ),
    gone as (
      delete from recipient r
      using held
      where r.environment_id = $1
        and r.collection = held.collection
        and r.id = held.id
    )
    insert into deletion (environment_id, collection, recipient_id, deleted_at, merged_into, due_at)
    select $1, collection, id, $4, $5, $4
    from given`,
};

/**
 * Deletes recipients: they are gone at once, and what they leave behind (messages, subscribers) within minutes; see
 * deletion/README.md. Those that are not there are none already. The ids can be used afresh.
 */
export async function deleteRecipients(
  ctx: EnvironmentContext,
  keys: readonly RecipientKey[],
): Promise<void> {
  if (keys.length > 0) await recordDeletion(ctx.db, ctx, keys, null);
}

/** `deleteRecipients` for one. */
export function deleteRecipient(ctx: EnvironmentContext, key: RecipientKey): Promise<void> {
  return deleteRecipients(ctx, [key]);
}

/** The same within the caller's transaction; the messages of the last 30 days go to the user `mergedInto`. */
export async function recordDeletion(
  tx: Queryable,
  { environment, clock }: EnvironmentContext,
  keys: readonly RecipientKey[],
  mergedInto: string | null,
): Promise<void> {
  await tx.query(DELETE, [
    environment.id,
    textArray(keys.map(({ collection }) => collection)),
    textArray(keys.map(({ id }) => id)),
    new Date(clock.now()),
    mergedInto,
    Math.max(AT_LEAST, Math.floor(AT_ONCE / keys.length)),
  ]);
}
