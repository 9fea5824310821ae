import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expectFreePort } from './api/listen.ts';
import type { PartState } from './api/services.ts';
import { type DiskRoom, watchDisk } from './budgets/disk-room.ts';
import type { Config } from './config.ts';
import { type EmbeddedPostgres, startEmbeddedPostgres } from './db/embedded.ts';
import type { Logger } from './lib/log.ts';

/** More after each failure, up to the most. */
const RESTART_DATABASE_MS = 200;
const MOST_RESTART_MS = 5_000;
const MIB = 1024 ** 2;

export type OwnDatabase = {
  readonly url: string;
  /** Undefined where it is on somebody else's machine. */
  readonly disk: DiskRoom | undefined;
  /** For `/readyz`. */
  readonly state: () => Record<string, PartState>;
  readonly pid: () => number | undefined;
};

/** The database by URL, or the embedded one, which is started again should it end. */
export async function openOwnDatabase(
  config: Config,
  log: Logger,
  closers: (() => Promise<void>)[],
): Promise<OwnDatabase> {
  if (config.databaseUrl !== undefined) {
    return { url: config.databaseUrl, disk: undefined, state: () => ({}), pid: () => undefined };
  }
  // Nothing is made for a server that could not listen afterwards.
  if (!existsSync(join(config.dataDir, 'postgres'))) await expectFreePort(config);
  let stopping = false;
  let postgres: EmbeddedPostgres | undefined;
  const start = async (): Promise<EmbeddedPostgres> => {
    postgres = await startEmbeddedPostgres({ dataDir: config.dataDir, log, onExit: restart });
    return postgres;
  };
  const restart = async (reason: string): Promise<void> => {
    postgres = undefined;
    for (let failed = 0; !stopping && !postgres; ) {
      log.error({ reason }, 'the embedded database ended; starting it again');
      await start().catch((error) => log.error({ err: error }, 'the database does not start'));
      if (postgres) return;
      // On a full disk each attempt, which is logged, would take some of what there is.
      failed += 1;
      const restMs = Math.min(failed * RESTART_DATABASE_MS, MOST_RESTART_MS);
      await new Promise((resolve) => setTimeout(resolve, restMs));
    }
  };
  const { url } = await start();
  closers.push(async () => {
    stopping = true;
    await postgres?.stop();
  });
  const disk = await watchDisk({
    directory: join(config.dataDir, 'postgres'),
    floorBytes: config.diskFloorBytes,
    log,
  });
  closers.push(async () => disk.close());
  return {
    url,
    disk,
    pid: () => postgres?.pid,
    state: () => ({
      database: postgres
        ? { state: 'up' }
        : { state: 'down', reason: 'it ended and is being started' },
      disk: diskState(disk),
    }),
  };
}

function diskState(disk: DiskRoom): PartState {
  const state = disk.state();
  if (!state || !disk.isLow()) return { state: 'up' };
  const megabytes = (bytes: number): number => Math.floor(bytes / MIB);
  const waiting = disk.isOut() ? ', and what was accepted waits' : '';
  return {
    state: 'down',
    reason: `${megabytes(state.freeBytes)} MB are free, less than ${megabytes(state.floorBytes)}: nothing is accepted${waiting}; make room`,
  };
}
