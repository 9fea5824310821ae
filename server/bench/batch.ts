import { Agent, request } from 'undici';
import { rounded } from '../src/drill/statistics.ts';
import type { BenchResult } from './support/bench.ts';
import { usageOf } from './support/processes.ts';
import { type BenchServer, call, startBenchServer } from './support/server.ts';
import { seedUsers } from './support/workload.ts';

const ACTIVITIES = 1_000;
const RECIPIENTS = 100;
const SENDERS = 32;
const POLL_MS = 50;
const WINDOW_S = 5;
const BY = { author: 'bench', reason: 'bench' };

/**
 * Batches of 1,000 activities, joined through the whole engine: one trigger an activity, held until all are accepted,
 * so that accepting is not what is measured. First one recipient after the other (`one`: every run of an assignment joins one
 * window), then 100 recipients a trigger (`many`: every run of an assignment joins another window, which all
 * assignments want). Joins a second, from the release to the last run that ended in a batch.
 */
export async function batch(
  say: (line: string) => void,
  options: ReadonlyMap<string, string>,
): Promise<BenchResult> {
  const runs = Number(options.get('runs') ?? 100_000);
  const server = await startBenchServer();
  const agent = new Agent({ connections: SENDERS });
  try {
    await seedUsers(server, RECIPIENTS);
    const one = await measure(server, agent, say, 'one', Math.max(1, runs / ACTIVITIES), 1);
    const many = await measure(server, agent, say, 'many', 1, RECIPIENTS);
    return {
      unit: `activities, ${ACTIVITIES} a batch`,
      ...figures('one', one),
      ...figures('many', many),
      failed: one.wrong + many.wrong > 0,
    };
  } finally {
    await agent.close();
    await server.destroy();
  }
}

type Measured = {
  readonly activities: number;
  readonly seconds: number;
  readonly closedSeconds: number;
  readonly wrong: number;
  readonly nodeCpuUs: number;
  readonly postgresCpuUs: number;
};

function figures(name: string, measured: Measured): BenchResult {
  const { activities, seconds, closedSeconds, wrong, nodeCpuUs, postgresCpuUs } = measured;
  return {
    [`${name}_activities`]: activities,
    [`${name}_joined_per_s`]: Math.round(activities / seconds),
    [`${name}_seconds`]: rounded(seconds, 2),
    [`${name}_closed_after_s`]: rounded(closedSeconds, 2),
    [`${name}_node_cpu_us`]: rounded(nodeCpuUs),
    [`${name}_postgres_cpu_us`]: rounded(postgresCpuUs),
    [`${name}_wrong_batches`]: wrong,
  };
}

/** Batches of `ACTIVITIES` for `batches` times `size` recipients. */
async function measure(
  server: BenchServer,
  agent: Agent,
  say: (line: string) => void,
  key: string,
  batches: number,
  size: number,
): Promise<Measured> {
  const recipients = batches * size;
  const activities = recipients * ACTIVITIES;
  const token = server.operatorToken;
  await pushBatch(server, key, WINDOW_S + Math.ceil(activities / 2_000));
  const scope = { account: 'demo', environment: 'development', workflow: key };
  const order = (await call(
    server,
    'POST',
    '/ops/v1/orders',
    { verb: 'hold', scope, ...BY },
    token,
  )) as { id: number };
  say(`${key}: accepting ${batches * ACTIVITIES} triggers`);
  await accept(server, agent, key, batches, size);
  await until(async () => (await aside(server)) === activities);
  const before = usageOf(server.pid, server.postgresPid());
  say(`${key}: joining ${activities} activities`);
  await call(server, 'POST', `/ops/v1/orders/${order.id}/undo`, BY, token);
  const joined = async (): Promise<{ n: number; seconds: number }> => {
    const [row] = await server.db.query<{ n: number; seconds: number }>(
      `select count(*)::int as n, extract(epoch from max(executed_at) - min(executed_at))::float as seconds
       from recipient_run r
       join workflow_run w on w.id = r.workflow_run_id
       where w.workflow_key = $1`,
      [key],
    );
    return row ?? { n: 0, seconds: 0 };
  };
  await until(async () => (await waitingOf(server)) === 0);
  await until(async () => (await joined()).n === activities);
  const after = usageOf(server.pid, server.postgresPid());
  const { seconds } = await joined();
  say(
    `${key}: ${Math.round(activities / seconds)} activities/s; waiting for ${recipients} messages`,
  );
  const [window] = await server.db.query<{ closes: Date | null }>(
    'select max(closes_at) as closes from batch_window',
  );
  await until(async () => (await messages(server, key)).length >= recipients);
  const closedSeconds = (Date.now() - (window?.closes?.getTime() ?? 0)) / 1_000;
  const wrong = (await messages(server, key)).filter(({ body }) => body !== String(ACTIVITIES));
  return {
    activities,
    seconds,
    closedSeconds,
    wrong: wrong.length,
    nodeCpuUs: ((after.nodeCpuSeconds - before.nodeCpuSeconds) / activities) * 1e6,
    postgresCpuUs: ((after.postgresCpuSeconds - before.postgresCpuSeconds) / activities) * 1e6,
  };
}

async function pushBatch(server: BenchServer, key: string, seconds: number): Promise<void> {
  const settings = { batch_window: { unit: 'seconds', value: seconds } };
  const steps = [
    { ref: 'batch_1', type: 'batch', settings },
    {
      ref: 'feed_1',
      type: 'channel',
      channel_key: 'in-app',
      template: { markdown_body: '{{ total_activities }}' },
    },
  ];
  await call(
    server,
    'POST',
    '/control/v1/push?environment=development',
    { workflows: [{ key, content: { name: key, steps } }] },
    server.serviceToken,
  );
}

async function accept(
  server: BenchServer,
  agent: Agent,
  key: string,
  batches: number,
  size: number,
): Promise<void> {
  let sent = 0;
  const senders = Array.from({ length: SENDERS }, async () => {
    while (sent < batches * ACTIVITIES) {
      const n = sent++;
      const first = Math.floor(n / ACTIVITIES) * size;
      const recipients = Array.from({ length: size }, (_, i) => `user-${first + i + 1}`);
      const response = await request(`${server.url}/v1/workflows/${key}/trigger`, {
        method: 'POST',
        dispatcher: agent,
        headers: {
          authorization: `Bearer ${server.secretKey}`,
          'content-type': 'application/json',
        },
        body: JSON.stringify({ recipients, data: { comment: `comment ${n}`, page_id: n % 7 } }),
      });
      if (response.statusCode !== 200) {
        throw new Error(`trigger answered ${response.statusCode}: ${await response.body.text()}`);
      }
      await response.body.dump();
    }
  });
  await Promise.all(senders);
}

/** Runs that the hold has set aside. */
async function aside(server: BenchServer): Promise<number> {
  const [row] = await server.db.query<{ runs: number }>(
    'select coalesce(sum(run_count), 0)::int as runs from chunk where slot between 43 and 50',
  );
  return row?.runs ?? 0;
}

const waitingOf = (server: BenchServer): Promise<number> => server.metric('belfry_runs_queued');

async function messages(server: BenchServer, key: string): Promise<{ body: string }[]> {
  return server.db.query<{ body: string }>(
    `select content ->> 'body' as body from message where workflow_key = $1`,
    [key],
  );
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, POLL_MS));
}
