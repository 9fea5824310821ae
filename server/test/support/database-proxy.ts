import { createServer, connect as openSocket, type Socket } from 'node:net';
import { join } from 'node:path';

/** A network between a part under test and the database, in which things go wrong on command. */
export type DatabaseProxy = {
  /** The database through the network. */
  readonly url: string;
  /** From now on answers are lost on the way; what is asked still arrives. */
  readonly loseAnswers: () => void;
  /** Ends every connection for the client; the database hears nothing of it. */
  readonly cutClients: () => void;
  /** While true, new connections are refused. */
  readonly refuse: (refusing: boolean) => void;
  /** Connections that were refused so far. */
  readonly refusals: () => number;
  readonly close: () => Promise<void>;
};

export async function startDatabaseProxy(url: string): Promise<DatabaseProxy> {
  const target = new URL(url.replace('postgres://belfry@/', 'postgres://belfry@localhost/'));
  const path = join(
    target.searchParams.get('host') ?? '',
    `.s.PGSQL.${target.searchParams.get('port')}`,
  );
  const clients = new Set<Socket>();
  const databases = new Set<Socket>();
  let refusing = false;
  let refusals = 0;

  const server = createServer((client) => {
    if (refusing) {
      refusals += 1;
      client.destroy();
      return;
    }
    const database = openSocket(path);
    clients.add(client);
    databases.add(database);
    client.on('data', (data) => database.write(data));
    database.on('data', (data) => {
      if (!losing.has(client)) client.write(data);
    });
    client.on('end', () => database.end());
    database.on('close', () => client.destroy());
    client.on('error', () => undefined);
    database.on('error', () => undefined);
  });
  const losing = new Set<Socket>();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address ? address.port : 0;

  return {
    url: `postgres://belfry@127.0.0.1:${port}${target.pathname}`,
    loseAnswers: () => {
      for (const client of clients) losing.add(client);
    },
    cutClients: () => {
      for (const client of clients) client.destroy();
      clients.clear();
    },
    refuse: (value) => {
      refusing = value;
    },
    refusals: () => refusals,
    close: async () => {
      for (const socket of [...clients, ...databases]) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
