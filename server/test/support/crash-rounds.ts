import { rm } from 'node:fs/promises';
import { type BenchServer, call, startBenchServer } from '../../bench/support/server.ts';
import { pushBenchWorkflow, seedUsers } from '../../bench/support/workload.ts';

const USERS = 500;
const SENDERS = 8;
const MIN_LOAD_MS = 200;
const MAX_LOAD_MS = 900;
const DRAIN_MS = 60_000;

export type CrashResult = {
  readonly kills: number;
  /** Recipient runs of triggers that were answered with 200. */
  readonly acknowledged: number;
  /** Of those, how many have exactly one feed message. */
  readonly done: number;
  readonly duplicates: number;
  readonly lost: number;
};

/**
 * Puts a server under load, kills its whole process group without warning (its database too, every second
 * time), starts it again on the same data dir, `rounds` times; then lets it finish and counts feed messages
 * for each recipient of each acknowledged trigger.
 */
export async function crashRounds(options: {
  readonly rounds: number;
  readonly say: (line: string) => void;
}): Promise<CrashResult> {
  /** Workflow run id to the recipients it was triggered for. */
  const acknowledged = new Map<string, readonly string[]>();
  let server = await startBenchServer();
  const { dataDir } = server;
  try {
    await seedUsers(server, USERS);
    await pushBenchWorkflow(server);
    for (let round = 1; round <= options.rounds; round++) {
      await loadAndKill(server, round, acknowledged);
      server = await startBenchServer({ dataDir });
      options.say(
        `round ${round}: ${acknowledged.size} triggers acknowledged, restarted in ${Math.round(server.startMs)} ms`,
      );
    }
    await drained(server);
    return { kills: options.rounds, ...(await count(server, acknowledged)) };
  } finally {
    await server.stop();
    await rm(dataDir, { recursive: true, force: true });
  }
}

async function loadAndKill(
  server: BenchServer,
  round: number,
  acknowledged: Map<string, readonly string[]>,
): Promise<void> {
  let alive = true;
  let n = 0;
  const senders = Array.from({ length: SENDERS }, async (_, sender) => {
    while (alive) {
      const size = n++ % 10 === 0 ? 300 : 1 + (n % 3);
      const first = (round * 7_919 + sender * 131 + n * 17) % USERS;
      const recipients = Array.from(
        { length: size },
        (_unused, i) => `user-${((first + i) % USERS) + 1}`,
      );
      try {
        const answer = (await call(server, 'POST', '/v1/workflows/bench/trigger', {
          recipients,
          data: { amount: 42, actor_name: 'Ada', payment_id: `${round}-${sender}-${n}` },
        })) as { workflow_run_id: string };
        acknowledged.set(answer.workflow_run_id, recipients);
      } catch {
        // Not acknowledged: it may or may not be done, and is not counted.
      }
    }
  });
  const loadMs = MIN_LOAD_MS + ((round * 397) % (MAX_LOAD_MS - MIN_LOAD_MS));
  await new Promise((resolve) => setTimeout(resolve, loadMs));
  const postgres = server.postgresPid();
  if (round % 2 === 0) process.kill(postgres, 'SIGKILL');
  await server.stop('SIGKILL');
  alive = false;
  await Promise.all(senders);
}

async function drained(server: BenchServer): Promise<void> {
  const deadline = Date.now() + DRAIN_MS;
  while (Date.now() < deadline) {
    const queued = await server.metric('belfry_runs_queued');
    const underWay = await server.metric('belfry_assignments');
    if (queued === 0 && underWay === 0) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`work was still queued ${DRAIN_MS / 1_000} s after the last start`);
}

async function count(
  server: BenchServer,
  acknowledged: ReadonlyMap<string, readonly string[]>,
): Promise<Omit<CrashResult, 'kills'>> {
  const rows = await server.db.query<{ run: string; recipient: string; messages: number }>(
    `select workflow_run_id as run, recipient_id as recipient, count(*) as messages
     from message
     group by 1, 2`,
  );
  const messages = new Map(rows.map((row) => [`${row.run} ${row.recipient}`, row.messages]));
  let expected = 0;
  let done = 0;
  let lost = 0;
  for (const [run, recipients] of acknowledged) {
    for (const recipient of recipients) {
      expected += 1;
      const found = messages.get(`${run} ${recipient}`) ?? 0;
      if (found === 1) done += 1;
      if (found === 0) lost += 1;
    }
  }
  const duplicates = rows.filter((row) => row.messages > 1).length;
  return { acknowledged: expected, done, duplicates, lost };
}
