import { setTimeout as sleep } from 'node:timers/promises';
import { isJsonObject, type JsonObject } from '../../lib/json.ts';
import type { Client } from '../client.ts';
import { CliError } from '../result.ts';
import { PUSH, READER, ROUNDS, type StandIns, standInsFor, WORKFLOW } from './fixtures.ts';

const WAITS = 100;
const WAIT_MS = 100;

/** Makes what the API can make, with the suites' key. Returns what stands in for the ids that nobody can choose. */
export async function seedOverApi(client: Client, environment: string): Promise<StandIns> {
  await client.request({
    role: 'service',
    method: 'POST',
    path: '/control/v1/push',
    query: { environment },
    body: PUSH,
  });
  for (const round of ROUNDS) {
    await Promise.all(
      round.map(({ path, body }) => client.request({ role: 'secret', method: 'PUT', path, body })),
    );
  }
  return standIns(client);
}

async function standIns(client: Client): Promise<StandIns> {
  let found = await look(client);
  if (found) return found;
  await client.request({
    role: 'secret',
    method: 'POST',
    path: `/v1/workflows/${WORKFLOW}/trigger`,
    body: { recipients: [READER] },
  });
  for (let waited = 0; waited < WAITS; waited++) {
    found = await look(client);
    if (found) return found;
    await sleep(WAIT_MS);
  }
  throw new CliError(
    'timeout',
    `Everything is made but a message: workflow ${WORKFLOW} has sent none within ${(WAITS * WAIT_MS) / 1_000} s. Run it again.`,
  );
}

async function look(client: Client): Promise<StandIns | undefined> {
  const [message, run] = await Promise.all([
    first(client, `/v1/users/${READER}/messages`, { source: WORKFLOW }),
    first(client, '/v1/workflow_recipient_runs', { workflow: WORKFLOW }),
  ]);
  if (!message || !run) return undefined;
  return standInsFor({ message: String(message.id), run: String(run.id) });
}

async function first(
  client: Client,
  path: string,
  query: Readonly<Record<string, string>>,
): Promise<JsonObject | undefined> {
  const page = await client.request({
    role: 'secret',
    method: 'GET',
    path,
    query: { ...query, page_size: '1' },
  });
  const entries = page.entries ?? page.items;
  return Array.isArray(entries) ? entries.find(isJsonObject) : undefined;
}
