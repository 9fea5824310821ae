import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export type ProviderRequest = {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly form: URLSearchParams;
  readonly authorization: string | undefined;
};

/** JSON of status 200, a text with a status, or no answer at all. */
export type ProviderReply =
  | { readonly json: unknown; readonly status?: number }
  | { readonly text: string; readonly status?: number }
  | 'silence';

export type ProviderServer = {
  readonly url: string;
  /** What came since the last look, in order. */
  readonly take: () => ProviderRequest[];
  readonly answer: (how: (request: ProviderRequest) => ProviderReply) => void;
  readonly close: () => Promise<void>;
};

/** A server on loopback that speaks a provider's wire as a test wants it to. */
export async function startProviderServer(): Promise<ProviderServer> {
  let how: (request: ProviderRequest) => ProviderReply = () => ({ json: {}, status: 404 });
  let seen: ProviderRequest[] = [];
  const handle = async (incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> => {
    const parts: Buffer[] = [];
    for await (const part of incoming) parts.push(part as Buffer);
    const url = new URL(incoming.url ?? '/', 'http://localhost');
    const request: ProviderRequest = {
      method: incoming.method ?? '',
      path: url.pathname,
      query: url.searchParams,
      form: new URLSearchParams(Buffer.concat(parts).toString()),
      authorization: incoming.headers.authorization,
    };
    seen.push(request);
    const reply = how(request);
    if (reply === 'silence') return;
    outgoing.statusCode = reply.status ?? 200;
    outgoing.end('json' in reply ? JSON.stringify(reply.json) : reply.text);
  };
  const server = createServer((incoming, outgoing) => void handle(incoming, outgoing));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    take: () => seen.splice(0),
    answer: (next) => {
      seen = [];
      how = next;
    },
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
