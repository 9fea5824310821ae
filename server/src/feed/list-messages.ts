import type { EnvironmentContext } from '../context.ts';
import { batchActors } from './activities.ts';
import { createValues } from './conditions.ts';
import { MESSAGE_COLUMNS, MESSAGE_TABLES } from './load-messages.ts';
import { type MessageConditions, readMessageFilter } from './message-filter.ts';
import { type Message, type MessageRow, messageJson } from './message-json.ts';
import { cutPage, type PageInfo, type PageRequest, readPage, readsBackward } from './page.ts';
import type { RawParameters } from './query-reader.ts';

export type MessageQuery = {
  readonly conditions: MessageConditions;
  readonly page: PageRequest;
};

export type MessagePage = {
  readonly items: readonly Message[];
  readonly page_info: PageInfo;
};

export function readMessageQuery(parameters: RawParameters): MessageQuery {
  return { conditions: readMessageFilter(parameters), page: readPage(parameters) };
}

/** A page of the environment's messages, or of one recipient's, newest first. */
export async function listMessages(
  ctx: EnvironmentContext,
  input: {
    readonly query: MessageQuery;
    readonly recipient?: { readonly collection: string; readonly id: string };
  },
): Promise<MessagePage> {
  const { query, recipient } = input;
  const { page } = query;
  const values = createValues(ctx.environment.id, page.size + 1);
  const conditions = query.conditions(values);
  if (recipient) {
    conditions.push(`m.recipient_id = ${values.add(recipient.id)}`);
    conditions.push(`m.collection = ${values.add(recipient.collection)}`);
  }
  if (page.after !== undefined) conditions.push(`m.id < ${values.add(page.after)}`);
  if (page.before !== undefined) conditions.push(`m.id > ${values.add(page.before)}`);
  const read = await ctx.db.query<MessageRow>(
    `select ${MESSAGE_COLUMNS}
from ${MESSAGE_TABLES}
where ${['m.environment_id = $1', ...conditions].join('\n  and ')}
order by m.id ${readsBackward(page) ? 'asc' : 'desc'}
limit $2`,
    values.list,
  );
  const { rows, info } = cutPage(page, read);
  const actors = await batchActors(ctx.db, rows);
  return { items: rows.map((row) => messageJson(row, actors.get(row.id))), page_info: info };
}
