import type { EnvironmentContext } from '../context.ts';
import type { Json } from '../lib/json.ts';
import {
  ACTOR_ROW,
  type Activity,
  type ActivityRow,
  activity,
  BATCH_ACTOR,
  batchOf,
  KEPT_ACTIVITY,
} from './activities.ts';
import { createValues, RUN_DATA, triggerDataConditions } from './conditions.ts';
import { type EmbeddedRow, embeddedColumns, embeddedRecipient } from './embedded-recipient.ts';
import { messageMissing, requireMessageUuid } from './load-messages.ts';
import { cutPage, type PageInfo, type PageRequest, readsBackward } from './page.ts';
import { recipientReference } from './recipient-reference.ts';
import type { TriggerData } from './trigger-data.ts';

/** The recipient of every activity of a message is the message's. */
type RecipientRow = {
  readonly batch: Json;
  readonly collection: string;
  readonly recipient_id: string;
  readonly inserted_at: Date;
  readonly recipient_row: EmbeddedRow | null;
};

/** The triggers that are in a message, newest first: of a batch all of it. Throws `resource_missing`. */
export async function listActivities(
  ctx: EnvironmentContext,
  input: {
    readonly messageId: string;
    readonly page: PageRequest;
    readonly triggerData?: TriggerData | undefined;
  },
): Promise<{ readonly items: readonly Activity[]; readonly page_info: PageInfo }> {
  const { page, triggerData = [] } = input;
  const uuid = requireMessageUuid(input.messageId);
  const [message] = await ctx.db.query<RecipientRow>(
    `select m.batch, m.collection, m.recipient_id, m.inserted_at, ${embeddedColumns('u')} as recipient_row
from message m
left join recipient u on u.environment_id = m.environment_id
  and u.collection = m.collection
  and u.id = m.recipient_id
where m.environment_id = $1
  and m.id = $2`,
    [ctx.environment.id, uuid],
  );
  if (!message) throw messageMissing(input.messageId);
  const values = createValues(uuid, page.size + 1);
  const isBatch = batchOf(message.batch) !== undefined;
  const id = isBatch ? 'a.run_id' : 'm.recipient_run_id';
  const data = isBatch ? 'coalesce(a.data, r.data)' : undefined;
  const conditions = [
    'm.id = $1',
    ...(isBatch ? [KEPT_ACTIVITY] : []),
    ...(page.after === undefined ? [] : [`${id} < ${values.add(page.after)}`]),
    ...(page.before === undefined ? [] : [`${id} > ${values.add(page.before)}`]),
    ...triggerDataConditions(triggerData, values, data),
  ];
  const read = await ctx.db.query<ActivityRow>(
    `select x.*, ${embeddedColumns('ar')} as actor_row
from (
  select ${id} as id, m.environment_id,
    ${isBatch ? BATCH_ACTOR : 'r.actor'} as actor,
    ${isBatch ? `coalesce(a.data, ${RUN_DATA})` : RUN_DATA} as data,
    ${isBatch ? 'null::jsonb' : 'm.trigger_data'} as own_data,
    ${isBatch ? 'a.accepted_at' : 'coalesce(r.accepted_at, m.inserted_at)'} as accepted_at
  from message m
  ${
    isBatch
      ? `join batch_activity a on a.window_id = (m.batch ->> 'window')::bigint
  left join workflow_run r on r.id = a.workflow_run_id`
      : 'left join workflow_run r on r.id = m.workflow_run_id'
  }
  where ${conditions.join('\n    and ')}
  order by ${id} ${readsBackward(page) ? 'asc' : 'desc'}
  limit $2
) x
${ACTOR_ROW}
order by x.id ${readsBackward(page) ? 'asc' : 'desc'}`,
    values.list,
  );
  const { rows, info } = cutPage(page, read);
  const reference = recipientReference(message.collection, message.recipient_id);
  const recipient =
    embeddedRecipient(reference, message.recipient_row, message.inserted_at) ?? null;
  return { items: rows.map((row) => activity(row, recipient)), page_info: info };
}
