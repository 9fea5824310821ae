import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { rounded } from '../src/drill/statistics.ts';
import type { JsonObject } from '../src/lib/json.ts';
import type { BenchResult } from './support/bench.ts';
import { usageOf } from './support/processes.ts';
import { type BenchServer, call, startBenchServer } from './support/server.ts';
import { seedUsers, triggerBody } from './support/workload.ts';

const TRIGGER_RUNS = 1_000;
const POLL_MS = 50;
const BY = { author: 'bench', reason: 'bench' };

const feed: JsonObject = {
  ref: 'feed_1',
  type: 'channel',
  channel_key: 'in-app',
  template: { markdown_body: 'Hi {{ recipient.name }}' },
};

const condition = (i: number): JsonObject => ({
  variable: 'data.amount',
  operator: 'greater_than',
  argument: String(i),
});

/** What stands before the message, by the name of the measurement. `share` of the runs are done of it: calls are slower. */
function kinds(url: string): Readonly<Record<string, { steps: JsonObject[]; share?: number }>> {
  const step = (type: string, settings: JsonObject): JsonObject => ({ ref: 's', type, settings });
  return {
    channel: { steps: [feed] },
    conditions: {
      steps: [{ ...feed, conditions: { all: [0, 1, 2, 3, 4].map(condition) } }],
    },
    branch: {
      steps: [
        {
          ref: 's',
          type: 'branch',
          branches: [{ conditions: { all: [condition(1_000)] } }, { steps: [feed] }],
        },
      ],
    },
    cohort: {
      steps: [
        {
          ref: 's',
          type: 'random_cohort',
          cohort_branches: [{ percentage: 50 }, { percentage: 50 }],
        },
        feed,
      ],
    },
    update_data: { steps: [step('update_data', { data: '{"seen": true}' }), feed] },
    update_user: {
      steps: [
        step('update_user', {
          recipient_mode: 'current',
          update_properties: '{"last_payment": "{{ data.payment_id }}"}',
        }),
        feed,
      ],
    },
    trigger_workflow: { steps: [step('trigger_workflow', { workflow_key: 'steps-channel' })] },
    delay: { steps: [step('delay', { delay_for: { unit: 'seconds', value: 1 } }), feed] },
    fetch: { steps: [step('http_fetch', { method: 'get', url }), feed], share: 0.1 },
  };
}

/**
 * Recipient runs a second and processor time a run, by kind of step, each with a feed message at its end: accepted and
 * held first, then let go, so that accepting is not what is measured. From the release to the last message.
 */
export async function steps(
  say: (line: string) => void,
  options: ReadonlyMap<string, string>,
): Promise<BenchResult> {
  const runs = Number(options.get('runs') ?? 100_000);
  const server = await startBenchServer({
    environment: { BELFRY_ALLOW_PRIVATE_WEBHOOKS: 'true' },
  });
  const other = createServer((_request, response) => void response.end('{"ok": true}'));
  try {
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    await seedUsers(server);
    const result: { [figure: string]: number | string } = { unit: 'recipient runs', runs };
    const url = `http://127.0.0.1:${(other.address() as AddressInfo).port}/`;
    for (const [kind, { steps: list, share = 1 }] of Object.entries(kinds(url))) {
      const count = Math.max(1, Math.round((runs * share) / TRIGGER_RUNS)) * TRIGGER_RUNS;
      const measured = await measure(server, `steps-${kind}`, list, count);
      say(`${kind}: ${Math.round(measured.perSecond)} runs/s of ${count}`);
      result[`${kind}_runs_per_s`] = Math.round(measured.perSecond);
      result[`${kind}_node_cpu_us`] = rounded(measured.nodeCpuUs);
      result[`${kind}_postgres_cpu_us`] = rounded(measured.postgresCpuUs);
    }
    return result;
  } finally {
    await closed(other);
    await server.destroy();
  }
}

async function measure(
  server: BenchServer,
  key: string,
  list: readonly JsonObject[],
  runs: number,
): Promise<{ perSecond: number; nodeCpuUs: number; postgresCpuUs: number }> {
  const workflows = [{ key, content: { name: key, steps: list } }];
  const push = '/control/v1/push?environment=development';
  await call(server, 'POST', push, { workflows }, server.serviceToken);
  const token = server.operatorToken;
  const scope = { account: 'demo', environment: 'development', workflow: key };
  const hold = (await call(
    server,
    'POST',
    '/ops/v1/orders',
    { verb: 'hold', scope, ...BY },
    token,
  )) as { id: number };
  const earlier = await messages(server);
  for (let n = 0; n < runs / TRIGGER_RUNS; n++) {
    const body = JSON.parse(triggerBody(n, TRIGGER_RUNS));
    await call(server, 'POST', `/v1/workflows/${key}/trigger`, body, server.secretKey);
  }
  await until(async () => (await server.metric('belfry_runs_held')) >= runs);
  const before = usageOf(server.pid, server.postgresPid());
  const startedMs = performance.now();
  await call(server, 'POST', `/ops/v1/orders/${hold.id}/undo`, BY, token);
  await until(async () => (await messages(server)) - earlier >= runs);
  const seconds = (performance.now() - startedMs) / 1_000;
  const after = usageOf(server.pid, server.postgresPid());
  return {
    perSecond: runs / seconds,
    nodeCpuUs: ((after.nodeCpuSeconds - before.nodeCpuSeconds) / runs) * 1e6,
    postgresCpuUs: ((after.postgresCpuSeconds - before.postgresCpuSeconds) / runs) * 1e6,
  };
}

async function messages(server: BenchServer): Promise<number> {
  const [row] = await server.db.query<{ n: number }>('select count(*)::int as n from message');
  return row?.n ?? 0;
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) await new Promise((resolve) => setTimeout(resolve, POLL_MS));
}

function closed(server: Server): Promise<void> {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(() => resolve()));
}
