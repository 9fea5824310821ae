import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  FAULT_VARIABLE,
  type FaultPoint,
  faultPoint,
  faultPoints,
} from '../../src/lib/fault-point.ts';
import type { JsonObject } from '../../src/lib/json.ts';
import { serveHttp } from '../channels/support.ts';
import { spawnBelfry } from '../cli/belfry.ts';
import { sourceFiles } from '../house/source-files.ts';
import { bodiesDrivers } from '../support/bodies-round.ts';
import { deletionDrivers } from '../support/deletion-round.ts';
import { feedStep, fetchStep } from '../support/engine-world.ts';
import { type FaultServer, startFaultServer } from '../support/fault-server.ts';
import { operateThrough } from '../support/operation-faults.ts';
import { waitFor } from '../support/wait.ts';
import { webhookRound } from '../support/webhook-round.ts';

let server: FaultServer;
beforeAll(async () => {
  server = await startFaultServer();
}, 60_000);
afterAll(() => server.close());

const USERS = 1_100;
const FOLLOWERS = 2_300;
const SOON_MS = 200;
const SET_ASIDE = 'select from chunk where order_id is not null limit 1';

/** Every acknowledged run has one feed item and one delivery that is recorded once, for each recipient. */
async function everythingOnce(): Promise<void> {
  const expected = [...server.acknowledged].flatMap(([run, recipients]) =>
    recipients.flatMap((recipient) =>
      ['in_app_feed_1', 'http_1'].map((step) => `${run} ${recipient} ${step}`),
    ),
  );
  expect(expected.length).toBeGreaterThan(0);
  await waitFor(
    `${expected.length} messages`,
    async () => {
      await server.ensureRunning();
      const rows = await server.test.db.query<{ name: string; messages: number; sent: number }>(
        `select m.workflow_run_id || ' ' || m.recipient_id || ' ' || m.step_ref as name,
                count(distinct m.id)::int as messages,
                count(d.message_id)::int as sent
         from message m
         left join delivery d on d.message_id = m.id and d.status = 2
         where m.workflow_key = 'both'
         group by 1`,
      );
      const twice = rows.filter(({ messages, sent }) => messages > 1 || sent > 1);
      if (twice.length > 0) throw new Error(`done twice: ${JSON.stringify(twice.slice(0, 5))}`);
      const done = rows.filter(({ name, sent }) => name.endsWith('in_app_feed_1') || sent === 1);
      const found = new Set(done.map(({ name }) => name));
      return expected.every((name) => found.has(name)) ? true : undefined;
    },
    30_000,
  );
}

async function duringLoad(point: FaultPoint): Promise<void> {
  await server.arm(point);
  await server.loadUntil(point);
}

async function atStart(point: FaultPoint): Promise<void> {
  await server.loadSome();
  await server.kill();
  await server.arm(point);
  await server.ensureRunning();
  expect(await server.isReached(point)).toBe(true);
}

/** The tool dies while the server runs (or the server, when it was quicker); the same again succeeds. */
const inTool = (verb: 'truncate' | 'ledger' | 'retention') => async (point: FaultPoint) => {
  await server.loadSome();
  await everythingOnce();
  await server.arm(point);
  const reach = async (): Promise<true | undefined> => {
    await server.tool(verb);
    return (await server.isReached(point)) ? true : undefined;
  };
  // What was accepted and not acknowledged may still be under way.
  await waitFor(point, reach, 30_000);
  await server.ensureRunning();
  expect(await server.tool(verb)).toBeDefined();
};

async function whenDue(point: FaultPoint): Promise<void> {
  await server.arm(point);
  const runId = await server.trigger('later', { recipients: ['mara'] });
  await waitFor(point, async () => ((await server.isReached(point)) ? true : undefined));
  const items = async () => {
    await server.ensureRunning();
    return server.test.db.query('select from message where workflow_run_id = $1', [runId]);
  };
  await waitFor('the item', async () => ((await items()).length > 0 ? true : undefined), 20_000);
  expect(await items()).toHaveLength(1);
}

async function inBroadcast(point: FaultPoint): Promise<void> {
  const workflow = point.replaceAll('.', '-');
  await server.push(workflow, [feedStep('News')]);
  await server.arm(point);
  const { id } = await server.call('POST', '/v1/broadcasts', { workflow, key: workflow });
  await waitFor(point, async () => ((await server.isReached(point)) ? true : undefined), 20_000);
  const state = async (): Promise<unknown> => {
    await server.ensureRunning();
    const shown = await server
      .call('GET', `/v1/broadcasts/${String(id)}`)
      .catch((): JsonObject => ({}));
    return shown.state === 'finished' ? true : undefined;
  };
  await waitFor('the end of the broadcast', state, 30_000);
  const [row] = await server.test.db.query<{ items: number; recipients: number; users: number }>(
    `select count(*)::int as items, count(distinct recipient_id)::int as recipients,
       (select count(*)::int from recipient where collection = '$users') as users
     from message
     where workflow_key = $1`,
    [workflow],
  );
  expect(row?.users).toBeGreaterThan(1_000);
  expect(row).toMatchObject({ items: row?.users, recipients: row?.users });
}

/** A run waits for its recipient to be updated, and goes on once. */
async function inWait(point: FaultPoint): Promise<void> {
  const workflow = point.replaceAll('.', '-');
  const event = { event_type: 'recipient', event_key: 'updated' };
  const wait = { ref: 'wait_1', type: 'wait_for_event', settings: { event } };
  await server.push(workflow, [wait, feedStep('Updated')]);
  const runId = await server.trigger(workflow, { recipients: [workflow] });
  const waiting = () =>
    server.test.db.query('select from event_wait where workflow_run_id = $1', [runId]);
  await waitFor('the wait', async () => ((await waiting()).length > 0 ? true : undefined), 20_000);
  await server.arm(point);
  await server.call('PUT', `/v1/users/${workflow}`, { name: 'Ada' });
  await waitFor(point, async () => ((await server.isReached(point)) ? true : undefined), 20_000);
  const items = async () => {
    await server.ensureRunning();
    return server.test.db.query('select from message where workflow_run_id = $1', [runId]);
  };
  await waitFor('the item', async () => ((await items()).length > 0 ? true : undefined), 20_000);
  expect(await items()).toHaveLength(1);
  expect(await waiting()).toEqual([]);
  await server.loadSome();
}

/** A run asks somebody; the other side may hear of it twice, with one key, and the run goes on once. */
async function inCall(point: FaultPoint): Promise<void> {
  const keys: string[] = [];
  const other = await serveHttp((request, response) => {
    keys.push(String(request.headers['idempotency-key']));
    response.end('{"name": "Ada"}');
  });
  const workflow = point.replaceAll('.', '-');
  await server.push(workflow, [fetchStep(), feedStep('{{ data.name }}')]);
  await server.arm(point);
  const body = { recipients: [workflow], data: { url: other.url } };
  const runId = await server.trigger(workflow, body);
  await waitFor(point, async () => ((await server.isReached(point)) ? true : undefined), 20_000);
  const items = async () => {
    await server.ensureRunning();
    return server.test.db.query<{ body: string }>(
      `select content->>'body' as body from message where workflow_run_id = $1`,
      [runId],
    );
  };
  await waitFor('the item', async () => ((await items()).length > 0 ? true : undefined), 20_000);
  expect(await items()).toEqual([{ body: 'Ada' }]);
  expect(new Set(keys).size).toBe(1);
  expect(keys).toHaveLength(point === 'call.after-request' ? 2 : 1);
  await other.close();
  await server.loadSome();
}

/** Two objects with subscribers in common, more than a page of each. */
async function inFanOut(point: FaultPoint): Promise<void> {
  const workflow = point.replaceAll('.', '-');
  await server.push(workflow, [feedStep('News')]);
  await server.test.db.query(
    `insert into subscription (environment_id, object_collection, object_id, recipient_collection, recipient_id)
     select e.id, 'projects', $1 || o, '$users', 'reader-' || n
     from environment e, generate_series(0, 1) as o, generate_series(o * 500 + 1, o * 500 + $2::int) as n
     where e.slug = 'development'`,
    [workflow, FOLLOWERS],
  );
  await server.arm(point);
  const recipients = ['0', '1'].map((n) => ({ collection: 'projects', id: `${workflow}${n}` }));
  await server.trigger(workflow, { recipients });
  await waitFor(point, async () => ((await server.isReached(point)) ? true : undefined), 20_000);
  const items = async (): Promise<{ items: number; recipients: number } | undefined> => {
    await server.ensureRunning();
    const [row] = await server.test.db.query<{ items: number; recipients: number }>(
      `select count(*)::int as items, count(distinct recipient_id)::int as recipients
       from message
       where workflow_key = $1`,
      [workflow],
    );
    return row;
  };
  const all = FOLLOWERS + 500 + recipients.length;
  const isOver = async () => {
    const [row] = await server.test.db.query<{ over: boolean }>(
      `select ended_at is not null as over
       from fan_out f
       join workflow_run r on r.id = f.workflow_run_id
       where r.workflow_key = $1`,
      [workflow],
    );
    return row?.over && (await items())?.recipients === all ? true : undefined;
  };
  await waitFor('everybody', isOver, 30_000);
  expect(await items()).toEqual({ items: all, recipients: all });
}

const GATHER = { batch_window: { unit: 'seconds', value: 1 }, batch_items_max_limit: 3 };

/** Runs join batches, fill them and close them; then every acknowledged activity is in one message. */
async function inBatches(point: FaultPoint): Promise<void> {
  const key = point.replaceAll('.', '-');
  const list = '{% for a in activities %}[{{ a.n }}]{% endfor %}';
  await server.push(key, [{ ref: 'batch_1', type: 'batch', settings: GATHER }, feedStep(list)]);
  await server.arm(point);
  const expected: string[] = [];
  let n = 0;
  const load = async (): Promise<true | undefined> => {
    await server.ensureRunning();
    n += 1;
    const recipients = ['ada', 'bob'];
    const isDone = await server.trigger(key, { recipients, data: { n } }).then(() => true, notYet);
    if (isDone) expected.push(...recipients.map((recipient) => `${recipient}[${n}]`));
    return (await server.isReached(point)) && expected.length > 10 ? true : undefined;
  };
  await waitFor(point, load, 30_000);
  await waitFor('all activities', async () => {
    await server.ensureRunning();
    const rows = await server.test.db.query<{ recipient_id: string; body: string }>(
      `select recipient_id, content ->> 'body' as body
       from message
       where workflow_key = $1`,
      [key],
    );
    const found = rows.flatMap(({ recipient_id: recipient, body }) =>
      [...body.matchAll(/\[\d+\]/g)].map(([item]) => `${recipient}${item}`),
    );
    if (new Set(found).size < found.length) throw new Error(`twice: ${found.join(' ')}`);
    return expected.every((item) => found.includes(item)) ? true : undefined;
  });
  await waitFor('no window to be open', async () => {
    const open = await server.test.db.query(
      'select key::text from batch_window union all select window_id::text from batch_carrier',
    );
    return open.length === 0 ? true : undefined;
  });
}

/** A schedule falls due, and fires once. */
async function inSchedule(point: FaultPoint): Promise<void> {
  const workflow = point.replaceAll('.', '-');
  await server.push(workflow, [feedStep('Due')]);
  await server.arm(point);
  // The server may die before it answers.
  await server
    .call('POST', '/v1/schedules', {
      workflow,
      recipients: [workflow],
      scheduled_at: new Date(Date.now() + SOON_MS).toISOString(),
    })
    .catch(notYet);
  await waitFor(point, async () => ((await server.isReached(point)) ? true : undefined), 20_000);
  const items = async () => {
    await server.ensureRunning();
    return server.test.db.query('select from message where workflow_key = $1', [workflow]);
  };
  await waitFor('the item', async () => ((await items()).length > 0 ? true : undefined), 20_000);
  expect(await items()).toHaveLength(1);
  const [row] = await server.test.db.query<{ fired: boolean }>(
    `select last_occurrence_at = scheduled_at and next_occurrence_at is null as fired
     from schedule
     where workflow_key = $1`,
    [workflow],
  );
  expect(row).toEqual({ fired: true });
  await server.loadSome();
}

const inWebhook = (point: FaultPoint): Promise<void> => webhookRound(server, point, everythingOnce);
const inOperation = (point: FaultPoint): Promise<void> => operateThrough(server, point);

/** A hold is given, work comes and is set aside, the hold is ended, and what is done is cleared away. */
async function inOrder(point: FaultPoint): Promise<void> {
  const active = async (): Promise<readonly JsonObject[] | undefined> => {
    await server.ensureRunning();
    const answer = await server.call('GET', '/ops/v1/orders?active=true').catch(notYet);
    return answer?.entries as JsonObject[] | undefined;
  };
  const by = { author: 'nadia', reason: 'a test' };
  await server.arm(point);
  await waitFor('the hold', async () => {
    const orders = await active();
    if (orders?.length !== 0) return orders && true;
    const scope = { account: 'demo', environment: 'development', workflow: 'both' };
    await server.call('POST', '/ops/v1/orders', { verb: 'hold', scope, ...by }).catch(notYet);
    return undefined;
  });
  await server.loadSome();
  await waitFor('the end of the hold', async () => {
    const orders = await active();
    const [order] = orders ?? [];
    if (!order) return orders && true;
    if ((await server.test.db.query(SET_ASIDE)).length === 0) return undefined;
    await server.call('POST', `/ops/v1/orders/${String(order.id)}/undo`, by).catch(notYet);
    return undefined;
  });
  await waitFor(point, async () => ((await server.isReached(point)) ? true : undefined), 20_000);
  await server.ensureRunning();
}

/** The server died before it answered. */
const notYet = (): undefined => undefined;

const drivers: { readonly [Point in FaultPoint]: (point: Point) => Promise<void> } = {
  'appender.before-insert': duringLoad,
  'appender.after-insert': duringLoad,
  'appender.before-answer': duringLoad,
  'executor.before-write': duringLoad,
  'executor.after-write': duringLoad,
  'executor.before-commit': inBatches,
  'batch.after-lock': inBatches,
  'batch.after-join': inBatches,
  'batch.after-seal': inBatches,
  'batch.after-read': inBatches,
  'batch.after-park': inBatches,
  'batch.after-wake': inBatches,
  'delivery.before-call': duringLoad,
  'delivery.after-call': duringLoad,
  'delivery.after-record': duringLoad,
  'call.before-request': inCall,
  'call.after-request': inCall,
  'call.after-record': inCall,
  'truncation.before-fold': inTool('truncate'),
  'truncation.before-truncate': inTool('truncate'),
  'truncation.before-commit': inTool('truncate'),
  'truncation.after-commit': inTool('truncate'),
  'timers.before-move': atStart,
  'timers.after-move': atStart,
  'timers.due': whenDue,
  'ledger.before-settle': inTool('ledger'),
  'ledger.before-commit': inTool('ledger'),
  'ledger.after-commit': inTool('ledger'),
  'fan-out.after-remember': inFanOut,
  'fan-out.before-write': inFanOut,
  'fan-out.before-commit': inFanOut,
  'fan-out.after-commit': inFanOut,
  'broadcast.before-page': inBroadcast,
  'broadcast.after-page': inBroadcast,
  'broadcast.before-part': inBroadcast,
  'broadcast.after-part': inBroadcast,
  'broadcast.before-done': inBroadcast,
  'broadcast.after-done': inBroadcast,
  'operation.before-append': inOperation,
  'operation.after-append': inOperation,
  'operation.before-commit': inOperation,
  'operation.after-commit': inOperation,
  'operation.after-receipt': inOperation,
  'schedule.before-append': inSchedule,
  'schedule.after-append': inSchedule,
  'signals.before-append': inWait,
  'signals.after-append': inWait,
  'webhook.before-request': inWebhook,
  'webhook.after-request': inWebhook,
  'webhook.after-record': inWebhook,
  'order.before-commit': inOrder,
  'order.after-commit': inOrder,
  'order.after-release': inOrder,
  'order.before-clear-commit': inOrder,
  'order.after-clear': inOrder,
  ...deletionDrivers(() => server),
  'retention.before-detach': inTool('retention'),
  'retention.before-commit': inTool('retention'),
  'retention.after-detach': inTool('retention'),
  ...bodiesDrivers,
  'owner.after-lock': atStart,
  'owner.after-fence': atStart,
  'recovery.after-read': atStart,
};

describe('after a process was killed at', () => {
  beforeAll(async () => {
    await server.test.db.query(
      `insert into recipient (environment_id, collection, id, properties)
       select id, '$users', 'reader-' || n, '{}'
       from environment, generate_series(1, $1::int - (
         select count(*) from recipient where collection = '$users'
       )::int) as n
       where slug = 'development'`,
      [USERS],
    );
  });

  it.each(faultPoints)(
    '%s everything acknowledged is done once',
    async (point) => {
      await server.renew();
      await drivers[point](point as never);
      await everythingOnce();
    },
    120_000,
  );

  it('any of them, the ledger balances', async () => {
    expect(await server.tool('ledger')).toMatchObject({ gapRuns: 0 });
  });

  it('any of them, each message was handed to its provider, with one key for all attempts', async () => {
    const rows = await server.test.db.query<{ n: number }>(
      `select count(*)::int as n from delivery where status = 2`,
    );
    expect(server.calls.size).toBe(rows[0]?.n);
  });
});

describe('a workflow that triggers another, and whose process was killed', () => {
  it.each(['executor.before-write', 'executor.before-commit', 'executor.after-write'] as const)(
    'at %s, triggers it once',
    async (point) => {
      const child = `child-${point.replaceAll('.', '-')}`;
      const parent = `parent-${point.replaceAll('.', '-')}`;
      await server.ensureRunning();
      await server.push(child, [feedStep('Hi')]);
      const trigger = { ref: 't', type: 'trigger_workflow', settings: { workflow_key: child } };
      await server.push(parent, [trigger]);
      await server.arm(point);
      await server.trigger(parent, { recipients: ['ada', 'bob'] });
      await waitFor(
        point,
        async () => ((await server.isReached(point)) ? true : undefined),
        20_000,
      );
      const items = async () => {
        await server.ensureRunning();
        return server.test.db.query<{ recipient_id: string }>(
          'select recipient_id from message where workflow_key = $1 order by 1',
          [child],
        );
      };
      await waitFor(
        'the items',
        async () => ((await items()).length > 1 ? true : undefined),
        20_000,
      );
      await server.loadSome();
      await everythingOnce();
      expect(await items()).toEqual([{ recipient_id: 'ada' }, { recipient_id: 'bob' }]);
      expect(await server.tool('ledger')).toMatchObject({ gapRuns: 0 });
    },
    60_000,
  );
});

describe('a fault point', () => {
  it('can also make its statement fail: the work is done by the next attempt', async () => {
    await server.arm('executor.before-write', 'throw');
    await server.loadUntil('executor.before-write');
    await everythingOnce();
  });

  it('can also freeze its process, which does nothing twice when it wakes up', async () => {
    await server.arm('executor.before-write', 'pause');
    await server.loadUntil('executor.before-write');
    await server.release('executor.before-write');
    await everythingOnce();
  });

  it('is one of the catalogue, and each of those is in the source once', () => {
    const root = join(import.meta.dirname, '..', '..', 'src');
    const calls = sourceFiles(root).flatMap((file) =>
      [...readFileSync(join(root, file), 'utf8').matchAll(/\bfaultPoint\('([^']+)'\)/g)].map(
        (match) => match[1] ?? '',
      ),
    );
    expect(calls.sort()).toEqual([...faultPoints].sort());
  });

  it('does nothing where no test set a directory', () => {
    expect(faultPoint('appender.before-insert')).toBeUndefined();
  });

  it('cannot be armed outside of tests: no server starts with the variable set', async () => {
    const env = { [FAULT_VARIABLE]: '/tmp', BELFRY_PORT: '0', NODE_ENV: 'production' };
    const { code, stderr } = await spawnBelfry(['start'], env).finished;
    expect(stderr).toContain(`${FAULT_VARIABLE} is set`);
    expect(code).toBe(1);
  });
});
