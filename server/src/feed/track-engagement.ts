import type { Context } from '../context.ts';
import type { Queryable, Statement } from '../db/database.ts';
import { timeOrderedUuid } from '../lib/uuid.ts';
import { signalsSql } from '../signals/signals-sql.ts';
import { webhookEventsSql } from '../signals/webhook-events-sql.ts';
import type { Tracked } from './link-tokens.ts';
import { messageEventTypes } from './message-event-type.ts';

/** The same link of the same message within this time is one click: browsers ask twice, people click twice. */
const ONCE_MS = 10_000;

const { link_clicked: CLICKED, read: READ } = messageEventTypes;
/** Numbers of `channelTypes`: who opens a link of a text or a chat has read it. */
const READ_BY_CLICK = '(3, 5)';

/** The target of a link in a text message, or undefined. */
export async function findShortLink(db: Queryable, key: string): Promise<Tracked | undefined> {
  const [row] = await db.query<{ readonly message_id: string; readonly url: string }>(
    {
      name: 'find_short_link',
      text: `select message_id, url
      from short_link
      where key = $1`,
    },
    [key],
  );
  return row && { messageUuid: row.message_id, url: row.url };
}

/**
 * A click on a link (`link_clicked` with its URL; in a text message or a chat also `read`), or an e-mail that was opened
 * (`read`). The same again within ten seconds writes nothing: whoever comes second waits for the message's row, and then
 * finds the event. A message that is gone is no error.
 */
export async function recordEngagement(
  { db, clock }: Pick<Context, 'db' | 'clock'>,
  { messageUuid, url }: Tracked,
): Promise<void> {
  await db.transaction(async (tx) => {
    const locked = await tx.query(
      {
        name: 'lock_engaged_message',
        text: `select id
        from message
        where id = $1
        for update`,
      },
      [messageUuid],
    );
    if (locked.length === 0) return;
    const nowMs = clock.now();
    await tx.query(RECORD, [
      messageUuid,
      new Date(nowMs),
      timeOrderedUuid(nowMs),
      timeOrderedUuid(nowMs),
      url ?? null,
      new Date(nowMs - ONCE_MS),
    ]);
  });
}

const RECORD: Statement = {
  name: 'record_engagement',
  text: `with event as (
  insert into message_event (id, message_id, environment_id, type, data, inserted_at)
  select e.id, m.id, m.environment_id, e.type, e.data, $2
  from message m
  cross join lateral (
    values ($3::uuid, ${CLICKED}, json_build_object('url', $5::text)), ($4::uuid, ${READ}, null)
  ) as e(id, type, data)
  where m.id = $1
    and case when $5::text is null then e.type = ${READ}
      else e.type = ${CLICKED} or (m.channel_type in ${READ_BY_CLICK} and m.read_at is null) end
    and not exists (
      select
      from message_event before
      where before.message_id = m.id
        and before.inserted_at > $6
        and case when $5::text is null then before.type = ${READ}
          else before.type = ${CLICKED} and before.data ->> 'url' = $5::text end
    )
  returning id, environment_id, message_id, type, data
), changed as (
  update message m
  set link_clicked_at = case when $5::text is null then m.link_clicked_at else $2 end,
    read_at = case when $5::text is null or m.channel_type in ${READ_BY_CLICK} then $2 else m.read_at end,
    updated_at = $2
  where m.id = $1
    and exists (select from event)
  returning m.id, m.environment_id, m.collection, m.recipient_id, m.workflow_key, m.workflow_run_id, m.step_ref
), signals as (
  ${signalsSql(`
    select c.environment_id, c.collection, c.recipient_id, 'message' as kind, c.workflow_key as source,
           case e.type when ${CLICKED} then 'link_clicked' else 'read' end as event,
           jsonb_build_object('message_uuid', c.id, 'workflow_run_id', c.workflow_run_id, 'workflow', c.workflow_key,
                              'step_ref', c.step_ref) || coalesce(e.data::jsonb, '{}') as detail
    from changed c
    cross join event e`)}
), webhooks as (
  ${webhookEventsSql(
    `
    select environment_id, type::int as type, id as event_id, message_id as subject, null::json as content
    from event`,
    '$2::timestamptz',
  )}
)
select 1`,
};
