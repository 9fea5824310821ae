import { usableMemoryBytes } from '../../lib/memory.ts';

export type PostgresSettings = Readonly<Record<string, string>>;

const MIB = 1024 ** 2;
const LEAST_BUFFERS_MIB = 64;
const MOST_BUFFERS_MIB = 1_024;

/** For a small machine that the database shares with everything else. */
const DEFAULT_SETTINGS: PostgresSettings = {
  listen_addresses: '',
  port: '5432',
  unix_socket_permissions: '0700',
  max_connections: '60',
  max_wal_size: '2GB',
  checkpoint_timeout: '15min',
  wal_compression: 'off',
  // Filling a new segment with zeroes kept every commit waiting for tens of milliseconds.
  wal_init_zero: 'off',
  random_page_cost: '1.1',
  jit: 'off',
  autovacuum: 'on',
  // Tables that rows are only added to are most of them, and look the same when they are half as large again. With PostgreSQL's tenth
  // a young partition was analyzed each minute, half a second of a core that everybody's next answers waited for.
  autovacuum_analyze_scale_factor: '0.5',
  // No worker processes for I/O, and no launcher for replication that nobody set up.
  io_method: 'sync',
  max_logical_replication_workers: '0',
  timezone: 'UTC',
  log_timezone: 'UTC',
  log_checkpoints: 'off',
  log_autovacuum_min_duration: '-1',
  // A failed statement is reported to its caller; its text may hold a customer's data.
  log_min_error_statement: 'panic',
};

/**
 * A sixteenth of the memory, within bounds. Each run goes into two indexes by recipient, 175 bytes together, wherever its recipient is:
 * once they are larger than this, a run reads two pages and writes two (docs/decisions/0040).
 */
export function sharedBuffers(memoryBytes: number): string {
  const sixteenth = Math.floor(memoryBytes / 16 / MIB);
  return `${Math.min(MOST_BUFFERS_MIB, Math.max(LEAST_BUFFERS_MIB, sixteenth))}MB`;
}

/** Arguments of the server program. */
export function serverArguments(settings: PostgresSettings): string[] {
  const memory = { shared_buffers: sharedBuffers(usableMemoryBytes()) };
  return Object.entries({ ...DEFAULT_SETTINGS, ...memory, ...settings }).flatMap(
    ([name, value]) => ['-c', `${name}=${value}`],
  );
}
