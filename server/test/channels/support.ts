import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { OutgoingMessage } from '../../src/channels/provider.ts';
import type { JsonObject } from '../../src/lib/json.ts';

export const MESSAGE_ID = '2aVfGZkKqgnWRDM6zj4oUoZbnRp';

export function outgoing(content: JsonObject, attempt = 1): OutgoingMessage {
  return { id: MESSAGE_ID, environmentId: 7, attempt, content };
}

export const noAbort = (): AbortSignal => new AbortController().signal;

export type HttpServer = {
  readonly url: string;
  readonly close: () => Promise<void>;
};

/** A real HTTP server on a free loopback port. */
export async function serveHttp(listener: RequestListener): Promise<HttpServer> {
  const server = createServer(listener);
  await listen(server);
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

function listen(server: Server): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
}

export async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}

/** A port on which nothing listens: it was free a moment ago. */
export async function closedPort(): Promise<number> {
  const server = createServer();
  await listen(server);
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
