import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Readable } from 'node:stream';
import { type Counters, createCounters } from './counters.ts';
import { createFaults, type FaultKind, type Faults } from './faults.ts';

export type Answer = {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  readonly body?: Buffer | Readable;
  /** Of the body, when it is a stream, or when a HEAD leaves it out. */
  readonly bytes?: number;
};

/** A server on loopback whose faults are set from outside. */
export type Stand = {
  readonly url: string;
  readonly setFaults: (faults: Partial<Faults>) => void;
  readonly counters: () => Counters;
  readonly close: () => Promise<void>;
};

export type StandOptions = {
  /** 0: any that is free. */
  readonly port: number;
  /** Its clock, also that of its `Date` headers; milliseconds since 1970. */
  readonly nowMs: () => number;
  /** From 0 to below 1. */
  readonly random: () => number;
  readonly answer: (request: IncomingMessage) => Promise<Answer>;
  /** The answer to a request that is told to slow down, or that fails inside. */
  readonly refusal: (kind: 'slow_down' | 'internal_error', request: IncomingMessage) => Answer;
};

/** Serves on loopback until it is closed. */
export async function serveStand(options: StandOptions): Promise<Stand> {
  const faults = createFaults(options.nowMs, options.random);
  const counters = createCounters(options.nowMs);

  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    counters.request(request.method ?? '');
    counters.received(Number(request.headers['content-length'] ?? 0));
    const fault = faults.next();
    if (fault !== undefined) counters.fault(fault);
    const latencyMs = faults.latencyMs();
    if (latencyMs > 0) await new Promise((resolve) => setTimeout(resolve, latencyMs));
    switch (fault) {
      case 'reset':
        request.socket.resetAndDestroy();
        return;
      case 'hang':
        // Until the caller gives up, or this server is closed.
        request.resume();
        return;
      case 'slow_down':
      case 'internal_error':
        request.resume();
        await send(request, response, options.refusal(fault, request), undefined);
        return;
      default: {
        const answer = await options.answer(request);
        if (fault === 'reset_answer') request.socket.resetAndDestroy();
        else await send(request, response, answer, fault);
      }
    }
  };

  const send = async (
    request: IncomingMessage,
    response: ServerResponse,
    answer: Answer,
    damage: FaultKind | undefined,
  ): Promise<void> => {
    counters.status(answer.status);
    const bytes = answer.bytes ?? (Buffer.isBuffer(answer.body) ? answer.body.length : undefined);
    response.writeHead(answer.status, {
      date: new Date(options.nowMs()).toUTCString(),
      ...answer.headers,
      ...(bytes !== undefined && { 'content-length': String(bytes) }),
    });
    if (answer.body === undefined || request.method === 'HEAD') {
      response.end();
      return;
    }
    const parts = Buffer.isBuffer(answer.body) ? [answer.body] : answer.body;
    let left = damage === 'truncate' ? Math.floor((bytes ?? 0) / 2) : Number.POSITIVE_INFINITY;
    let isFirst = true;
    for await (const part of parts as AsyncIterable<Buffer> | readonly Buffer[]) {
      const whole = damage === 'flip' && isFirst ? withWrongByte(part) : part;
      isFirst = false;
      const some = whole.subarray(0, Math.min(whole.length, left));
      left -= some.length;
      await written(response, some);
      if (left <= 0) {
        request.socket.destroy();
        return;
      }
    }
    response.end();
  };

  const server = createServer((request, response) => {
    handle(request, response).catch(() => request.socket.destroy());
  });
  server.keepAliveTimeout = 60_000;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    setFaults: faults.set,
    counters: counters.read,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function written(response: ServerResponse, part: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    response.write(part, (error) => (error ? reject(error) : resolve()));
  });
}

function withWrongByte(part: Buffer): Buffer {
  const copy = Buffer.from(part);
  const middle = Math.floor(copy.length / 2);
  copy[middle] = (copy[middle] ?? 0) ^ 1;
  return copy;
}

/** At most so many bytes; rejects when there are more. */
export async function readAll(stream: Readable, mostBytes: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of stream as AsyncIterable<Buffer>) {
    bytes += part.length;
    if (bytes > mostBytes) throw new Error(`a body is larger than ${mostBytes} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts);
}
