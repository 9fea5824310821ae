import { textArray } from '../../db/array-literal.ts';
import type { Queryable, Statement } from '../../db/database.ts';
import type { JsonObject } from '../../lib/json.ts';
import {
  type DeliveryStatus,
  type MessageState,
  messagesRef,
} from '../../workflows/message-status.ts';
import type { RunState } from '../log/chunk.ts';
import { MESSAGE_STATUS } from '../status.ts';

/** What resumed runs find under the refs of steps that made messages for them. */
export type MessageRefs = (state: RunState) => JsonObject;

type Row = {
  readonly id: string;
  readonly status: number;
  readonly seen: boolean;
  readonly read: boolean;
  readonly interacted: boolean;
  readonly clicked: boolean;
  readonly archived: boolean;
};

// A message is looked up by its id, which says its partition too; runs know the ids of theirs.
const LOAD: Statement = {
  name: 'load_message_status',
  text: `select m.id, m.status,
       m.seen_at is not null as seen,
       m.read_at is not null as read,
       m.interacted_at is not null as interacted,
       m.link_clicked_at is not null as clicked,
       m.archived_at is not null as archived
from unnest($1::uuid[]) as wanted(id)
cross join lateral (
  select *
  from message
  where id = wanted.id
  offset 0
) m`,
};

const DELIVERY = new Map<number, DeliveryStatus>(
  (Object.keys(MESSAGE_STATUS) as DeliveryStatus[]).map((name) => [MESSAGE_STATUS[name], name]),
);

/** Statuses of the messages of these runs, in one statement. */
export async function loadMessageStatus(
  db: Queryable,
  states: readonly RunState[],
): Promise<MessageRefs> {
  const ids = [...new Set(states.flatMap(({ messages }) => Object.values(messages ?? {}).flat()))];
  const found = new Map<string, MessageState>();
  if (ids.length > 0) {
    for (const row of await db.query<Row>(LOAD, [textArray(ids)])) {
      const { seen, read, interacted, archived } = row;
      const delivery = DELIVERY.get(row.status) ?? 'queued';
      found.set(row.id, { delivery, seen, read, interacted, archived, linkClicked: row.clicked });
    }
  }
  return ({ messages = {} }) =>
    Object.fromEntries(
      Object.entries(messages).map(([ref, list]) => [
        ref,
        messagesRef(list.map((id) => found.get(id))),
      ]),
    );
}
