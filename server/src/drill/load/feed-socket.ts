import { WebSocket } from 'ws';
import { waitMs } from '../wall-clock.ts';
import type { Caller } from './protocol.ts';

const HEARTBEAT_MS = 20_000;
const RECONNECT_MS = 200;
/** A join that is not answered for so long is tried again. */
const JOIN_MS = 15_000;

/**
 * Watches the feed of the caller's first user as `@knocklabs/client` does, and comes back when it is cut
 * off. `heard` gets the number of messages in the feed each time the server rings. Resolves when joined.
 */
export async function watchFeed(
  url: string,
  caller: Caller,
  heard: (totalCount: number) => void,
): Promise<{ readonly close: () => void }> {
  let closed = false;
  let socket: WebSocket | undefined;

  const connect = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const opened = new WebSocket(
        `${url.replace('http', 'ws')}/ws/v1/websocket?user_token=&api_key=${caller.publicKey}&vsn=2.0.0`,
      );
      socket = opened;
      const impatience = setTimeout(() => opened.terminate(), JOIN_MS);
      const beat = setInterval(() => {
        if (opened.readyState === WebSocket.OPEN)
          opened.send(JSON.stringify([null, 'beat', 'phoenix', 'heartbeat', {}]));
      }, HEARTBEAT_MS);
      opened.on('open', () => {
        const topic = `feeds:${caller.channelId}:${caller.recipientPrefix}-1`;
        opened.send(JSON.stringify(['1', '1', topic, 'phx_join', { drill: {} }]));
      });
      opened.on('message', (data) => {
        const [, ref, , event, payload] = JSON.parse(data.toString()) as Frame;
        if (event === 'phx_reply' && ref === '1') {
          clearTimeout(impatience);
          if (payload.status === 'ok') resolve();
          else reject(new Error('the join of a feed was refused'));
        }
        if (event === 'new-message') heard(payload.metadata?.total_count ?? 0);
      });
      opened.on('error', reject);
      opened.on('close', () => {
        clearTimeout(impatience);
        clearInterval(beat);
        reject(new Error('the socket was closed before it had joined'));
        if (!closed && socket === opened) void comeBack();
      });
    });

  const comeBack = async (): Promise<void> => {
    while (!closed) {
      await waitMs(RECONNECT_MS);
      const joined = await connect().then(
        () => true,
        () => false,
      );
      // A socket that fails says so twice, and its `close` must not start this again meanwhile.
      if (joined) return;
      socket = undefined;
    }
  };

  await connect();
  return {
    close: () => {
      closed = true;
      socket?.terminate();
    },
  };
}

type Frame = readonly [
  joinRef: string | null,
  ref: string | null,
  topic: string,
  event: string,
  payload: {
    readonly status?: string;
    readonly metadata?: { readonly total_count: number };
  },
];
