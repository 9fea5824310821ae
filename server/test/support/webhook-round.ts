import { expect } from 'vitest';
import { messageEventTypes } from '../../src/feed/message-event-type.ts';
import type { FaultPoint } from '../../src/lib/fault-point.ts';
import { uuidFromKsuid } from '../../src/lib/ksuid.ts';
import { serveHttp } from '../channels/support.ts';
import type { FaultServer } from './fault-server.ts';
import { waitFor } from './wait.ts';

/** Every event of what was acknowledged reaches a webhook, under its own id. */
export async function webhookRound(
  server: FaultServer,
  point: FaultPoint,
  everythingOnce: () => Promise<void>,
): Promise<void> {
  const told = new Set<string | undefined>();
  const receiver = await serveHttp((request, response) => {
    told.add(uuidFromKsuid(String(request.headers['webhook-id'])));
    response.end();
  });
  await server.ensureRunning();
  const events = ['message.delivered'];
  await server.call('POST', '/control/v1/webhooks', { url: receiver.url, events });
  const before = new Set(server.acknowledged.keys());
  await server.arm(point);
  await server.loadUntil(point);
  await everythingOnce();
  const runs = [...server.acknowledged.keys()].filter((run) => !before.has(run));
  const delivered = await server.test.db.query<{ id: string }>(
    `select e.id
     from message_event e
     join message m on m.id = e.message_id
     where m.workflow_run_id = any($1::uuid[])
       and e.type = $2`,
    [runs, messageEventTypes.delivered],
  );
  expect(delivered.length).toBeGreaterThanOrEqual(runs.length);
  await waitFor(
    `${delivered.length} events`,
    async () => {
      await server.ensureRunning();
      return delivered.every(({ id }) => told.has(id)) ? true : undefined;
    },
    30_000,
  );
  await waitFor('every answer to be recorded', async () => {
    const [row] = await server.test.db.query<{ n: number }>(
      'select count(*)::int as n from webhook_delivery where state = 0',
    );
    return row?.n === 0 ? true : undefined;
  });
  await server.test.db.query('delete from webhook_endpoint');
  await receiver.close();
}
