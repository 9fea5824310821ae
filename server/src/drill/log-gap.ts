import { lowestUuidAt } from '../lib/address.ts';
import type { Stage } from './stage.ts';

const IDS_AT_ONCE = 20_000;
const NOTHING_YET = '00000000-0000-0000-0000-000000000000';

/** What is shipped: a table of the store, and where its ids come from. */
const SHIPPED = [
  { to: 'event', from: 'message_event', id: 'id' },
  { to: 'run', from: 'recipient_run', id: 'id' },
  { to: 'delivery', from: 'delivery', id: 'message_id' },
  { to: 'api_log', from: 'api_log', id: 'id' },
] as const;

/** Rows that are in the database, have ids of before this time, and never came to the log store. */
export async function countLogGap(stage: Stage, beforeMs: number): Promise<number> {
  const { server, stores } = stage;
  const end = lowestUuidAt(Math.floor(beforeMs));
  let gap = 0;
  for (const { to, from, id } of SHIPPED) {
    let after = NOTHING_YET;
    for (;;) {
      const rows = await server.db.query<{ readonly id: string }>(
        `select distinct ${id} as id
         from ${from}
         where ${id} > $1
           and ${id} < $2
         order by id
         limit ${IDS_AT_ONCE}`,
        [after, end],
      );
      const last = rows.at(-1);
      if (!last) break;
      gap +=
        (await stores?.logStore?.missing(
          to,
          rows.map((row) => row.id),
        )) ?? rows.length;
      after = last.id;
    }
  }
  return gap;
}
