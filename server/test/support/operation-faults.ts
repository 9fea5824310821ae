import { expect } from 'vitest';
import type { FaultPoint } from '../../src/lib/fault-point.ts';
import type { FaultServer } from './fault-server.ts';
import { waitFor } from './wait.ts';

const ITEMS = 250;

/**
 * Sets the preferences of many users in bulk, and dies at the point; in the end every user of an operation that was
 * acknowledged was written once, and nobody twice.
 */
export async function operateThrough(server: FaultServer, point: FaultPoint): Promise<void> {
  await server.ensureRunning();
  await noteWrites(server);
  await server.arm(point);
  const name = point.replaceAll('.', '-');
  let attempt = 0;
  // The server may die before it answers; then it may or may not have begun.
  const begin = async (): Promise<string | undefined> => {
    await server.ensureRunning();
    attempt += 1;
    const user_ids = Array.from({ length: ITEMS }, (_, i) => `${name}-${attempt}-${i}`);
    const answer = await server
      .call('POST', '/v1/users/bulk/preferences', { user_ids, preferences: { workflows: {} } })
      .catch(() => undefined);
    return answer && String(answer.id);
  };
  const id = await waitFor('the operation', begin, 20_000);
  await waitFor(point, async () => ((await server.isReached(point)) ? true : undefined), 20_000);
  const done = await waitFor(
    'the end of the operation',
    async () => {
      await server.ensureRunning();
      const operation = await server
        .call('GET', `/v1/bulk_operations/${id}`)
        .catch(() => undefined);
      return operation?.status === 'completed' ? operation : undefined;
    },
    30_000,
  );
  expect(done).toMatchObject({ processed_rows: ITEMS, success_count: ITEMS, error_count: 0 });
  const open = () => server.test.db.query('select from bulk_operation where completed_at is null');
  await waitFor('all operations', async () => ((await open()).length === 0 ? true : undefined));
  const written = await server.test.db.query<{ attempt: string; users: number; writes: number }>(
    `select split_part(substr(id, length($1) + 2), '-', 1) as attempt,
            count(distinct id)::int as users,
            count(*)::int as writes
     from bulk_write
     where starts_with(id, $1 || '-')
     group by 1
     order by 1`,
    [name],
  );
  const all = { users: ITEMS, writes: ITEMS };
  expect(written.at(-1)).toEqual({ attempt: String(attempt), ...all });
  for (const row of written) expect(row).toMatchObject(all);
  await server.loadSome();
}

/** From now on each write of a preference set is a row of `bulk_write`. */
export async function noteWrites({ test }: FaultServer): Promise<void> {
  await test.db.query(
    `create table if not exists bulk_write (id text not null);
     create or replace function note_bulk_write() returns trigger language plpgsql as
       $$ begin insert into bulk_write values (new.recipient_id); return new; end $$;
     create or replace trigger note_bulk_write after insert or update on preference_set
       for each row execute function note_bulk_write()`,
  );
}

/** How many users whose ids begin so were written, and how often. */
export async function writesOf(
  { test }: FaultServer,
  prefix: string,
): Promise<{ readonly users: number; readonly writes: number } | undefined> {
  const [row] = await test.db.query<{ users: number; writes: number }>(
    `select count(distinct id)::int as users, count(*)::int as writes
     from bulk_write
     where starts_with(id, $1 || '-')`,
    [prefix],
  );
  return row;
}
