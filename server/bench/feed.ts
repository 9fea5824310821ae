import type { BenchResult } from './support/bench.ts';
import { closedLoop } from './support/closed-loop.ts';
import { HISTORY_USERS, writeHistory } from './support/history.ts';
import { call, startBenchServer } from './support/server.ts';
import { pushBenchWorkflow, seedUsers } from './support/workload.ts';

/**
 * Lists over a large history: a page of 50 of a feed (of somebody, and of a user with 5,000 items), and of messages and
 * runs with each filter, one request after the other.
 */
export async function feed(
  say: (line: string) => void,
  options: ReadonlyMap<string, string>,
): Promise<BenchResult> {
  const rows = Number(options.get('rows') ?? 10_000_000);
  const seconds = Number(options.get('seconds') ?? 5);
  const server = await startBenchServer();
  try {
    await seedUsers(server, HISTORY_USERS);
    await pushBenchWorkflow(server);
    const quiet = (await call(
      server,
      'POST',
      '/ops/v1/accounts',
      { name: 'quiet' },
      server.operatorToken,
    )) as { environments: { development: { secret_key: string } } };
    const [environment] = await server.db.query<{ id: number }>(
      `select e.id
       from environment e
       join account a on a.id = e.account_id
       where a.name = 'quiet'
         and e.slug = 'development'`,
    );
    await writeHistory(server, environment?.id ?? 0, rows, say);
    const quietServer = { ...server, secretKey: quiet.environments.development.secret_key };
    const channel = server.channels['in-app'];
    const [rare] = await server.db.query<{ id: string }>(
      `select workflow_run_id as id from message where tenant = 'rare' order by id limit 1`,
    );
    const runId = rare?.id;
    const recent = new Date(Date.now() - 3_600_000).toISOString();
    const lists: readonly (readonly [string, string, typeof server?])[] = [
      ['feed', `/v1/users/user-{n}/feeds/${channel}?page_size=50`],
      ['large_feed', `/v1/users/large/feeds/${channel}?page_size=50`],
      ['messages', '/v1/messages'],
      ['messages_quiet_account', '/v1/messages', quietServer],
      ['messages_recipient', '/v1/users/user-{n}/messages'],
      ['messages_tenant', '/v1/messages?tenant=tenant-3'],
      ['messages_rare_tenant', '/v1/messages?tenant=rare'],
      ['messages_workflow', '/v1/messages?source=bench'],
      ['messages_read', '/v1/messages?engagement_status[]=read'],
      ['messages_status', '/v1/messages?status[]=delivered'],
      ['messages_run', `/v1/messages?workflow_run_id=${runId}`],
      ['messages_since', `/v1/messages?inserted_at.gte=${recent}`],
      ['runs', '/v1/workflow_recipient_runs'],
      ['runs_quiet_account', '/v1/workflow_recipient_runs', quietServer],
      ['runs_recipient', '/v1/workflow_recipient_runs?recipient=user-{n}'],
      ['runs_tenant', '/v1/workflow_recipient_runs?tenant=tenant-3'],
      ['runs_rare_tenant', '/v1/workflow_recipient_runs?tenant=rare'],
      ['runs_workflow', '/v1/workflow_recipient_runs?workflow=bench'],
      ['runs_errors', '/v1/workflow_recipient_runs?has_errors=true'],
      ['runs_trigger', `/v1/workflow_recipient_runs?workflow_run_id=${runId}`],
    ];
    const figures: Record<string, number> = {};
    for (const [name, path, as = server] of lists) {
      try {
        const { p50Ms, p99Ms } = await closedLoop(as, 1, seconds, (n) => ({
          method: 'GET',
          path: path.replace('{n}', String(((n * 31) % HISTORY_USERS) + 1)),
        }));
        say(`${name}: p50 ${p50Ms} ms, p99 ${p99Ms} ms`);
        figures[`${name}_p50_ms`] = p50Ms;
        figures[`${name}_p99_ms`] = p99Ms;
      } catch (error) {
        say(`${name}: ${error}`);
        figures[`${name}_p99_ms`] = Number.NaN;
      }
    }
    return { unit: 'a page of a list, one after the other', rows, ...figures };
  } finally {
    await server.destroy();
  }
}
