import type { MoverState } from '../bodies/mover-state.ts';
import type { CarrierReport } from '../carrier/start-carrier.ts';
import type { Config } from '../config.ts';

/** What is known of the stores: what the carrier says, and what of the executors' work stays in the database. */
export type StoresReport = CarrierReport & { readonly keptBodies: number };

export function carrierStatus({ is, restarts, saidAtMs }: StoresReport) {
  return { state: is, restarts, said_at: timeText(saidAtMs) };
}

const NOTHING: MoverState = {
  backlog: { packs: 0, bytes: 0, oldestMs: undefined },
  ring: { bytes: 0, boundBytes: 0 },
  moved: { objects: 0, packs: 0, bytes: 0 },
  slotsGivenBack: 0,
  keptForDelivery: 0,
  erasuresOpen: 0,
  objectsDeleted: 0,
  store: {
    requests: {
      ...{ ok: 0, held_back: 0, throttled: 0, unavailable: 0, refused: 0, missing: 0, damaged: 0 },
    },
    breaker: 'closed',
    throttled: 0,
    lastError: undefined,
  },
};

/** The object store, as `GET /ops/v1/stores` shows it. */
export function objectStoreStatus(
  { bucket, prefix, endpoint }: NonNullable<Config['objectStore']>,
  report: StoresReport,
) {
  const part = report.parts.bodies;
  const known = part?.is === 'running' ? part.state : NOTHING;
  const { backlog, ring, moved, store } = known;
  return {
    place: `s3://${bucket}/${prefix}`,
    endpoint: endpoint ?? null,
    ...stateOf(report, known),
    backlog: {
      packs: backlog.packs,
      bytes: backlog.bytes,
      oldest_at: timeText(backlog.oldestMs),
    },
    ring: { bytes: ring.bytes, bound_bytes: ring.boundBytes },
    moved: { ...moved },
    requests: { ...store.requests },
    throttled: store.throttled,
    breaker: store.breaker,
    last_error: store.lastError ? { ...store.lastError } : null,
    kept_in_database: report.keptBodies,
    kept_for_delivery: known.keptForDelivery,
    slots_given_back: known.slotsGivenBack,
    erasures_open: known.erasuresOpen,
    objects_deleted: known.objectsDeleted,
  };
}

function stateOf(
  { is, parts }: StoresReport,
  { store }: MoverState,
): { readonly state: string; readonly reason: string | null } {
  const carrier = carrierState(is, 'contents');
  if (carrier) return carrier;
  if (parts.bodies?.is === 'failed') return { state: 'down', reason: parts.bodies.reason };
  if (parts.bodies?.is !== 'running') return { state: 'starting', reason: null };
  if (store.breaker === 'closed') return { state: 'up', reason: null };
  const { code, message } = store.lastError ?? { code: 'unknown', message: '' };
  return { state: 'failing', reason: `${code}: ${message}` };
}

/** The log store, as `GET /ops/v1/stores` shows it. */
export function logStoreStatus({ url }: NonNullable<Config['logStore']>, report: StoresReport) {
  const part = report.parts.logs;
  const known = part?.is === 'running' ? part.state : undefined;
  const { host, pathname } = new URL(url);
  return {
    place: `${host}${pathname}`,
    ...logStateOf(report, known?.trouble),
    data_as_of: timeText(known?.dataAsOfMs),
    backlog_bytes: known?.backlogBytes ?? 0,
    gaps: known?.gaps ?? 0,
    shipped_rows: known?.shippedRows ?? 0,
    refused_rows: known?.refusedRows ?? 0,
    failures: known?.failures ?? 0,
    deletions_open: known?.deletionsOpen ?? 0,
  };
}

function logStateOf(
  { is, parts }: StoresReport,
  trouble: string | undefined,
): { readonly state: string; readonly reason: string | null } {
  const carrier = carrierState(is, 'events');
  if (carrier) return carrier;
  if (parts.logs?.is === 'failed') return { state: 'down', reason: parts.logs.reason };
  if (parts.logs?.is !== 'running') return { state: 'starting', reason: null };
  if (trouble === undefined) return { state: 'up', reason: null };
  return { state: 'failing', reason: trouble };
}

function carrierState(is: StoresReport['is'], what: string) {
  if (is === 'none') return { state: 'down', reason: 'this server does not own the database' };
  if (is === 'silent' || is === 'restarting') {
    return { state: 'down', reason: `the process that carries ${what} is ${is}` };
  }
  return undefined;
}

const timeText = (ms: number | undefined): string | null =>
  ms === undefined ? null : new Date(ms).toISOString();
