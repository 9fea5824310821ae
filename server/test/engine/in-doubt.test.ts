import { afterAll, beforeAll, expect, it } from 'vitest';
import { openAppender } from '../../src/engine/log/appender.ts';
import { FIRST_ASIDE_SLOT } from '../../src/engine/log/slots.ts';
import { movableClock } from '../support/clock.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { startDatabaseProxy } from '../support/database-proxy.ts';
import { silentLog } from '../support/log.ts';
import { triggerRequest, users } from '../support/triggers.ts';
import { waitFor } from '../support/wait.ts';

let test: TestDatabase;

beforeAll(async () => {
  test = await createTestDatabase();
});
afterAll(() => test.drop());

it('an insert in doubt whose work was set aside, and whose slot was truncated, is not repeated', async () => {
  const proxy = await startDatabaseProxy(test.url);
  const appender = await openAppender({
    url: proxy.url,
    clock: movableClock(Date.UTC(2026, 2, 10, 12)),
    log: silentLog,
    isCrowded: () => false,
    onAppended: () => undefined,
  });
  const slots = (): Promise<{ slot: number }[]> => test.db.query('select slot from chunk');
  proxy.loseAnswers();
  const answer = appender.append(triggerRequest({ recipients: users(1, 'held') }));
  await waitFor('the commit', async () => ((await slots()).length > 0 ? true : undefined));
  proxy.refuse(true);
  proxy.cutClients();
  await test.db.query(
    `with gone as (
       delete from chunk
       returning *
     )
     insert into chunk
       (slot, stream, sequence, lane_id, kind, run_count, slice_count, accepted_at, body, order_id,
        source_stream, source_sequence)
     select ${FIRST_ASIDE_SLOT}, 900, 1, lane_id, kind, run_count, slice_count, accepted_at, body, 8,
            stream, sequence
     from gone`,
  );
  proxy.refuse(false);
  expect((await answer).kind).toBe('accepted');
  expect(await slots()).toEqual([{ slot: FIRST_ASIDE_SLOT }]);
  await appender.close();
  await proxy.close();
});
