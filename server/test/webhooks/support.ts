import type { IncomingHttpHeaders, ServerResponse } from 'node:http';
import type { JsonObject } from '../../src/lib/json.ts';
import { createEndpoint, type WithSecret } from '../../src/webhooks/change-endpoint.ts';
import { listDeliveries, type WebhookDelivery } from '../../src/webhooks/delivery.ts';
import { requireEndpoint, type WebhookEndpoint } from '../../src/webhooks/endpoint.ts';
import { createRequests } from '../../src/webhooks/requests.ts';
import { createSender, type Sender } from '../../src/webhooks/sender.ts';
import { readBody, serveHttp } from '../channels/support.ts';
import {
  appendedDeliveries,
  createEngineWorld,
  type EngineWorld,
  feedStep,
} from '../support/engine-world.ts';
import { silentLog } from '../support/log.ts';
import { testSecrets } from '../support/secrets.ts';

export type Received = {
  readonly id: string;
  readonly type: string;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  readonly body: JsonObject;
};

export type Receiver = {
  readonly url: string;
  readonly received: Received[];
  /** What to do with a request from now on; 200 until told. */
  answer: (response: ServerResponse, received: Received) => void;
  readonly close: () => Promise<void>;
};

export const ok = (response: ServerResponse): void => void response.end('ok');
export const status =
  (code: number, headers: Record<string, string> = {}) =>
  (response: ServerResponse): void =>
    void response.writeHead(code, headers).end('no');

/** A real server that keeps what it was sent. */
export async function startReceiver(): Promise<Receiver> {
  const received: Received[] = [];
  const server = await serveHttp(async (request, response) => {
    const text = await readBody(request);
    const { headers } = request;
    const one: Received = {
      id: String(headers['webhook-id']),
      type: String(headers['x-knock-event']),
      headers,
      text,
      body: JSON.parse(text),
    };
    received.push(one);
    receiver.answer(response, one);
  });
  const receiver: Receiver = { url: server.url, received, answer: ok, close: server.close };
  return receiver;
}

/** An environment with webhooks, whose events the test makes and whose sender it drives. */
export type WebhookWorld = {
  readonly world: EngineWorld;
  readonly sender: Sender;
  /** Another process with the same job. */
  readonly anotherSender: () => Sender;
  readonly endpoint: (url: string, events?: readonly string[]) => Promise<WithSecret>;
  readonly endpointNow: (id: string) => Promise<WebhookEndpoint & { readonly number: number }>;
  /** A message in the feed: `message.delivered`, and a run that started and completed. */
  readonly notify: (...recipients: string[]) => Promise<void>;
  /** Looks and waits for the answers until a look finds nothing. */
  readonly sendAll: (by?: Sender) => Promise<void>;
  readonly log: (id: string) => Promise<readonly WebhookDelivery[]>;
  readonly close: () => Promise<void>;
};

const MAX_LOOKS = 200;

export async function createWebhookWorld(
  options: { readonly timeoutMs?: number; readonly allowPrivate?: boolean } = {},
): Promise<WebhookWorld> {
  const { allowPrivate = true, timeoutMs = 25_000 } = options;
  const world = await createEngineWorld();
  const { ctx, clock } = world;
  const requests = createRequests({ allowPrivate, clock, timeoutMs });
  const anotherSender = (): Sender =>
    createSender({
      db: world.test.db,
      clock,
      log: silentLog,
      random: () => 0.5,
      secrets: testSecrets,
      requests,
    });
  const sender = anotherSender();
  const { workflowKey, versionId } = await world.workflow({ steps: [feedStep('Hello')] });
  return {
    world,
    sender,
    anotherSender,
    endpoint: (url, events) =>
      createEndpoint({ ...ctx, secrets: testSecrets, allowPrivate: true }, { url, events }),
    endpointNow: async (id) => {
      const { id: number, state, reason, failures } = await requireEndpoint(ctx, { id });
      return { number, status: state, reason, failures_in_a_row: failures } as WebhookEndpoint & {
        number: number;
      };
    },
    notify: async (...recipients) => {
      const { refs } = await world.accept({
        workflowKey,
        versionId,
        recipients: recipients.map((recipient) => ({ recipient })),
      });
      const reports = await world.execute(refs);
      if (appendedDeliveries(reports).length > 0) throw new Error('the feed needs no delivery');
    },
    sendAll: async (by = sender) => {
      by.refresh();
      for (let look = 0; look < MAX_LOOKS; look++) {
        const found = await by.look();
        await by.settled();
        if (found !== 'busy') return;
      }
      throw new Error('looks find something for ever');
    },
    log: async (id) => (await listDeliveries(ctx, { id, page: { size: 50 } })).items,
    close: async () => {
      await requests.close();
      await world.close();
    },
  };
}
