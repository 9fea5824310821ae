import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Agent, request } from 'undici';
import { type StandIn, startStandIn } from '../src/drill/stand-in.ts';
import { percentile, rounded } from '../src/drill/statistics.ts';
import { ksuidFromUuid } from '../src/lib/ksuid.ts';
import type { Bench, BenchResult } from './support/bench.ts';
import { openLoop } from './support/open-loop.ts';
import { type BenchServer, call, startBenchServer } from './support/server.ts';
import { seedUsers, triggerBody } from './support/workload.ts';

const BUCKET = 'bench';
const KEYS = { accessKeyId: 'AKBENCH', secretAccessKey: 'bench-secret', region: 'eu-west-1' };
const CONNECTIONS = 64;
const FLOOD_RECIPIENTS = 1_000;
const SETTLE_MS = 5_000;
const GOAL_BODIES = 25_000;
/** An e-mail of 4 KB. */
const BODY = `Hello {{ recipient.name }}, ${'this is all that there is to say about it today. '.repeat(90)}`;
const MUST_HAVE = 'this is all that there is to say about it today.';
const PAGE = 50;
/** Of a page whose contents are too many at once. */
const READ_TRIES = 20;

/**
 * E-mails of 4 KB with an object store that a process beside the server plays. First bodies pile up: how fast the mover brings them
 * there, by how many requests. Then in turns with the store healthy and at 100 % errors: how long triggers wait for their
 * acknowledgement. Then bodies pile up while the store fails, and it comes back. At the end messages are read through the API.
 */
export const blobs: Bench = async (say, options) => {
  const number = (name: string, fallback: number): number => Number(options.get(name) ?? fallback);
  const directory = await mkdtemp(join(tmpdir(), 'belfry-blobs-'));
  const store = await startStandIn({
    type: 'object-store',
    options: { directory, buckets: [BUCKET], ...KEYS },
  });
  const server = await startBenchServer({
    environment: {
      BELFRY_OBJECT_STORE: `s3://${BUCKET}/bench`,
      BELFRY_OBJECT_STORE_ENDPOINT: store.url,
      BELFRY_OBJECT_STORE_REGION: KEYS.region,
      AWS_ACCESS_KEY_ID: KEYS.accessKeyId,
      AWS_SECRET_ACCESS_KEY: KEYS.secretAccessKey,
    },
  });
  try {
    await seedUsers(server, 20_000);
    await pushMail(server);
    const bodies = number('bodies', 100_000);
    // Before anything fails: for two minutes after that the throttle remembers.
    const moved = await moverAlone(say, server, store, bodies);
    const acknowledged = await acknowledgements(say, server, store, {
      rate: number('rate', 100),
      recipients: number('recipients', 10),
      seconds: number('seconds', 15),
      rounds: number('rounds', 4),
    });
    const drained = await afterOutage(say, server, store, bodies / 4);
    const read = await readBack(say, server, number('sample', 10_000));
    return {
      unit: 'e-mails of 4 KB, object store played on the same machine',
      ...acknowledged,
      ...drained,
      ...moved,
      ...read,
      failed: read.unreadable > 0,
    };
  } finally {
    await server.destroy();
    store.end();
    await rm(directory, { recursive: true, force: true });
  }
};

async function pushMail(server: BenchServer): Promise<void> {
  const step = {
    ...{ type: 'channel', ref: 'email_1', channel_key: 'email' },
    template: { subject: 'Hello', text_body: BODY },
  };
  const workflows = [{ key: 'mail', content: { name: 'Mail', steps: [step] } }];
  const path = '/control/v1/push?environment=development';
  await call(server, 'POST', path, { workflows }, server.serviceToken);
}

/** Latencies of triggers in an open loop, in windows that take turns, the first pair of them for warming up. */
async function acknowledgements(
  say: (line: string) => void,
  server: BenchServer,
  store: StandIn,
  plan: {
    readonly rate: number;
    readonly recipients: number;
    readonly seconds: number;
    readonly rounds: number;
  },
): Promise<BenchResult> {
  const agent = new Agent({ connections: CONNECTIONS, pipelining: 1 });
  let n = 0;
  const window = async (isHealthy: boolean): Promise<number[]> => {
    if (isHealthy) await store.heal();
    else await store.setFaults({ kind: 'internal_error', share: 1 });
    await openLoop(
      () => trigger(server, agent, n++, plan.recipients),
      plan.rate,
      SETTLE_MS / 1_000,
    );
    return openLoop(() => trigger(server, agent, n++, plan.recipients), plan.rate, plan.seconds);
  };
  const healthy: number[] = [];
  const failing: number[] = [];
  try {
    await window(true);
    for (let round = 0; round < plan.rounds; round++) {
      // What comes second is not always the same.
      for (const isHealthy of round % 2 === 0 ? [true, false] : [false, true]) {
        const latencies = await window(isHealthy);
        (isHealthy ? healthy : failing).push(...latencies);
        say(
          `${isHealthy ? 'healthy' : '100 % errors'}: p50 ${ms(latencies, 0.5)}, p99 ${ms(latencies, 0.99)} ms`,
        );
      }
    }
  } finally {
    await agent.close();
    await store.heal();
  }
  const p99 = { healthy: percentile(healthy, 0.99), failing: percentile(failing, 0.99) };
  return {
    triggers_per_s: plan.rate,
    recipients_a_trigger: plan.recipients,
    ack_p50_healthy_ms: ms(healthy, 0.5),
    ack_p50_failing_ms: ms(failing, 0.5),
    ack_p99_healthy_ms: ms(healthy, 0.99),
    ack_p99_failing_ms: ms(failing, 0.99),
    ack_p99_ratio: rounded(p99.failing / p99.healthy, 2),
  };
}

const ms = (latencies: readonly number[], share: number): number =>
  rounded(percentile(latencies, share), 2);

/** Bodies pile up while the store fails; then it answers again. How long until it has everything. */
async function afterOutage(
  say: (line: string) => void,
  server: BenchServer,
  store: StandIn,
  bodies: number,
): Promise<BenchResult> {
  await store.setFaults({ kind: 'internal_error', share: 1 });
  await send(server, bodies);
  await until(async () => (await backlog(server)).bytes > bodies * 3_000);
  say(`${rounded((await backlog(server)).bytes / 1e6)} MB wait; the store is back`);
  const healedMs = performance.now();
  await store.heal();
  await until(async () => (await backlog(server)).bytes === 0);
  const seconds = (performance.now() - healedMs) / 1_000;
  return { bodies_after_outage: bodies, drained_after_s: rounded(seconds, 1) };
}

/** Bodies pile up while the carrier is stopped; then it goes on, and nothing else is to do. */
async function moverAlone(
  say: (line: string) => void,
  server: BenchServer,
  store: StandIn,
  bodies: number,
): Promise<BenchResult> {
  const carrier = carrierOf(server.pid);
  process.kill(carrier, 'SIGSTOP');
  const floodS = await send(server, bodies);
  say(`${bodies} runs executed in ${rounded(floodS, 1)} s while the carrier is stopped`);
  const [waiting] = await server.db.query<{ packs: number; bytes: number }>(
    'select count(*) as packs, sum(size)::bigint as bytes from body_pack',
  );
  const bytes = waiting?.bytes ?? 0;
  const before = await store.counters();
  process.kill(carrier, 'SIGCONT');
  let firstMs = 0;
  let firstBytes = 0;
  let seen = 0;
  await until(async () => {
    const { bytesIn } = await store.counters();
    seen = bytesIn - before.bytesIn;
    if (seen === 0 || firstMs > 0) return seen >= bytes;
    // What came before the first look has no time.
    firstMs = performance.now();
    firstBytes = seen;
    return seen >= bytes;
  }, 20);
  const seconds = (performance.now() - firstMs) / 1_000;
  const after = await store.counters();
  const perSecond = (seen - firstBytes) / seconds;
  const requests = (after.methods.PUT ?? 0) - (before.methods.PUT ?? 0);
  const perBody = bytes / bodies;
  return {
    bodies,
    bytes_a_body: Math.round(perBody),
    packs: waiting?.packs ?? 0,
    runs_per_s_meanwhile: Math.round(bodies / floodS),
    mover_mb_per_s: rounded(perSecond / 1e6, 1),
    mover_bodies_per_s: Math.round(perSecond / perBody),
    mover_goal_bodies_per_s: GOAL_BODIES,
    requests_for_25000_bodies: rounded((requests / bodies) * GOAL_BODIES, 1),
    busiest_second_requests: after.busiestSecond,
  };
}

/** Resolves when as many runs are executed and their deliveries done; seconds until the runs were. */
async function send(server: BenchServer, bodies: number): Promise<number> {
  const agent = new Agent({ connections: 4, pipelining: 1 });
  const startedMs = performance.now();
  const executed = await server.metric('belfry_runs_executed');
  const triggers = Math.ceil(bodies / FLOOD_RECIPIENTS);
  for (let i = 0; i < triggers; i++) await trigger(server, agent, i, FLOOD_RECIPIENTS);
  const isDone = async (): Promise<boolean> =>
    (await server.metric('belfry_runs_executed')) - executed >= triggers * FLOOD_RECIPIENTS;
  await until(isDone);
  const seconds = (performance.now() - startedMs) / 1_000;
  await agent.close();
  await until(async () => (await server.metric('belfry_deliveries_queued')) === 0);
  return seconds;
}

function carrierOf(serverPid: number): number {
  const children = readFileSync(`/proc/${serverPid}/task/${serverPid}/children`, 'utf8');
  const pid = children
    .split(' ')
    .filter((text) => text !== '')
    .find((text) => readFileSync(`/proc/${text}/cmdline`, 'utf8').includes('carrier/main.ts'));
  if (pid === undefined) throw new Error('the server has no carrier');
  return Number(pid);
}

/** Reads messages through the API, spread over all that there are; how many do not say what was rendered for them. */
async function readBack(
  say: (line: string) => void,
  server: BenchServer,
  sample: number,
): Promise<{ readonly read: number; readonly in_the_store: number; readonly unreadable: number }> {
  // Only then are most of them in the store alone.
  await until(async () => {
    const [row] = await server.db.query<{ packs: number }>(
      'select count(*) as packs from body_pack',
    );
    return row?.packs === 0;
  });
  const rows = await server.db.query<{ id: string; is_moved: boolean }>(
    `select id, content -> '$stored' is not null and content -> '$kept' is null as is_moved
     from message
     order by md5(id::text)
     limit $1`,
    [sample],
  );
  let unreadable = 0;
  for (let from = 0; from < rows.length; from += PAGE) {
    const ids = rows.slice(from, from + PAGE).map(({ id }) => `message_ids[]=${ksuidFromUuid(id)}`);
    const contents = await contentsOf(server, ids.join('&'));
    const whole = contents.filter((content) => JSON.stringify(content).includes(MUST_HAVE));
    unreadable += ids.length - whole.length;
  }
  const inTheStore = rows.filter((row) => row.is_moved).length;
  say(`${rows.length} read, ${inTheStore} of them from the store`);
  return { read: rows.length, in_the_store: inTheStore, unreadable };
}

/** Nothing when it is refused for anything but reading too much at once, or too often for that. */
async function contentsOf(server: BenchServer, query: string): Promise<readonly unknown[]> {
  for (let tries = 0; tries < READ_TRIES; tries++) {
    const response = await fetch(`${server.url}/v1/messages/batch/content?${query}`, {
      headers: { authorization: `Bearer ${server.secretKey}` },
    });
    if (response.status === 200) return (await response.json()) as readonly unknown[];
    await response.body?.cancel();
    if (response.status !== 503) break;
    const seconds = Number(response.headers.get('retry-after') ?? 1);
    await new Promise((resolve) => setTimeout(resolve, seconds * 1_000));
  }
  return [];
}

async function backlog(
  server: BenchServer,
): Promise<{ readonly packs: number; readonly bytes: number }> {
  const path = '/ops/v1/stores';
  const answer = (await call(server, 'GET', path, undefined, server.operatorToken)) as {
    readonly object_store: { readonly backlog: { readonly packs: number; readonly bytes: number } };
  };
  return answer.object_store.backlog;
}

async function trigger(
  server: BenchServer,
  agent: Agent,
  n: number,
  recipients: number,
): Promise<void> {
  const response = await request(`${server.url}/v1/workflows/mail/trigger`, {
    method: 'POST',
    dispatcher: agent,
    headers: {
      authorization: `Bearer ${server.secretKey}`,
      'content-type': 'application/json',
    },
    body: triggerBody(n, recipients, 20_000),
  });
  if (response.statusCode !== 200) throw new Error(`a trigger answered ${response.statusCode}`);
  await response.body.dump();
}

async function until(isSo: () => Promise<boolean>, everyMs = 200): Promise<void> {
  while (!(await isSo())) await new Promise((resolve) => setTimeout(resolve, everyMs));
}
