import type { Queryable } from '../../src/db/database.ts';
import type { JsonObject } from '../../src/lib/json.ts';
import { waitFor } from './wait.ts';

/** Senders that trigger as fast as they are answered. What is not acknowledged is not counted. */
export type Load = {
  /** Run id to recipients, of what was acknowledged. */
  readonly acknowledged: ReadonlyMap<string, readonly string[]>;
  /** Resolves when this many more triggers were acknowledged. */
  readonly more: (count: number) => Promise<void>;
  readonly stop: () => Promise<void>;
};

const SENDERS = 6;

export function startLoad(
  trigger: (workflowKey: string, body: JsonObject) => Promise<string>,
  workflowKey: string,
): Load {
  const acknowledged = new Map<string, readonly string[]>();
  let loading = true;
  let number = 0;
  const senders = Array.from({ length: SENDERS }, async () => {
    while (loading) {
      number += 1;
      const size = number % 10 === 0 ? 200 : 1 + (number % 3);
      const recipients = Array.from({ length: size }, (_, i) => `user-${number}-${i}`);
      try {
        acknowledged.set(await trigger(workflowKey, { recipients }), recipients);
      } catch {
        // Refused or cut off: it may or may not be done. The next turn of the loop lets others run.
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    }
  });
  return {
    acknowledged,
    more: async (count) => {
      const goal = acknowledged.size + count;
      await waitFor(
        `${count} more acknowledged triggers`,
        () => (acknowledged.size >= goal ? true : undefined),
        30_000,
      );
    },
    stop: async () => {
      loading = false;
      await Promise.all(senders);
    },
  };
}

/** Waits until every acknowledged recipient has a message; throws when one has two. */
export async function everythingOnce(
  db: Queryable,
  acknowledged: ReadonlyMap<string, readonly string[]>,
): Promise<void> {
  const expected = [...acknowledged].flatMap(([run, recipients]) =>
    recipients.map((recipient) => `${run} ${recipient}`),
  );
  await waitFor(
    `${expected.length} messages`,
    async () => {
      const rows = await db.query<{ run: string; recipient: string; n: number }>(
        `select workflow_run_id as run, recipient_id as recipient, count(*) as n
         from message
         group by 1, 2`,
      );
      const twice = rows.filter((row) => row.n > 1);
      if (twice.length > 0) throw new Error(`${twice.length} recipients have a message twice`);
      const found = new Set(rows.map((row) => `${row.run} ${row.recipient}`));
      return expected.every((key) => found.has(key)) ? true : undefined;
    },
    30_000,
  );
}
