import { pino } from 'pino';
import { openDatabase } from '../../src/db/database.ts';
import { startEmbeddedPostgres } from '../../src/db/embedded.ts';
import { openAppender } from '../../src/engine/log/appender.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { USERS } from './workload.ts';

const TRIGGER_RUNS = 1_000;
const UNDER_WAY = 8;

/**
 * Queues runs of the workflow `bench` while no server runs: triggers of 1,000 recipients through the same
 * appender that the server has, on the database in `dataDir`. Nothing executes them until a server starts.
 */
export async function prefill(
  dataDir: string,
  environmentId: number,
  runs: number,
  say: (line: string) => void,
): Promise<void> {
  const log = pino({ level: 'silent' });
  const postgres = await startEmbeddedPostgres({ dataDir, log });
  try {
    const versionId = await benchVersion(postgres.url, environmentId);
    const appender = await openAppender({
      url: postgres.url,
      clock: systemClock,
      log,
      isCrowded: () => false,
      onAppended: () => undefined,
    });
    let next = 0;
    const append = async (): Promise<void> => {
      while (next * TRIGGER_RUNS < runs) {
        const n = next++;
        const count = Math.min(TRIGGER_RUNS, runs - n * TRIGGER_RUNS);
        await appender.append({
          environmentId,
          workflowKey: 'bench',
          versionId,
          recipients: Array.from({ length: count }, (_, i) => ({
            recipient: `user-${((n * TRIGGER_RUNS + i) % USERS) + 1}`,
          })),
          actor: null,
          tenant: null,
          data: { amount: 42, actor_name: 'Ada', payment_id: `p-${n}` },
          cancellationKey: null,
          settings: {},
        });
        if (n % 1_000 === 999) say(`${(n + 1) * TRIGGER_RUNS} of ${runs} runs queued`);
      }
    };
    await Promise.all(Array.from({ length: UNDER_WAY }, append));
    await appender.close();
  } finally {
    await postgres.stop();
  }
}

async function benchVersion(url: string, environmentId: number): Promise<number> {
  const db = openDatabase({
    url,
    max: 1,
    applicationName: 'belfry bench',
    log: pino({ level: 'silent' }),
  });
  const [row] = await db.query<{ id: number }>(
    `select published_version_id as id
     from workflow
     where environment_id = $1
       and key = 'bench'`,
    [environmentId],
  );
  await db.close();
  if (!row) throw new Error('the workflow bench is not published');
  return row.id;
}
