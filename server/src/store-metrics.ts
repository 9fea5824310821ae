import { Gauge, type Registry } from 'prom-client';
import type { CarrierReport } from './carrier/start-carrier.ts';

type BodiesReport = NonNullable<CarrierReport['parts']['bodies']>;
type LogsReport = NonNullable<CarrierReport['parts']['logs']>;
type ShipperState = Extract<LogsReport, { readonly is: 'running' }>['state'];
type MoverState = Extract<BodiesReport, { readonly is: 'running' }>['state'];

/** The numbers of the stores beside the database, as the carrier said them last. */
export function registerStoreMetrics(
  registry: Registry,
  report: () => CarrierReport,
  keptBodies: () => number,
): void {
  const bodies = (): MoverState | undefined => {
    const { parts } = report();
    return parts.bodies?.is === 'running' ? parts.bodies.state : undefined;
  };

  const gauge = gaugesOf(registry, bodies);

  gauge(
    'belfry_object_store_backlog_bytes',
    'Bytes of contents that the object store does not have yet.',
    (s) => s.backlog.bytes,
  );
  gauge(
    'belfry_object_store_backlog_packs',
    'Packs of contents that the object store does not have yet.',
    (s) => s.backlog.packs,
  );
  gauge(
    'belfry_object_store_backlog_age_seconds',
    'How long the oldest of them waits; half a minute is usual.',
    (s) =>
      s.backlog.oldestMs === undefined ? 0 : Math.max(0, Date.now() - s.backlog.oldestMs) / 1_000,
  );
  gauge(
    'belfry_object_store_ring_bytes',
    'Bytes on the disk of what waits for the object store, or was moved and is not given back yet.',
    (s) => s.ring.bytes,
  );
  gauge(
    'belfry_object_store_ring_bound_bytes',
    'Size from which on contents stay in the database.',
    (s) => s.ring.boundBytes,
  );
  gauge(
    'belfry_object_store_throttled',
    'Share of requests that are held back because the store refuses too many, 0 to 1.',
    (s) => s.store.throttled,
  );
  gauge(
    'belfry_object_store_breaker_open',
    '1 while the object store fails and is only tried now and then.',
    (s) => (s.store.breaker === 'closed' ? 0 : 1),
  );
  gauge(
    'belfry_object_store_moved_bytes',
    'Bytes of contents moved since the start of the carrier.',
    (s) => s.moved.bytes,
  );
  gauge(
    'belfry_object_store_erasures_open',
    'Contents of deleted messages that are not blanked everywhere yet, 10,000 at the most.',
    (s) => s.erasuresOpen,
  );

  registry.registerMetric(
    new Gauge({
      name: 'belfry_object_store_requests',
      help: 'Requests to the object store since the start of the carrier, by outcome.',
      labelNames: ['outcome'],
      registers: [],
      collect() {
        this.reset();
        for (const [outcome, count] of Object.entries(bodies()?.store.requests ?? {})) {
          this.set({ outcome }, count);
        }
      },
    }),
  );
  registry.registerMetric(
    new Gauge({
      name: 'belfry_object_store_kept_contents',
      help: 'Contents that stay in the database for good, because too much waited for the object store.',
      registers: [],
      collect() {
        this.set(keptBodies());
      },
    }),
  );
  registry.registerMetric(
    new Gauge({
      name: 'belfry_carrier_up',
      help: '1 while the process that carries things to stores runs and says so.',
      registers: [],
      collect() {
        this.set(report().is === 'running' ? 1 : 0);
      },
    }),
  );
  registerLogStoreMetrics(registry, report);
}

function registerLogStoreMetrics(registry: Registry, report: () => CarrierReport): void {
  const gauge = gaugesOf(registry, (): ShipperState | undefined => {
    const { logs } = report().parts;
    return logs?.is === 'running' ? logs.state : undefined;
  });
  gauge('belfry_log_store_lag_seconds', 'How old an answer of the log store is.', (s) =>
    s.dataAsOfMs === undefined ? undefined : Math.max(0, Date.now() - s.dataAsOfMs) / 1_000,
  );
  gauge(
    'belfry_log_store_backlog_bytes',
    'Bytes on the disk of the ids that wait for the log store.',
    (s) => s.backlogBytes,
  );
  gauge(
    'belfry_log_store_gaps',
    'Times of which rows are looked for in the tables, because too much waited or the store is new.',
    (s) => s.gaps,
  );
  gauge(
    'belfry_log_store_shipped_rows',
    'Rows that the log store took since the start of the carrier.',
    (s) => s.shippedRows,
  );
  gauge(
    'belfry_log_store_refused_rows',
    'Rows that the log store cannot read and that were left out, likewise.',
    (s) => s.refusedRows,
  );
  gauge(
    'belfry_log_store_failures',
    'Attempts that failed since the start of the carrier.',
    (s) => s.failures,
  );
  gauge(
    'belfry_log_store_deletions_open',
    'Deleted recipients whose rows are still in the log store.',
    (s) => s.deletionsOpen,
  );
}

/** Registers numbers that are read from a state when somebody asks for them; 0 while there is none. */
function gaugesOf<State>(registry: Registry, stateOf: () => State | undefined) {
  return (name: string, help: string, read: (state: State) => number | undefined): void => {
    registry.registerMetric(
      new Gauge({
        name,
        help,
        registers: [],
        collect() {
          const state = stateOf();
          const value = state === undefined ? undefined : read(state);
          if (value === undefined) this.reset();
          else this.set(value);
        },
      }),
    );
  };
}
