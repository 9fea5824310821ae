import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Credentials } from '../../../src/accounts/create-account.ts';
import { findEnvironment } from '../../../src/accounts/environments.ts';
import type { Queryable } from '../../../src/db/database.ts';
import type { JsonObject } from '../../../src/lib/json.ts';
import { waitFor } from '../../support/wait.ts';
import type { StartedServer } from './started-server.ts';

/** The account acme, whose workflow digest takes its time, and a neighbour. */
export type Flood = {
  /** Sends this many runs; resolves when they are acknowledged. */
  readonly pour: (runs: number) => Promise<void>;
  /** Keeps so much waiting until the returned function is called, which waits for what is being sent. */
  readonly keepPouring: () => () => Promise<void>;
  /** Sends one trigger; the status of its answer. */
  readonly send: (recipients: number) => Promise<number>;
  /** Recipient runs of acme that were acknowledged. */
  readonly accepted: () => number;
  /** Recipient runs of acme that were executed. */
  readonly done: () => Promise<number>;
  /** Resolves when everything that was acknowledged is executed, each once. */
  readonly allDone: () => Promise<void>;
  /** Resolves when so many runs of the neighbour, triggered now, are done. */
  readonly neighbourIsServed: (runs: number) => Promise<void>;
  readonly operator: (
    method: 'GET' | 'POST',
    path: string,
    body?: JsonObject,
  ) => Promise<JsonObject>;
  readonly useKey: (secretKey: string) => void;
};

const RECIPIENTS = 500;
/** What waits during a flood, at least. */
const WAITING = 16_000;
const LOOK_MS = 50;

/** Enough to do that a flood of some thousand runs waits for a while on any machine. */
const SLOW_TEMPLATE = '{% for i in (1..2000) %}{% endfor %}{{ data.title }}';

/** Whose key ends in `ab12`, as in the runbook. */
export async function startFlood(server: StartedServer, db: Queryable): Promise<Flood> {
  const { operator_token: token } = JSON.parse(
    await readFile(join(server.dataDir, 'credentials.json'), 'utf8'),
  );
  const call = async (method: string, path: string, key: string, body?: object) => {
    const response = await fetch(`${server.origin}${path}`, {
      method,
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      ...(body && { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, body: text === '' ? {} : JSON.parse(text) };
  };
  const operator: Flood['operator'] = async (method, path, body) => {
    const answer = await call(method, path, token, body);
    if (answer.status >= 400) throw new Error(`${path}: ${answer.status} ${answer.body.message}`);
    return answer.body;
  };

  const acme = (await operator('POST', '/ops/v1/accounts', { name: 'acme' })) as Credentials;
  let key = acme.environments.production?.secret_key ?? '';
  await db.query(`update api_key set hint = 'ab12' where hint = $1`, [key.slice(-4)]);
  const template = { markdown_body: SLOW_TEMPLATE };
  const steps = [{ ref: 'a', type: 'channel', channel_key: 'in-app', template }];
  const pushed = await call('POST', '/control/v1/push?environment=production', acme.service_token, {
    workflows: [{ key: 'digest', content: { name: 'digest', steps } }],
  });
  if (pushed.status !== 200) throw new Error(JSON.stringify(pushed.body));
  const { id: environmentId } = await findEnvironment(db, 'acme/production');

  let accepted = 0;
  const send = async (recipients: number): Promise<number> => {
    const { status } = await call('POST', '/v1/workflows/digest/trigger', key, {
      recipients: Array.from({ length: recipients }, (_, i) => `guest-${accepted}-${i}`),
      data: { title: 'hello' },
    });
    if (status === 200) accepted += recipients;
    return status;
  };
  const count = async (environment: number): Promise<number> => {
    const [row] = await db.query<{ runs: number }>(
      `select count(*) as runs from recipient_run where environment_id = $1`,
      [environment],
    );
    return row?.runs ?? 0;
  };
  const neighbour = await findEnvironment(db, 'demo/development');
  const done = () => count(environmentId);
  const pour = async (runs: number): Promise<void> => {
    const goal = accepted + runs;
    while (accepted < goal) {
      const status = await send(RECIPIENTS);
      if (status !== 200) throw new Error(`the flood was answered with ${status}`);
    }
  };
  return {
    send,
    pour,
    keepPouring: () => {
      let pouring = true;
      const poured = (async () => {
        while (pouring) {
          if (accepted - (await done()) < WAITING) await pour(RECIPIENTS);
          else await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
        }
      })();
      return () => {
        pouring = false;
        return poured;
      };
    },
    accepted: () => accepted,
    done,
    allDone: async () => {
      await waitFor(
        'the end of the flood',
        async () => ((await done()) >= accepted ? true : undefined),
        60_000,
      );
      if ((await done()) > accepted) throw new Error('something was done twice');
    },
    neighbourIsServed: async (runs) => {
      const goal = (await count(neighbour.id)) + runs;
      const { status } = await call(
        'POST',
        '/v1/workflows/new-comment/trigger',
        server.development.secret_key,
        {
          recipients: Array.from({ length: runs }, (_, i) => `neighbour-${i}`),
          data: { comment: 'hello' },
        },
      );
      if (status !== 200) throw new Error(`the neighbour was answered with ${status}`);
      await waitFor('the neighbour', async () =>
        (await count(neighbour.id)) >= goal ? true : undefined,
      );
    },
    operator,
    useKey: (secretKey) => {
      key = secretKey;
    },
  };
}
