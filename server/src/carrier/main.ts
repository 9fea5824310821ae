import { setTimeout as wait } from 'node:timers/promises';
import { pino } from 'pino';
import { startMover } from '../bodies/mover.ts';
import { type DatabasePool, openDatabase, openSession } from '../db/database.ts';
import type { Part, PartContext } from '../lib/carrier-part.ts';
import { systemClock } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';
import { idleProcesses } from '../lib/priority.ts';
import { spareProcessors } from '../lib/spare-processors.ts';
import { startShipper } from '../log-store/start-shipper.ts';
import type {
  CarrierOptions,
  CarrierParts,
  FromCarrier,
  PartReport,
  ToCarrier,
} from './protocol.ts';

/** The carrier process; see README.md. */

/** Held by the one carrier of a database. */
const CARRIER_LOCK = 4_400_011;
const LOCK_MS = 500;
const STATE_MS = 1_000;
const RETRY_PART_MS = 60_000;
const PART_CONNECTIONS = 4;
const STATEMENT_MS = 60_000;

// A terminal's ctrl-C reaches the whole group; the server process decides when this ends.
process.on('SIGINT', () => undefined);
process.on('SIGTERM', () => undefined);
process.on('disconnect', () => process.exit(0));

const started = Promise.withResolvers<CarrierOptions>();
const stopping = new AbortController();
process.on('message', (message: ToCarrier) => {
  if (message.type === 'start') started.resolve(message.options);
  else stopping.abort();
});
const options = await started.promise;
const root = pino({ level: options.logLevel }, pino.destination({ dest: 2, sync: true }));
const log: Logger = root.child({ part: 'carrier' });
const sparing = spareProcessors({ processes: () => [process.pid, ...idleProcesses()], log });

/** A line for each part: whether it is wanted, and how it starts. */
const PARTS = {
  bodies: options.bodies && partOf('bodies', options.bodies, startMover),
  logs: options.logs && partOf('logs', options.logs, startShipper),
} satisfies { readonly [Name in keyof CarrierParts]: KeptPart<unknown> | undefined };

type KeptPart<State> = {
  readonly run: () => Promise<void>;
  readonly report: () => PartReport<State>;
};

/** Starts a part, and again when that fails, until the process stops. */
function partOf<Config, State>(
  name: string,
  config: Config,
  start: (ctx: PartContext<DatabasePool>, config: Config) => Promise<Part<State>>,
): KeptPart<State> {
  let part: Part<State> | undefined;
  let reason: string | undefined;
  const { signal } = stopping;
  const log: Logger = root.child({ part: `carrier-${name}` });

  async function run(): Promise<void> {
    const db = openDatabase({
      url: options.databaseUrl,
      max: PART_CONNECTIONS,
      applicationName: `belfry carrier ${name}`,
      log,
      statementTimeoutMs: STATEMENT_MS,
      background: { lowersSessionsTo: options.ownsDatabase ? 'idle' : undefined },
    });
    const ctx = {
      db,
      databaseUrl: options.databaseUrl,
      clock: systemClock,
      random: Math.random,
      processorsAreBusy: sparing.areBusy,
      log,
    };
    while (!signal.aborted) {
      try {
        part = await start(ctx, config);
        break;
      } catch (error) {
        reason = error instanceof Error ? error.message : String(error);
        // Not the error itself: one about an address has that in a property, with its password.
        const stack = error instanceof Error ? error.stack : undefined;
        log.error({ reason, stack }, `the carrier cannot start ${name}; it tries again`);
        await wait(RETRY_PART_MS, undefined, { signal }).catch(() => undefined);
      }
    }
    if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve));
    await part?.close();
    await db.close();
  }

  return {
    run,
    report: () => {
      if (part) return { is: 'running', state: part.state() };
      return reason === undefined ? { is: 'starting' } : { is: 'failed', reason };
    },
  };
}

/** Undefined: it was stopped before its turn came. */
async function takeLock(): Promise<{ readonly close: () => Promise<void> } | undefined> {
  const session = await openSession({
    url: options.databaseUrl,
    applicationName: 'belfry carrier',
    log,
  });
  // Whoever has the lock now must not meet us.
  void session.ended.then(() => {
    if (!stopping.signal.aborted) process.exit(1);
  });
  while (!stopping.signal.aborted) {
    const [row] = await session.query<{ is_mine: boolean }>(
      'select pg_try_advisory_lock($1) as is_mine',
      [CARRIER_LOCK],
    );
    if (row?.is_mine) return session;
    await wait(LOCK_MS);
  }
  await session.close();
  return undefined;
}

function say(): void {
  const parts = Object.fromEntries(
    Object.entries(PARTS).flatMap(([name, part]) => (part ? [[name, part.report()]] : [])),
  );
  const message: FromCarrier = { type: 'state', parts };
  process.send?.(message, undefined, undefined, () => undefined);
}

const saying = setInterval(say, STATE_MS);
say();
const lock = await takeLock();
if (lock) {
  await Promise.all(Object.values(PARTS).map((part) => part?.run()));
  await lock.close();
}
clearInterval(saying);
await sparing.stop();
process.disconnect();
