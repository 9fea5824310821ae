import { WebSocket } from 'ws';

export type WatchedFeed = {
  /** Rejects when the server does not let the socket in. */
  readonly joined: Promise<void>;
  /** Resolves with the first new message; never, when none comes. */
  readonly rung: Promise<void>;
  readonly close: () => void;
};

/** A socket that joins one feed, as a browser does. */
export function waitForFeed(options: {
  readonly url: string;
  readonly publicKey: string;
  readonly topic: string;
}): WatchedFeed {
  const joined = Promise.withResolvers<void>();
  const rung = Promise.withResolvers<void>();
  // Whoever does not wait for it any more does not want to hear that it failed.
  joined.promise.catch(() => undefined);
  const origin = options.url.replace(/^http/, 'ws');
  const socket = new WebSocket(
    `${origin}/ws/v1/websocket?user_token=&api_key=${options.publicKey}&vsn=2.0.0`,
  );
  socket.on('open', () => {
    socket.send(JSON.stringify(['1', '1', options.topic, 'phx_join', { canary: {} }]));
  });
  socket.on('message', (data) => {
    const frame: unknown = JSON.parse(data.toString());
    if (!Array.isArray(frame)) return;
    if (frame[3] === 'phx_reply' && frame[4]?.status === 'ok') joined.resolve();
    else if (frame[3] === 'phx_reply') joined.reject(new Error('the feed cannot be joined'));
    else if (frame[3] === 'new-message') rung.resolve();
  });
  socket.on('error', (error) => joined.reject(error));
  socket.on('close', () => joined.reject(new Error('the socket was closed')));
  return {
    joined: joined.promise,
    rung: rung.promise,
    close: () => {
      if (socket.readyState === socket.OPEN) socket.close();
      else socket.terminate();
    },
  };
}
