import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import type { Access } from '../accounts/access.ts';
import { keyHash } from '../accounts/key.ts';
import type { UserToken } from '../accounts/user-token.ts';
import type { Budgets } from '../budgets/budgets.ts';
import type { Context, EnvironmentContext } from '../context.ts';
import { createDynamicThreshold } from '../lib/dynamic-threshold.ts';
import { BelfryError } from '../lib/errors.ts';
import { type Authentication, wrongKind } from './authentication.ts';
import { type Connection, type ConnectionLimits, serveConnection } from './socket-connection.ts';
import type { Hubs } from './topics.ts';

const SOCKET_PATH = '/ws/v1/websocket';

export type SocketOptions = {
  readonly authentication: Pick<
    Authentication,
    'authenticateKey' | 'authenticateUser' | 'isStillValid'
  >;
  readonly hubs: Hubs;
  readonly budgets: Pick<Budgets, 'database' | 'refusals'>;
  readonly limits?: Partial<SocketLimits>;
};

export type SocketLimits = ConnectionLimits & {
  readonly maxSockets: number;
  /** Sockets whose key is still being looked up; one key has half of them at the most. */
  readonly maxPending: number;
  readonly maxFrameBytes: number;
  /** A socket without any frame for so long is closed; clients send a heartbeat every 30 s. */
  readonly idleMs: number;
  /** How often silent sockets, and those whose key was revoked or whose token expired, are looked for. */
  readonly sweepEveryMs: number;
  /** How long a shutdown waits for the other side to say goodbye. */
  readonly goodbyeMs: number;
};

const defaultLimits: SocketLimits = {
  maxSockets: 50_000,
  maxPending: 1_000,
  maxFrameBytes: 64 * 1_024,
  maxJoins: 32,
  maxBufferedBytes: 1_024 * 1_024,
  burstFrames: 200,
  framesPerSecond: 20,
  idleMs: 90_000,
  sweepEveryMs: 15_000,
  goodbyeMs: 2_000,
};

export type SocketServer = {
  readonly connectionCount: () => number;
  /** Sends everybody away with 1012 (service restart), so that they come back. */
  readonly close: () => Promise<void>;
};

const SOCKET_RETRY_MS = 5_000;

const GOING_AWAY = 1001;
const POLICY_VIOLATION = 1008;
const SERVICE_RESTART = 1012;

/** Answers WebSocket upgrades of `/ws/v1/websocket` on this HTTP server. */
export function attachSocket(ctx: Context, server: Server, options: SocketOptions): SocketServer {
  const limits: SocketLimits = { ...defaultLimits, ...options.limits };
  const wss = new WebSocketServer({
    noServer: true,
    maxPayload: limits.maxFrameBytes,
    perMessageDeflate: false,
    clientTracking: false,
  });
  const connections = new Map<Connection, Admission>();
  const places = createDynamicThreshold(limits.maxSockets);
  const pending = createDynamicThreshold<string>(limits.maxPending);
  let closing = false;
  let whenEmpty: (() => void) | undefined;

  /** Looks a key up, so that what is slow about it is at the expense of those who come with the same key. */
  const findAccess = async (key: string): Promise<Access> => {
    const hash = keyHash(key);
    if (closing || !pending.take(hash, 1)) {
      throw new BelfryError('overloaded', 'This server takes no more sockets at the moment', {
        retryAfterMs: SOCKET_RETRY_MS,
      });
    }
    try {
      return await options.authentication.authenticateKey(key);
    } finally {
      pending.giveBack(hash, 1);
    }
  };

  const takePlace = (accountId: number, stream: Duplex): void => {
    if (places.take(accountId, 1)) {
      stream.once('close', () => places.giveBack(accountId, 1));
      return;
    }
    options.budgets.refusals.count(accountId, 'sockets', ctx.clock.now());
    throw new BelfryError(
      'rate_limited',
      `This account has ${places.held(accountId)} sockets open, more than are free of the server's ${limits.maxSockets}`,
      { retryAfterMs: SOCKET_RETRY_MS },
    );
  };

  /** Undefined when the other side went away meanwhile. */
  const admit = async (
    request: IncomingMessage,
    stream: Duplex,
  ): Promise<Admission | undefined> => {
    const url = URL.parse(request.url ?? '/', 'http://localhost');
    if (url?.pathname !== SOCKET_PATH) {
      throw new BelfryError('not_found', `Sockets are at ${SOCKET_PATH}`);
    }
    const key = url.searchParams.get('api_key') ?? '';
    const access = await findAccess(key);
    if (access.kind !== 'public') throw wrongKind(access, 'a public key (pk_...)');
    if (stream.destroyed) return undefined;
    const { environment } = access;
    takePlace(environment.accountId, stream);
    const given = url.searchParams.get('user_token') || undefined;
    const token = await options.authentication.authenticateUser(environment, undefined, given);
    if (stream.destroyed) return undefined;
    const db = options.budgets.database.of(environment.accountId);
    return { key, environment: { ...ctx, db, environment }, token };
  };

  /** Sends those away whom this key, or their token, as they are now, would not let in again. */
  const recheckKey = async (key: string, admitted: readonly Connection[]): Promise<void> => {
    const environment = await options.authentication.authenticateKey(key).then(
      (access) => (access.kind === 'public' ? access.environment : undefined),
      (error: unknown) => {
        if (error instanceof BelfryError) return undefined;
        throw error;
      },
    );
    for (const connection of admitted) {
      const token = connections.get(connection)?.token;
      const isWelcome =
        environment !== undefined &&
        (token
          ? await options.authentication.isStillValid(environment, token)
          : !environment.settings.enhanced_security);
      if (!isWelcome) connection.close(POLICY_VIOLATION, 'not authorised any more');
    }
  };

  let rechecking = false;
  const recheck = async (): Promise<void> => {
    if (rechecking) return;
    rechecking = true;
    try {
      const byKey = Map.groupBy(connections.keys(), (one) => connections.get(one)?.key ?? '');
      for (const [key, admitted] of byKey) await recheckKey(key, admitted);
    } catch (error) {
      // Without the database nobody is let in, and nobody is sent away.
      ctx.log.debug({ err: error }, 'keys of sockets could not be checked');
    } finally {
      rechecking = false;
    }
  };

  const onUpgrade = async (
    request: IncomingMessage,
    stream: Duplex,
    head: Buffer,
  ): Promise<void> => {
    const onError = (error: Error): void => ctx.log.debug({ err: error }, 'upgrade failed');
    stream.on('error', onError);
    try {
      const admission = await admit(request, stream);
      if (!admission) return;
      const { environment, token } = admission;
      stream.removeListener('error', onError);
      wss.handleUpgrade(request, stream, head, (socket) => {
        const connection = serveConnection(environment, {
          socket,
          token,
          hubs: options.hubs,
          refusals: options.budgets.refusals,
          limits,
        });
        connections.set(connection, admission);
        socket.on('close', () => {
          connections.delete(connection);
          if (connections.size === 0) whenEmpty?.();
        });
        if (closing) connection.close(SERVICE_RESTART, 'restarting');
      });
    } catch (error) {
      refuse(ctx, stream, error);
    }
  };
  server.on('upgrade', onUpgrade);

  const sweep = setInterval(() => {
    const now = ctx.clock.now();
    for (const [connection, { token }] of connections) {
      if (token && token.expiresAtMs <= now) {
        connection.close(POLICY_VIOLATION, 'the user token is expired');
      } else if (connection.lastFrameMs() < now - limits.idleMs) {
        connection.close(GOING_AWAY, 'no heartbeat');
      }
    }
    void recheck();
  }, limits.sweepEveryMs);
  sweep.unref();

  return {
    connectionCount: () => connections.size,
    close: async () => {
      closing = true;
      clearInterval(sweep);
      const empty = new Promise<void>((resolve) => {
        whenEmpty = resolve;
      });
      for (const connection of connections.keys()) connection.close(SERVICE_RESTART, 'restarting');
      if (connections.size > 0) {
        const timer = setTimeout(() => {
          for (const connection of connections.keys()) connection.terminate();
        }, limits.goodbyeMs);
        await empty;
        clearTimeout(timer);
      }
      wss.close();
    },
  };
}

type Admission = {
  readonly key: string;
  readonly environment: EnvironmentContext;
  readonly token: UserToken | undefined;
};

const reasons: Readonly<Record<number, string>> = {
  403: 'Forbidden',
  404: 'Not Found',
  429: 'Too Many Requests',
  503: 'Service Unavailable',
};

function retryAfter(thrown: unknown): string {
  if (!(thrown instanceof BelfryError) || thrown.retryAfterMs === undefined) return '';
  return `Retry-After: ${Math.ceil(thrown.retryAfterMs / 1_000)}\r\n`;
}

/** Phoenix answers 403 to a socket that it does not let in, whatever the reason; so do we. */
function refuse(ctx: Context, stream: Duplex, thrown: unknown): void {
  const status =
    thrown instanceof BelfryError ? (thrown.status === 401 ? 403 : thrown.status) : 503;
  if (!(thrown instanceof BelfryError)) ctx.log.error({ err: thrown }, 'upgrade failed');
  const message = thrown instanceof BelfryError ? thrown.message : 'try again later';
  stream.end(
    `HTTP/1.1 ${status} ${reasons[status] ?? 'Forbidden'}\r\n` +
      retryAfter(thrown) +
      `Connection: close\r\nContent-Type: text/plain; charset=utf-8\r\n` +
      `Content-Length: ${Buffer.byteLength(message)}\r\n\r\n${message}`,
  );
  stream.once('finish', () => stream.destroy());
}
