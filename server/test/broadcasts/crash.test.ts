import { expect, test } from 'vitest';
import { broadcastRounds } from '../support/broadcast-rounds.ts';

test('a broadcast reaches everybody exactly once though executors, the server and the database are killed', async () => {
  const result = await broadcastRounds({
    recipients: 4_000,
    kills: 3,
    rate: 100,
    say: () => undefined,
  });
  expect(result).toMatchObject({
    duplicates: 0,
    missing: 0,
    state: 'finished',
    server_kills: 1,
    executor_kills: 1,
    database_kills: 1,
  });
}, 120_000);
