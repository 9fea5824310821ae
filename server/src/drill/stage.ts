import { pino } from 'pino';
import { createPriority } from '../lib/priority.ts';
import { assembleCast, type Cast } from './cast.ts';
import type { Caller } from './load/protocol.ts';
import { type LoadGenerator, startLoad } from './load-generator.ts';
import { type Metronome, startMetronome } from './metronome.ts';
import { createOperator, type Operator } from './operator.ts';
import type { Plan } from './plan.ts';
import { type ScratchServer, startScratchServer } from './scratch-server.ts';
import { openStores, type StoreOptions, type Stores } from './stores.ts';
import type { Timeline } from './timeline.ts';
import { poll, waitMs } from './wall-clock.ts';

/** A neighbour's trigger is always sent, however long the server is silent. */
const QUIET = { connections: 256, maxUnderWay: 1_000_000 } as const;
const FLOOD = { connections: 256, maxUnderWay: 1_024 } as const;
const DRAIN_POLL_MS = 250;

/** Everything that a drill needs: the server, the accounts, and who plays them. */
export type Stage = {
  readonly plan: Plan;
  readonly server: ScratchServer;
  readonly operator: Operator;
  readonly cast: Cast;
  /** Plays the quiet accounts and watches their feeds. */
  readonly quiet: LoadGenerator;
  /** Plays the culprit. */
  readonly flood: LoadGenerator;
  /** Plays the neighbours who send e-mails. */
  readonly mails: LoadGenerator | undefined;
  /** Undefined: the server has its database alone. */
  readonly stores: Stores | undefined;
  readonly timeline: Timeline;
  readonly metronome: Metronome;
  readonly destroy: () => Promise<void>;
};

export async function setStage(
  plan: Plan,
  env: Readonly<Record<string, string | undefined>>,
  timeline: Timeline,
  storeOptions?: StoreOptions,
): Promise<Stage> {
  const stores = storeOptions && (await openStores(storeOptions, plan, timeline));
  const server = await startScratchServer(env, {
    own: stores?.env ?? {},
    disk: stores?.disk?.path,
  }).catch(async (error) => {
    await stores?.end();
    throw error;
  });
  const metronome = startMetronome();
  const players: { readonly end: () => void }[] = [metronome];
  const destroy = async (): Promise<void> => {
    for (const player of players) player.end();
    await server.destroy();
    await stores?.end();
  };
  try {
    const cast = await assembleCast(server, {
      ...plan,
      mailers: stores?.objectStore ? plan.mailers : 0,
    });
    const quiet = await startLoad({
      url: server.url,
      callers: cast.quiet,
      careful: true,
      ...QUIET,
    });
    players.push(quiet);
    const flood = await startFlood(server, cast.culprit);
    players.push(flood);
    const mails = cast.mailers.length > 0 ? await startMails(server, cast.mailers) : undefined;
    if (mails) players.push(mails);
    return {
      ...{ plan, server, cast, quiet, flood, mails, stores, timeline, metronome, destroy },
      operator: createOperator(server),
    };
  } catch (error) {
    await destroy();
    throw error;
  }
}

/**
 * The culprit's machines are not the server's: what they compute to send so much costs the server nothing in
 * earnest. Here both share the processors, so the server comes first.
 */
export async function startFlood(
  server: Pick<ScratchServer, 'url'>,
  culprit: Caller,
): Promise<LoadGenerator> {
  const flood = await startLoad({
    url: server.url,
    callers: [culprit],
    careful: false,
    ...FLOOD,
  });
  const priority = createPriority('idle', pino({ level: 'silent' }));
  if (flood.pid !== undefined) await priority.lower(flood.pid);
  return flood;
}

function startMails(server: ScratchServer, mailers: readonly Caller[]): Promise<LoadGenerator> {
  return startLoad({
    url: server.url,
    callers: mailers,
    careful: true,
    feeds: false,
    ...QUIET,
  });
}

/** Resolves when nothing waits and nothing is under way; false when that takes too long. */
export async function drained(server: ScratchServer, seconds: number): Promise<boolean> {
  let calm = 0;
  const done = await poll(
    async () => {
      const waiting =
        (await server.metric('belfry_runs_queued')) + (await server.metric('belfry_assignments'));
      calm = waiting === 0 ? calm + 1 : 0;
      // Once more: between a commit and its report nothing is counted.
      return calm > 2 ? true : undefined;
    },
    { everyMs: DRAIN_POLL_MS, timeoutMs: seconds * 1_000 },
  );
  // The last messages ring.
  await waitMs(1_000);
  return done === true;
}
