import type { WebSocket } from 'ws';
import type { UserToken } from '../accounts/user-token.ts';
import type { Refusals } from '../budgets/refusals.ts';
import type { EnvironmentContext } from '../context.ts';
import { BelfryError } from '../lib/errors.ts';
import {
  formatPhoenixFrame,
  type PhoenixFrame,
  parsePhoenixFrame,
  phoenixReply,
} from './phoenix-frame.ts';
import { type Hubs, joinTopic, type Subscription } from './topics.ts';

export type ConnectionLimits = {
  readonly maxJoins: number;
  /** Bytes that may wait to be sent; a reader slower than that is cut off. */
  readonly maxBufferedBytes: number;
  /** Frames at once, and a second in the long run. */
  readonly burstFrames: number;
  readonly framesPerSecond: number;
};

export type Connection = {
  /** When the last frame came, in milliseconds since 1970. */
  readonly lastFrameMs: () => number;
  readonly close: (code: number, reason: string) => void;
  readonly terminate: () => void;
};

/** A topic that the client joined; one that it left stays until its place is needed. */
type Join = {
  readonly joinRef: string | null;
  subscription: Subscription | undefined;
  left: boolean;
};

const INVALID_PAYLOAD = 1007;
const UNSUPPORTED_DATA = 1003;
const POLICY_VIOLATION = 1008;

/** Speaks the Phoenix protocol on one socket until it closes. Nothing that it reads can throw. */
export function serveConnection(
  ctx: EnvironmentContext,
  input: {
    readonly socket: WebSocket;
    readonly token: UserToken | undefined;
    readonly hubs: Hubs;
    readonly refusals: Refusals;
    readonly limits: ConnectionLimits;
  },
): Connection {
  const { socket, hubs, limits } = input;
  const joins = new Map<string, Join>();
  let lastFrameMs = ctx.clock.now();
  let allowance = limits.burstFrames;
  let open = true;

  const isExpired = (): boolean =>
    input.token !== undefined && input.token.expiresAtMs <= ctx.clock.now();

  const send = (text: string): void => {
    if (socket.readyState !== socket.OPEN) return;
    if (isExpired()) {
      // Who listens in silence is sent away by the sweep of socket.ts.
      socket.close(POLICY_VIOLATION, 'the user token is expired');
      return;
    }
    if (socket.bufferedAmount > limits.maxBufferedBytes) {
      ctx.log.debug({ buffered: socket.bufferedAmount }, 'slow socket cut off');
      socket.terminate();
      return;
    }
    socket.send(text);
  };

  const end = (topic: string, join: Join): void => {
    if (join.left) return;
    join.left = true;
    join.subscription?.leave();
    send(
      formatPhoenixFrame({
        joinRef: join.joinRef,
        ref: join.joinRef,
        topic,
        event: 'phx_close',
        payload: {},
      }),
    );
  };

  const makeRoom = (topic: string): boolean => {
    if (joins.has(topic) || joins.size < limits.maxJoins) return true;
    for (const [name, join] of joins) {
      if (!join.left) continue;
      joins.delete(name);
      return true;
    }
    return false;
  };

  const enter = async (frame: PhoenixFrame): Promise<void> => {
    const { topic } = frame;
    if (!makeRoom(topic)) {
      send(phoenixReply(frame, 'error', { reason: `more than ${limits.maxJoins} topics` }));
      return;
    }
    const previous = joins.get(topic);
    // Of a join that failed or is under way there is nothing to take over but what it took over.
    const join: Join = { joinRef: frame.joinRef, subscription: undefined, left: false };
    joins.delete(topic);
    joins.set(topic, join);
    try {
      const subscription = await joinTopic(ctx, hubs, {
        topic,
        payload: frame.payload,
        token: input.token,
        replaces: previous?.subscription,
        push: (event, payload) => {
          if (join.left) return;
          const { joinRef } = join;
          send(formatPhoenixFrame({ joinRef, ref: null, topic, event, payload }));
        },
      });
      join.subscription = subscription;
      if (previous) end(topic, previous);
      if (!open || join.left || joins.get(topic) !== join) {
        subscription.leave();
        return;
      }
      send(phoenixReply(frame, 'ok'));
    } catch (error) {
      if (previous) end(topic, previous);
      join.left = true;
      join.subscription = previous?.subscription;
      if (error instanceof BelfryError && error.budget !== undefined) {
        const { accountId } = ctx.environment;
        input.refusals.count(accountId, error.budget, ctx.clock.now());
      }
      send(phoenixReply(frame, 'error', refusal(ctx, error)));
    }
  };

  const leave = (frame: PhoenixFrame): void => {
    const join = joins.get(frame.topic);
    // A leave that was overtaken by a newer join of the topic concerns the older one.
    const concerned = join && (frame.joinRef === null || frame.joinRef === join.joinRef);
    send(phoenixReply(frame, 'ok'));
    if (concerned) end(frame.topic, join);
  };

  const handle = (frame: PhoenixFrame): void => {
    if (frame.topic === 'phoenix' && frame.event === 'heartbeat') {
      send(phoenixReply(frame, 'ok'));
    } else if (frame.event === 'phx_join') {
      void enter(frame);
    } else if (frame.event === 'phx_leave') {
      leave(frame);
    } else {
      send(phoenixReply(frame, 'error', { reason: 'unmatched topic' }));
    }
  };

  const mayRead = (): boolean => {
    const nowMs = ctx.clock.now();
    const earned = ((nowMs - lastFrameMs) / 1_000) * limits.framesPerSecond;
    allowance = Math.min(limits.burstFrames, allowance + Math.max(0, earned)) - 1;
    lastFrameMs = nowMs;
    return allowance >= 0;
  };

  socket.on('message', (data, isBinary) => {
    // Frames still come in while the goodbye is under way.
    if (socket.readyState !== socket.OPEN) return;
    if (!mayRead()) {
      socket.close(POLICY_VIOLATION, 'too many frames');
      return;
    }
    if (isBinary) {
      socket.close(UNSUPPORTED_DATA, 'frames are text');
      return;
    }
    const frame = parsePhoenixFrame(data.toString());
    if (frame) handle(frame);
    else socket.close(INVALID_PAYLOAD, 'not a Phoenix frame of version 2');
  });
  // A frame that is too large, or broken UTF-8: ws closes the socket with the fitting code.
  socket.on('error', (error) => ctx.log.debug({ err: error }, 'socket failed'));
  socket.on('close', () => {
    open = false;
    for (const join of joins.values()) {
      join.left = true;
      join.subscription?.leave();
    }
    joins.clear();
  });

  return {
    lastFrameMs: () => lastFrameMs,
    close: (code, reason) => socket.close(code, reason),
    terminate: () => socket.terminate(),
  };
}

function refusal(ctx: EnvironmentContext, error: unknown): { readonly reason: string } {
  if (error instanceof BelfryError) return { reason: error.message };
  ctx.log.error({ err: error }, 'join failed');
  return { reason: 'the server could not join the topic' };
}
