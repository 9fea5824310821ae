import { setTimeout as wait } from 'node:timers/promises';
import pg from 'pg';
import type { Logger } from '../lib/log.ts';
import { createPriority, type Priority } from '../lib/priority.ts';
import { type CopiedRows, copyOut } from './copy-out.ts';
import { parseTimestamp } from './parse-timestamp.ts';

/** A statement with an optional name; a named one is prepared once a connection. */
export type Statement = string | { readonly name: string; readonly text: string };

export type Queryable = {
  /** Rows of a statement. int8 comes back as a number, timestamptz as a Date, json parsed. */
  readonly query: <Row>(statement: Statement, values?: readonly unknown[]) => Promise<Row[]>;
};

/** A statement by itself that the database ended for a deadlock runs again, a few times. */
export type Database = Queryable & {
  /** Runs `work` in a transaction: commits when it resolves, rolls back when it throws. */
  readonly transaction: <Result>(work: (tx: Queryable) => Promise<Result>) => Promise<Result>;
  readonly close: () => Promise<void>;
};

/** A database with connections of its own. */
export type DatabasePool = Database & {
  /** The rows of a query as text; in a transaction that has these settings. */
  readonly copyOut: (
    query: string,
    settings: Readonly<Record<string, string>>,
  ) => Promise<CopiedRows>;
};

export type DatabaseOptions = {
  readonly url: string;
  /** Connections at the most. */
  readonly max: number;
  readonly applicationName: string;
  readonly log: Logger;
  /** A statement that takes longer is ended: nobody waits for its answer any more. */
  readonly statementTimeoutMs?: number;
  /**
   * For work that can wait: no statement has worker processes, which would have everybody's priority. `lowersSessionsTo`: the
   * database runs on this machine for us alone, and the processes of these sessions get that priority.
   */
  readonly background?: Background | undefined;
  /**
   * Statements have plans for any values, and those with a name are not planned again until what they read from has changed: for few statements
   * that come again and again and read the same whatever is asked.
   */
  readonly plansForAnyValues?: boolean;
};

export type Background = { readonly lowersSessionsTo: Priority | undefined };

/** Longer than any statement of a session takes; a session that is silent for so long is lost. */
const SESSION_TIMEOUT_MS = 60_000;

const UNREACHABLE_MS = 5_000;

/** Longer than the canary's interval: opening a connection costs more than all that it does on it. */
const IDLE_MS = 40_000;

/** What the database does about a peer that is gone without a word: its locks are given back after 10 s. */
const PEER_OPTIONS = [
  'tcp_keepalives_idle=5',
  'tcp_keepalives_interval=2',
  'tcp_keepalives_count=3',
  'tcp_user_timeout=10000',
]
  .map((setting) => `-c ${setting}`)
  .join(' ');

const NO_WORKERS = '-c max_parallel_workers_per_gather=0';
const ONE_PLAN = '-c plan_cache_mode=force_generic_plan';

const TIMESTAMPTZ = 1184;
const INT8 = 20;
pg.types.setTypeParser(INT8, Number);
const parseAny = pg.types.getTypeParser(TIMESTAMPTZ);
pg.types.setTypeParser(TIMESTAMPTZ, (text) => parseTimestamp(text, parseAny));

/** A pool of connections. Connections are opened on first use and closed after 40 idle seconds. */
export function openDatabase(options: DatabaseOptions): DatabasePool {
  const { background } = options;
  const pool = new pg.Pool({
    connectionString: options.url,
    max: options.max,
    application_name: options.applicationName,
    connectionTimeoutMillis: 10_000,
    idleTimeoutMillis: IDLE_MS,
    keepAlive: true,
    options: settingsOf(options),
    ...(background?.lowersSessionsTo && {
      onConnect: lowering(background.lowersSessionsTo, options.log),
    }),
    ...(options.statementTimeoutMs === undefined
      ? {}
      : {
          statement_timeout: options.statementTimeoutMs,
          // The database cannot end anything while it cannot be reached.
          query_timeout: options.statementTimeoutMs + UNREACHABLE_MS,
        }),
  });
  // An idle connection that breaks is replaced on the next use; without a listener it would throw.
  pool.on('error', (error) =>
    options.log.warn({ reason: describe(error) }, 'idle database connection lost'),
  );

  async function inTransaction<Result>(
    work: (client: pg.PoolClient) => Promise<Result>,
  ): Promise<Result> {
    const client = await pool.connect();
    let broken: Error | undefined;
    // The pool listens only to idle ones, and an error that nobody listens to ends the process.
    const onError = (error: Error): void => {
      broken = error;
    };
    client.on('error', onError);
    try {
      await client.query('begin');
      const result = await work(client);
      await client.query('commit');
      return result;
    } catch (error) {
      await client.query('rollback').catch((rollbackError: Error) => {
        broken = rollbackError;
      });
      throw error;
    } finally {
      client.removeListener('error', onError);
      client.release(broken);
    }
  }

  return {
    query: (statement, values) =>
      againAfterDeadlock(
        () => run(pool, statement, values),
        (error) =>
          options.log.warn(
            {
              statement: typeof statement === 'string' ? undefined : statement.name,
              reason: describe(error),
            },
            'two statements waited for each other; one runs again',
          ),
      ),
    transaction: (work) =>
      inTransaction((client) =>
        work({ query: (statement, values) => run(client, statement, values) }),
      ),
    copyOut: (query, settings) =>
      inTransaction(async (client) => {
        await client.query(
          'select set_config(name, value, true) from unnest($1::text[], $2::text[]) as s(name, value)',
          [Object.keys(settings), Object.values(settings)],
        );
        return copyOut(client, query);
      }),
    close: () => pool.end(),
  };
}

function settingsOf({
  background,
  plansForAnyValues = false,
}: Pick<DatabaseOptions, 'background' | 'plansForAnyValues'>): string {
  return [
    PEER_OPTIONS,
    ...(background ? [NO_WORKERS] : []),
    ...(plansForAnyValues ? [ONE_PLAN] : []),
  ].join(' ');
}

/** Lowers the priority of the database's process of a new connection. */
function lowering(to: Priority, log: Logger): (client: pg.ClientBase) => Promise<void> {
  const priority = createPriority(to, log);
  return async (client) => {
    const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
    for (const { pid } of rows) void priority.lower(pid);
  };
}

/** One session of its own, for whoever must know that its session is its identity. */
export type Session = Queryable & {
  /** Resolves when the session is over, for whatever reason. */
  readonly ended: Promise<void>;
  readonly close: () => Promise<void>;
};

export async function openSession(
  options: Omit<DatabaseOptions, 'max' | 'plansForAnyValues'>,
): Promise<Session> {
  const client = new pg.Client({
    connectionString: options.url,
    application_name: options.applicationName,
    connectionTimeoutMillis: 10_000,
    keepAlive: true,
    options: settingsOf(options),
    // A database that is unreachable but not gone answers nothing, ever.
    query_timeout: SESSION_TIMEOUT_MS,
  });
  const ended = new Promise<void>((resolve) => client.once('end', resolve));
  client.on('error', (error) =>
    options.log.warn({ reason: describe(error) }, 'database session lost'),
  );
  await client.connect();
  const to = options.background?.lowersSessionsTo;
  if (to) await lowering(to, options.log)(client);
  return {
    query: (statement, values) => run(client, statement, values),
    ended,
    close: () => client.end(),
  };
}

async function run<Row>(
  client: pg.Pool | pg.Client | pg.PoolClient,
  statement: Statement,
  values: readonly unknown[] = [],
): Promise<Row[]> {
  const query =
    typeof statement === 'string'
      ? { text: statement, values: [...values] }
      : { name: statement.name, text: statement.text, values: [...values] };
  const result = await client.query(query);
  return result.rows as Row[];
}

/** The driver hangs the whole client, cancel key included, on its errors: only this may be logged. */
function describe(error: Error): string {
  return 'code' in error ? `${error.message} (${String(error.code)})` : error.message;
}

const DEADLOCK_ATTEMPTS = 4;
const DEADLOCK_PAUSE_MS = 50;

/**
 * Does `work` again when the database ended it because it and others waited for each other: nothing of it was done, and one of
 * the others went on. `work` is a statement by itself, or a transaction that does nothing but statements.
 */
export async function againAfterDeadlock<Result>(
  work: () => Promise<Result>,
  onDeadlock: (error: Error) => void = () => undefined,
  random = Math.random,
): Promise<Result> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof Error && isDeadlock(error)) || attempt === DEADLOCK_ATTEMPTS) {
        throw error;
      }
      onDeadlock(error);
      // By chance, so that those who met do not meet again.
      await wait(random() * DEADLOCK_PAUSE_MS);
    }
  }
}

/** The database ended one of those that waited for each other; of a statement by itself nothing was done. */
export function isDeadlock(error: unknown): boolean {
  return sqlState(error) === '40P01';
}

/** The SQLSTATE of a database error, or undefined for any other thrown thing. */
export function sqlState(error: unknown): string | undefined {
  return error instanceof pg.DatabaseError ? error.code : undefined;
}

/** The database found no room on its disk. */
export function isDiskFull(error: unknown): boolean {
  return sqlState(error) === '53100';
}

/** The server refused a statement for what was in it and did nothing of it: not that it was busy, ended it or is gone. */
export function isRefusedStatement(error: unknown): boolean {
  const state = sqlState(error);
  return state !== undefined && /^(?:2[1-8]|42|54)/.test(state);
}
