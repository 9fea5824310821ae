import { type StandIn, startStandIn } from '../../src/drill/stand-in.ts';
import { type BenchServer, startBenchServer } from './server.ts';

const PLACE = { user: 'bench', password: 'bench', database: 'logs', version: '26.7' };

export type ShippingServer = {
  readonly server: BenchServer;
  readonly standIn: StandIn;
  /** Resolves when everything that is committed now is shipped; says how many seconds that took. */
  readonly shipped: () => Promise<number>;
  readonly destroy: () => Promise<void>;
};

/** A server whose log store is a stand-in in a process of its own. */
export async function startShippingServer(): Promise<ShippingServer> {
  const standIn = await startStandIn({ type: 'log-store', options: PLACE });
  const { host } = new URL(standIn.url);
  const server = await startBenchServer({
    environment: {
      BELFRY_LOG_STORE: `http://${PLACE.user}:${PLACE.password}@${host}/${PLACE.database}`,
    },
  });
  const shipped = async (): Promise<number> => {
    const startedMs = performance.now();
    const [now] = await server.db.query<{ at: Date }>('select clock_timestamp() as at');
    for (;;) {
      const [row] = await server.db.query<{ is_shipped: boolean }>(
        `select shipped_at > $1
           and not exists (select from log_gap)
           and not exists (select from log_aside) as is_shipped
         from log_shipper`,
        [now?.at],
      );
      if (row?.is_shipped) return (performance.now() - startedMs) / 1_000;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  return {
    server,
    standIn,
    shipped,
    destroy: async () => {
      await server.destroy();
      standIn.end();
    },
  };
}
