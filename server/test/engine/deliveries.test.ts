import type { AddressInfo } from 'node:net';
import { SMTPServer } from 'smtp-server';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Provider } from '../../src/channels/provider.ts';
import { createProviders, type Providers } from '../../src/channels/registry.ts';
import type { FeedChange } from '../../src/engine/engine.ts';
import { createChunkCache } from '../../src/engine/executor/chunk-cache.ts';
import { type DeliverServices, executeDeliveries } from '../../src/engine/executor/deliver.ts';
import {
  createDeliveryWriter,
  type DeliveryWriter,
} from '../../src/engine/executor/delivery-writer.ts';
import { parseDeliveriesBody } from '../../src/engine/log/body.ts';
import type { ChunkRef } from '../../src/engine/log/chunk.ts';
import { truncateSlot } from '../../src/engine/log/maintain.ts';
import { MESSAGE_STATUS } from '../../src/engine/status.ts';
import { listFeed, readFeedQuery } from '../../src/feed/list-feed.ts';
import { getMessage } from '../../src/feed/load-messages.ts';
import { messageEventName } from '../../src/feed/message-event-type.ts';
import type { JsonObject } from '../../src/lib/json.ts';
import { ksuidFromUuid } from '../../src/lib/ksuid.ts';
import { getChannelData, setChannelData } from '../../src/recipients/channel-data.ts';
import { type HttpServer, serveHttp } from '../channels/support.ts';
import {
  appendedDeliveries,
  createEngineWorld,
  type EngineWorld,
  emailStep,
  feedStep,
  slicesOf,
  webhookStep,
} from '../support/engine-world.ts';
import { silentLog } from '../support/log.ts';
import { users } from '../support/triggers.ts';

let world: EngineWorld;
let smtp: SMTPServer;
const mails: string[] = [];
beforeAll(async () => {
  world = await createEngineWorld();
  smtp = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS'],
    onRcptTo: ({ address }, _session, done) => {
      const refused = address.startsWith('bad');
      done(refused ? Object.assign(new Error('no such user'), { responseCode: 550 }) : null);
    },
    onData: (stream, session, done) => {
      mails.push(...session.envelope.rcptTo.map(({ address }) => address));
      stream.resume().on('end', () => done());
    },
  });
  smtp.on('error', () => undefined);
  await new Promise<void>((resolve) => smtp.listen(0, '127.0.0.1', resolve));
});
afterAll(async () => {
  await new Promise<void>((resolve) => smtp.close(resolve));
  await world.close();
});

type Call = { readonly key: string; readonly body: string };

let calls: Call[];
/** What the webhook answers to its next calls; 200 when nothing is left. */
let answers: number[];
let webhook: HttpServer;
let providers: Providers;
let writer: DeliveryWriter;
let services: DeliverServices;
let appended: ChunkRef[];
let arrived: FeedChange[];
const writers: DeliveryWriter[] = [];

beforeEach(async () => {
  calls = [];
  answers = [];
  appended = [];
  arrived = [];
  webhook = await serveHttp((request, response) => {
    let body = '';
    request.on('data', (data) => {
      body += data;
    });
    request.on('end', () => {
      calls.push({ key: String(request.headers['idempotency-key']), body });
      response.writeHead(answers.shift() ?? 200).end('answer');
    });
  });
  providers = createProviders({
    smtpUrl: `smtp://127.0.0.1:${(smtp.server.address() as AddressInfo).port}`,
    mailFrom: 'Belfry <belfry@example.org>',
    allowPrivateWebhooks: true,
    webhookSigningSecret: () => 'secret',
    log: silentLog,
  });
  writer = await openWriter();
  services = {
    db: world.test.db,
    chunks: createChunkCache(parseDeliveriesBody),
    providers,
    writer,
    orders: world.services.orders,
    onFeed: (change) => arrived.push(change),
  };
  world.clock.move(20_000);
});
afterEach(async () => {
  for (const open of writers.splice(0)) await open.close();
  await providers.close();
  await webhook.close();
});

async function openWriter(): Promise<DeliveryWriter> {
  const opened = createDeliveryWriter({
    url: world.test.url,
    applicationName: 'test deliveries',
    log: silentLog,
    clock: world.clock,
    random: () => 0.5,
    onAppended: (refs) => appended.push(...refs),
  });
  writers.push(opened);
  return opened;
}

const deliver = async (refs: readonly ChunkRef[]): Promise<void> => {
  for (const ref of refs) await executeDeliveries(services, ref.slot, slicesOf(ref));
};

/** Messages of a trigger for `count` users, executed up to their deliveries. */
async function waitingWebhooks(count: number) {
  const of = await world.workflow({ steps: [webhookStep()] });
  const { refs, runIds } = await world.accept({
    ...of,
    recipients: users(count),
    data: { url: webhook.url },
  });
  return { runId: runIds[0] ?? '', deliveries: appendedDeliveries(await world.execute(refs)) };
}

type DeliveryRow = { message_id: string; attempt: number; status: number; detail: unknown };

const deliveriesOf = (runId: string): Promise<DeliveryRow[]> =>
  world.test.db.query<DeliveryRow>(
    `select d.message_id, d.attempt, d.status, d.detail
     from delivery d
     join message m on m.id = d.message_id
     where m.workflow_run_id = $1
     order by d.message_id, d.attempt`,
    [runId],
  );

async function eventsOf(runId: string): Promise<string[]> {
  const rows = await world.test.db.query<{ type: number }>(
    `select e.type
     from message_event e
     join message m on m.id = e.message_id
     where m.workflow_run_id = $1
     order by e.inserted_at, e.id`,
    [runId],
  );
  return rows.map((row) => messageEventName(row.type));
}

describe('a message of the feed that waits for its send window', () => {
  const days = ['monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday'];

  it('is in no feed before, and comes into it with its event when the window opens [channel/in_app_feed.send_windows]', async () => {
    const openMs = Math.ceil((world.clock.now() + 1) / 86_400_000) * 86_400_000;
    const opens = days[(new Date(openMs).getUTCDay() + 6) % 7];
    const of = await world.workflow({
      steps: [
        {
          ...feedStep('Later'),
          send_windows: days.map((day) => ({ day, type: day === opens ? 'send' : 'do_not_send' })),
        },
      ],
    });
    const { refs, runIds } = await world.accept({ ...of, recipients: users(1) });
    const [report] = await world.execute(refs);
    expect(report?.feeds).toEqual([]);
    const [ref] = appendedDeliveries(report ? [report] : []);
    expect(ref?.dueMs).toBe(openMs);
    const feed = { userId: 'user-0', channelId: world.channels['in-app'] ?? '' };
    const list = () => listFeed(world.ctx, { ...feed, query: readFeedQuery({}) });
    const before = (await list()).entries.length;
    const [message] = await world.test.db.query<{ id: string }>(
      'select id from message where workflow_run_id = $1',
      [runIds[0]],
    );
    const messageId = ksuidFromUuid(message?.id ?? '');
    expect(await getMessage(world.ctx, { messageId })).toMatchObject({
      status: 'queued',
      scheduled_at: new Date(openMs).toISOString(),
    });
    world.clock.moveTo(openMs);
    await deliver(ref ? [ref] : []);
    const after = (await list()).entries;
    expect(after).toHaveLength(before + 1);
    expect(after[0]?.id).toBe(messageId);
    expect(await getMessage(world.ctx, { messageId })).toMatchObject({ status: 'delivered' });
    expect(arrived).toEqual([{ ...feed, environmentId: world.ctx.environment.id }]);
    expect(await eventsOf(runIds[0] ?? '')).toEqual(['message.queued', 'message.delivered']);
  });
});

describe('a delivery', () => {
  it('is recorded with its outcome, an event and a receipt', async () => {
    const { runId, deliveries } = await waitingWebhooks(120);
    expect(deliveries.reduce((sum, ref) => sum + ref.sliceCount, 0)).toBe(120);
    await deliver(deliveries);
    expect(calls.map((call) => call.body).sort()).toEqual(
      users(120)
        .map(({ recipient }) => recipient)
        .sort(),
    );
    const rows = await deliveriesOf(runId);
    expect(rows).toHaveLength(120);
    expect(rows.every((row) => row.attempt === 1 && row.status === MESSAGE_STATUS.delivered)).toBe(
      true,
    );
    expect(new Set(calls.map((call) => call.key))).toEqual(
      new Set(rows.map((row) => ksuidFromUuid(row.message_id))),
    );
    expect((await eventsOf(runId)).filter((name) => name === 'message.delivered')).toHaveLength(
      120,
    );
    for (const { slot } of deliveries) expect(await truncateSlot(world.test.db, slot)).toBe(true);
  });

  it('by e-mail is sent, or bounced when the address is refused', async () => {
    await world.test.db.query(
      `insert into recipient (environment_id, collection, id, properties)
       values ($1, '$users', 'good', '{"email":"good@example.org"}'),
              ($1, '$users', 'bad', '{"email":"bad@example.org"}')`,
      [world.ctx.environment.id],
    );
    const of = await world.workflow({ steps: [emailStep()] });
    const { refs, runIds } = await world.accept({
      ...of,
      recipients: [{ recipient: 'good' }, { recipient: 'bad' }],
    });
    await deliver(appendedDeliveries(await world.execute(refs)));
    expect(mails).toContain('good@example.org');
    const rows = await deliveriesOf(runIds[0] ?? '');
    expect(rows.map((row) => row.status)).toEqual([MESSAGE_STATUS.sent, MESSAGE_STATUS.bounced]);
    expect(appended).toEqual([]);
  });

  it('that is refused for good is undelivered and not tried again', async () => {
    answers = [404];
    const { runId, deliveries } = await waitingWebhooks(1);
    await deliver(deliveries);
    expect(await deliveriesOf(runId)).toMatchObject([{ status: MESSAGE_STATUS.undelivered }]);
    expect(appended).toEqual([]);
  });

  it('that met a 503 is tried again when its time has come, with the same idempotency key', async () => {
    answers = [503];
    const { runId, deliveries } = await waitingWebhooks(1);
    world.clock.move(1);
    await deliver(deliveries);
    expect(await deliveriesOf(runId)).toMatchObject([
      { attempt: 1, status: MESSAGE_STATUS.delivery_attempted },
    ]);
    const [retry] = appended;
    const delayMs = (retry?.dueMs ?? 0) - world.clock.now();
    expect(delayMs).toBeGreaterThanOrEqual(9_000);
    expect(delayMs).toBeLessThanOrEqual(10_000);
    world.clock.moveTo(retry?.dueMs ?? 0);
    await deliver(appended.splice(0));
    expect(await deliveriesOf(runId)).toMatchObject([
      { attempt: 1, status: MESSAGE_STATUS.delivery_attempted },
      { attempt: 2, status: MESSAGE_STATUS.delivered },
    ]);
    expect(new Set(calls.map((call) => call.key)).size).toBe(1);
    expect(await eventsOf(runId)).toEqual([
      'message.queued',
      'message.delivery_attempted',
      'message.delivered',
    ]);
  });

  it('that fails eight times is undelivered, within 30 minutes', async () => {
    answers = Array(20).fill(503);
    const { runId, deliveries } = await waitingWebhooks(1);
    const startMs = world.clock.now();
    await deliver(deliveries);
    while (appended.length > 0) {
      const next = appended.splice(0);
      world.clock.moveTo(next[0]?.dueMs ?? 0);
      await deliver(next);
    }
    expect(world.clock.now() - startMs).toBeLessThan(30 * 60_000);
    const rows = await deliveriesOf(runId);
    expect(rows.map((row) => row.attempt)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(rows.at(-1)?.status).toBe(MESSAGE_STATUS.undelivered);
    expect((await eventsOf(runId)).at(-1)).toBe('message.undelivered');
  });

  it('whose record was lost is called again with the same key, and recorded once', async () => {
    const { runId, deliveries } = await waitingWebhooks(3);
    const lost: DeliverServices = {
      ...services,
      writer: { ...writer, write: () => Promise.reject(new Error('the executor died here')) },
    };
    const [ref] = deliveries;
    if (!ref) throw new Error('no chunk');
    await expect(executeDeliveries(lost, ref.slot, slicesOf(ref))).rejects.toThrow();
    await deliver(deliveries);
    expect(calls).toHaveLength(6);
    expect(new Set(calls.map((call) => call.key)).size).toBe(3);
    expect(await deliveriesOf(runId)).toHaveLength(3);
  });

  it('that is recorded is not called again, whoever is told to', async () => {
    const { runId, deliveries } = await waitingWebhooks(5);
    await deliver(deliveries);
    services = { ...services, chunks: createChunkCache(parseDeliveriesBody) };
    await deliver(deliveries);
    expect(calls).toHaveLength(5);
    expect(await deliveriesOf(runId)).toHaveLength(5);
  });

  it('ordered twice at the same time is recorded once, and retried once', async () => {
    answers = Array(50).fill(503);
    const { runId, deliveries } = await waitingWebhooks(3);
    const [ref] = deliveries;
    if (!ref) throw new Error('no chunk');
    const second = await openWriter();
    await Promise.all([
      executeDeliveries(services, ref.slot, slicesOf(ref)),
      executeDeliveries(services, ref.slot, [...slicesOf(ref), ...slicesOf(ref)]),
      executeDeliveries({ ...services, writer: second }, ref.slot, slicesOf(ref)),
    ]);
    expect(await deliveriesOf(runId)).toHaveLength(3);
    expect(appended.reduce((sum, chunk) => sum + chunk.runCount, 0)).toBe(3);
  }, 5_000);

  it('reported twice in one moment is recorded once', async () => {
    const { runId, deliveries } = await waitingWebhooks(1);
    const [ref] = deliveries;
    if (!ref) throw new Error('no chunk');
    const { id: messageId = '' } =
      (
        await world.test.db.query<{ id: string }>(
          'select id from message where workflow_run_id = $1',
          [runId],
        )
      )[0] ?? {};
    const record = {
      slot: ref.slot,
      stream: ref.stream,
      sequence: ref.sequence,
      slice: 0,
      laneId: ref.laneId,
      messageId,
      environmentId: world.ctx.environment.id,
      attempt: 1,
      provider: 'webhook',
      outcome: { kind: 'delivered', detail: {} } as const,
    };
    await Promise.all([writer.write(record), writer.write(record)]);
    expect(await deliveriesOf(runId)).toHaveLength(1);
  }, 5_000);

  it('of a message that is gone ends with its receipt', async () => {
    const { runId, deliveries } = await waitingWebhooks(2);
    await world.test.db.query('delete from message where workflow_run_id = $1', [runId]);
    await deliver(deliveries);
    expect(calls).toHaveLength(0);
    for (const { slot } of deliveries) expect(await truncateSlot(world.test.db, slot)).toBe(true);
  });

  it('is recorded by a writer whose session was lost meanwhile', async () => {
    const { runId, deliveries } = await waitingWebhooks(10);
    await world.test.db.query(
      `select pg_terminate_backend(pid)
       from pg_stat_activity
       where application_name = 'test deliveries'
         and datname = current_database()`,
    );
    await deliver(deliveries);
    expect(await deliveriesOf(runId)).toHaveLength(10);
  });
});

describe('a push that bounces because its token is gone', () => {
  const push = (ref: string, more: JsonObject = {}): JsonObject => ({
    ref,
    type: 'channel',
    channel_key: 'push',
    template: { title: 'Hi', text_body: 'Ding', settings: { delivery_type: 'content' } },
    ...more,
  });
  /** Providers of pushes come from outside: this one says that every token that begins with `old` is gone. */
  const gone: Provider = {
    name: 'push',
    deliver: async ({ content }) =>
      String(content.token).startsWith('old')
        ? { kind: 'bounced', code: 'token_gone', detail: {} }
        : { kind: 'sent', detail: {} },
    close: async () => undefined,
  };

  async function tokensAfter(id: string, step: JsonObject): Promise<unknown> {
    const data = { tokens: ['old-1', 'new-1', 'old-2'] };
    const key = { collection: '$users', id, channel: 'push' };
    await setChannelData(world.ctx, { ...key, data });
    const of = await world.workflow({ steps: [step] });
    const { refs } = await world.accept({ ...of, recipients: [{ recipient: id }] });
    const queued = appendedDeliveries(await world.execute(refs));
    services = { ...services, providers: { ...providers, forChannel: () => gone } };
    await deliver(queued);
    return (await getChannelData(world.ctx, key)).data;
  }

  it('loses the token, and keeps the others [channel/push.channel_overrides.token_deregistration]', async () => {
    expect(await tokensAfter('pushed-1', push('push_1'))).toMatchObject({
      tokens: ['new-1'],
      devices: [{ token: 'new-1' }],
    });
  });

  it('keeps it where the step says so [channel/push.channel_overrides.token_deregistration]', async () => {
    const step = push('push_1', { channel_overrides: { token_deregistration: false } });
    expect(await tokensAfter('pushed-2', step)).toMatchObject({
      tokens: ['old-1', 'new-1', 'old-2'],
    });
  });
});
