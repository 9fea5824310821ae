import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export type RecordedWire = {
  readonly url: string;
  /** Statements in the order in which they came: the query of inserts with their rows, others alone. */
  readonly statements: readonly { readonly query: string; readonly body: string }[];
  /** So many of the next inserts into `event` are answered as if they had been done. */
  readonly swallow: (inserts: number) => void;
  readonly close: () => Promise<void>;
};

/** What is between a client and a ClickHouse, and keeps what it sees. */
export async function startRecordedWire(target: string): Promise<RecordedWire> {
  const statements: { query: string; body: string }[] = [];
  const { origin } = new URL(target);
  let swallowed = 0;
  const server = createServer(async (request, response) => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part);
    const body = Buffer.concat(parts);
    const query = new URL(request.url ?? '/', origin).searchParams.get('query');
    statements.push({
      query: query ?? body.toString(),
      body: query === null ? '' : body.toString(),
    });
    if (swallowed > 0 && query?.startsWith('insert into event ')) {
      swallowed -= 1;
      response.end();
      return;
    }
    const answer = await fetch(`${origin}${request.url}`, {
      method: request.method ?? 'POST',
      headers: { authorization: request.headers.authorization ?? '' },
      ...(body.length > 0 ? { body } : {}),
    }).catch(() => undefined);
    if (!answer) {
      response.destroy();
      return;
    }
    const code = answer.headers.get('x-clickhouse-exception-code');
    response.writeHead(answer.status, code === null ? {} : { 'x-clickhouse-exception-code': code });
    response.end(Buffer.from(await answer.arrayBuffer()));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const { username, password, pathname } = new URL(target);
  return {
    url: `http://${username}:${password}@127.0.0.1:${port}${pathname}`,
    statements,
    swallow: (inserts) => {
      swallowed = inserts;
    },
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
