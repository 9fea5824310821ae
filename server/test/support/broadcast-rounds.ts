import { rm } from 'node:fs/promises';
import { processTree } from '../../bench/support/processes.ts';
import { type BenchServer, call, startBenchServer } from '../../bench/support/server.ts';
import { pushBenchWorkflow, seedUsers } from '../../bench/support/workload.ts';

const POLL_MS = 20;
/** Without any progress for so long it is given up. */
const GIVE_UP_MS = 120_000;

export type BroadcastRoundsResult = {
  readonly recipients: number;
  readonly kills: number;
  readonly executor_kills: number;
  readonly server_kills: number;
  readonly database_kills: number;
  /** Messages beyond the first of a recipient. */
  readonly duplicates: number;
  /** Recipients without a message. */
  readonly missing: number;
  readonly state: string;
  /** From the request to the last recipient, faults and freezing included. */
  readonly per_s: number;
  /** From the first part done after a fault to the next fault. */
  readonly between_faults_per_s: number;
  readonly freeze_s: number;
  /** From a kill to the next part that is done. */
  readonly recovery_s_mean: number;
  readonly recovery_s_max: number;
};

type Target = 'executor' | 'server' | 'database';

/**
 * Sends a broadcast to `recipients` users and kills an executor, the server's process group or the database
 * each time another share of them is done; then counts everybody's messages. Nobody helps: a server
 * that was killed is only started again.
 */
export async function broadcastRounds(options: {
  readonly recipients: number;
  readonly kills: number;
  /** Recipients a second until the last kill, so that a small broadcast lives through all of them. */
  readonly rate?: number;
  readonly say: (line: string) => void;
}): Promise<BroadcastRoundsResult> {
  const { recipients, kills, rate, say } = options;
  let server = await startBenchServer();
  const { dataDir } = server;
  try {
    await seedUsers(server, recipients);
    await pushBenchWorkflow(server);
    const startedMs = performance.now();
    const { id } = (await call(server, 'POST', '/v1/broadcasts', {
      workflow: 'bench',
      data: { amount: 42, actor_name: 'Ada', payment_id: 'p-1' },
      ...(rate === undefined ? {} : { rate }),
    })) as { readonly id: string };
    await doneAtLeast(server, 1);
    const freezeS = (performance.now() - startedMs) / 1_000;

    const killed: Record<Target, number> = { executor: 0, server: 0, database: 0 };
    const recoveriesS: number[] = [];
    let calmMs = 0;
    let calmRecipients = 0;
    for (let kill = 1; kill <= kills + 1; kill++) {
      const from = { ms: performance.now(), done: await countDone(server) };
      const goal = rate === undefined ? Math.floor((recipients * kill) / (kills + 1)) : 1;
      const done = await doneAtLeast(server, Math.min(recipients, Math.max(goal, from.done + 1)));
      if (done > from.done) {
        calmMs += performance.now() - from.ms;
        calmRecipients += done - from.done;
      }
      if (kill > kills || done >= recipients) break;
      const target = targetOf(kill);
      const killedMs = performance.now();
      server = await killOne(server, target);
      killed[target] += 1;
      await doneAtLeast(server, Math.min(recipients, done + 1));
      recoveriesS.push((performance.now() - killedMs) / 1_000);
      say(
        `kill ${kill} (${target}) at ${done}: going on after ${recoveriesS.at(-1)?.toFixed(1)} s`,
      );
    }
    if (rate !== undefined) await call(server, 'POST', `/v1/broadcasts/${id}/rate`, { rate: null });
    await doneAtLeast(server, recipients);
    const elapsedS = (performance.now() - startedMs) / 1_000;
    const state = await finalState(server, id);
    return {
      recipients,
      kills: killed.executor + killed.server + killed.database,
      executor_kills: killed.executor,
      server_kills: killed.server,
      database_kills: killed.database,
      ...(await countMessages(server, recipients)),
      state,
      per_s: Math.round(recipients / elapsedS),
      between_faults_per_s: Math.round(calmRecipients / (calmMs / 1_000)),
      freeze_s: Number(freezeS.toFixed(2)),
      recovery_s_mean: Number(
        (recoveriesS.reduce((sum, s) => sum + s, 0) / Math.max(1, recoveriesS.length)).toFixed(2),
      ),
      recovery_s_max: Number(Math.max(0, ...recoveriesS).toFixed(2)),
    };
  } finally {
    await server.stop();
    await rm(dataDir, { recursive: true, force: true });
  }
}

/** Every fourth the server, every eighth the database, else an executor. */
function targetOf(kill: number): Target {
  if (kill % 8 === 3) return 'database';
  return kill % 4 === 2 ? 'server' : 'executor';
}

async function killOne(server: BenchServer, target: Target): Promise<BenchServer> {
  switch (target) {
    case 'executor':
      process.kill(await someExecutor(server), 'SIGKILL');
      return server;
    case 'database':
      process.kill(server.postgresPid(), 'SIGKILL');
      return server;
    case 'server':
      await server.stop('SIGKILL');
      return await startBenchServer({ dataDir: server.dataDir });
  }
}

/** Process id of an executor; waits while all of them are being replaced. */
async function someExecutor(server: BenchServer): Promise<number> {
  const deadline = Date.now() + GIVE_UP_MS;
  while (Date.now() < deadline) {
    const executors = processTree(server.pid).filter(
      ({ parent, name }) => parent === server.pid && name !== 'postgres',
    );
    const victim = executors[Math.floor(Math.random() * executors.length)];
    if (victim) return victim.pid;
    await pause();
  }
  throw new Error('there is no executor to kill');
}

/** Recipients that are done; waits while the database is away. */
async function countDone(server: BenchServer): Promise<number> {
  const deadline = Date.now() + GIVE_UP_MS;
  for (;;) {
    try {
      const [row] = await server.db.query<{ done: number }>(
        'select coalesce(sum(done + failed), 0)::int as done from broadcast_part_done',
      );
      return row?.done ?? 0;
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await pause();
    }
  }
}

async function doneAtLeast(server: BenchServer, goal: number): Promise<number> {
  let best = -1;
  let progressMs = Date.now();
  for (;;) {
    const done = await countDone(server);
    if (done >= goal) return done;
    if (done > best) {
      best = done;
      progressMs = Date.now();
    }
    if (Date.now() - progressMs > GIVE_UP_MS) {
      throw new Error(
        `${done} recipients are done, and nothing went on for ${GIVE_UP_MS / 1_000} s`,
      );
    }
    await pause();
  }
}

async function finalState(server: BenchServer, id: string): Promise<string> {
  for (let attempt = 0; ; attempt++) {
    const { state } = (await call(server, 'GET', `/v1/broadcasts/${id}`)) as { state: string };
    if (state === 'finished' || attempt > 500) return state;
    await pause();
  }
}

async function countMessages(
  server: BenchServer,
  recipients: number,
): Promise<{ readonly duplicates: number; readonly missing: number }> {
  const [row] = await server.db.query<{ messages: number; people: number }>(
    `select sum(messages)::int as messages, count(*)::int as people
     from (
       select recipient_id, count(*) as messages
       from message
       group by recipient_id
     ) each`,
  );
  const { messages = 0, people = 0 } = row ?? {};
  return { duplicates: messages - people, missing: recipients - people };
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, POLL_MS));
}
