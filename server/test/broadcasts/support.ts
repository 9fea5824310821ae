import type { JsonObject } from '../../src/lib/json.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { waitFor } from '../support/wait.ts';
import { removeDataDirs, startWholeServer, type WholeServer } from '../support/whole-server.ts';

export type Broadcast = {
  readonly id: string;
  readonly state: string;
  readonly reason: string | null;
  readonly rate: number | null;
  readonly total: number | null;
  readonly canary: { readonly size: number | null; readonly state: string };
  readonly progress: {
    readonly total: number | null;
    readonly sent: number;
    readonly done: number;
    readonly failed: number;
    readonly per_second: number;
    readonly finish_estimate_at: string | null;
    readonly stuck: boolean;
  };
};

export type Recipient = {
  readonly recipient: string;
  readonly tenant: string | null;
  readonly recipient_run_id: string;
  readonly status: string;
  readonly failed: boolean;
};

/** A whole server, and what the tests of broadcasts ask of it. */
export type BroadcastServer = {
  readonly whole: WholeServer;
  readonly test: TestDatabase;
  readonly key: string;
  readonly environmentId: number;
  readonly call: (method: string, path: string, body?: unknown, key?: string) => Promise<Called>;
  /** Creates a broadcast of the workflow `news`; returns its id. */
  readonly start: (body?: JsonObject) => Promise<string>;
  readonly show: (id: string) => Promise<Broadcast>;
  readonly waitFor: (id: string, probe: (broadcast: Broadcast) => boolean) => Promise<Broadcast>;
  readonly recipients: (id: string) => Promise<Recipient[]>;
  /** How many messages each recipient of the broadcast has, by user id. */
  readonly messages: (id: string) => Promise<Map<string, number>>;
  /** Makes users `PREFIX-0` and so on. */
  readonly users: (count: number, prefix: string, properties?: JsonObject) => Promise<string[]>;
  /** Makes users and a static audience of them. */
  readonly audience: (key: string, count: number, properties?: JsonObject) => Promise<string[]>;
  readonly stop: () => Promise<void>;
};

// biome-ignore lint/suspicious/noExplicitAny: a test looks at whatever came
type Called = { readonly status: number; readonly body: any };

const MEMBERS = 1_000;

export async function startBroadcastServer(): Promise<BroadcastServer> {
  const test = await createTestDatabase();
  const whole = await startWholeServer({ databaseUrl: test.url, executors: 1 });
  const key = whole.server.credentials?.environments.development?.secret_key ?? '';
  const [environment] = await test.db.query<{ id: number }>(
    `select id
     from environment
     where slug = 'development'`,
  );
  const environmentId = environment?.id ?? 0;

  async function call(method: string, path: string, body?: unknown, by = key): Promise<Called> {
    const response = await fetch(`${whole.server.url}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${by}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    const isJson = response.headers.get('content-type')?.startsWith('application/json');
    return { status: response.status, body: isJson ? JSON.parse(text) : text };
  }

  const show = async (id: string): Promise<Broadcast> =>
    (await call('GET', `/v1/broadcasts/${id}`)).body;

  const recipients = async (id: string): Promise<Recipient[]> => {
    const { body } = await call('GET', `/v1/broadcasts/${id}/recipients`);
    return String(body)
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line));
  };

  const users = async (count: number, prefix: string, properties: JsonObject = {}) => {
    await test.db.query(
      `insert into recipient (environment_id, collection, id, properties)
       select $1, '$users', $2 || '-' || n, $3
       from generate_series(0, $4::int - 1) as n`,
      [environmentId, prefix, JSON.stringify(properties), count],
    );
    return Array.from({ length: count }, (_, i) => `${prefix}-${i}`);
  };

  return {
    whole,
    test,
    key,
    environmentId,
    call,
    start: async (body) => {
      const answer = await call('POST', '/v1/broadcasts', { workflow: 'news', ...body });
      if (answer.status !== 201) throw new Error(JSON.stringify(answer));
      return answer.body.id;
    },
    show,
    waitFor: (id, probe) =>
      waitFor(`broadcast ${id}`, async () => {
        const broadcast = await show(id);
        return probe(broadcast) ? broadcast : undefined;
      }),
    recipients,
    messages: async (id) => {
      const runs = (await recipients(id)).map((recipient) => recipient.recipient_run_id);
      const rows = await test.db.query<{ recipient_id: string; n: number }>(
        `select recipient_id, count(*)::int as n
         from message
         where recipient_run_id = any($1)
         group by recipient_id`,
        [runs],
      );
      return new Map(rows.map(({ recipient_id, n }) => [recipient_id, n]));
    },
    users,
    audience: async (name, count, properties) => {
      const ids = await users(count, name, properties);
      for (let from = 0; from < count; from += MEMBERS) {
        const members = ids.slice(from, from + MEMBERS).map((id) => ({ user: { id } }));
        const path = `/v1/audiences/${name}/members?create_audience=true`;
        const { status } = await call('POST', path, { members });
        if (status !== 204) throw new Error(`adding members answered ${status}`);
      }
      return ids;
    },
    stop: async () => {
      await whole.stop();
      await test.drop();
      await removeDataDirs();
    },
  };
}
