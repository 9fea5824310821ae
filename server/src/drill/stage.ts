import { type Actor, assembleCast, type Cast } from './cast.ts';
import { type LoadGenerator, startLoad } from './load-generator.ts';
import { createOperator, type Operator } from './operator.ts';
import type { Plan } from './plan.ts';
import { type ScratchServer, startScratchServer } from './scratch-server.ts';
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
  readonly timeline: Timeline;
  readonly destroy: () => Promise<void>;
};

export async function setStage(
  plan: Plan,
  env: Readonly<Record<string, string | undefined>>,
  timeline: Timeline,
): Promise<Stage> {
  const server = await startScratchServer(env);
  const generators: LoadGenerator[] = [];
  const destroy = async (): Promise<void> => {
    for (const generator of generators) generator.end();
    await server.destroy();
  };
  try {
    const cast = await assembleCast(server, plan);
    const quiet = await startLoad({
      url: server.url,
      callers: cast.quiet,
      careful: true,
      ...QUIET,
    });
    generators.push(quiet);
    const flood = await startFlood(server, cast.culprit);
    generators.push(flood);
    return {
      ...{ plan, server, cast, quiet, flood, timeline, destroy },
      operator: createOperator(server),
    };
  } catch (error) {
    await destroy();
    throw error;
  }
}

export function startFlood(server: ScratchServer, culprit: Actor): Promise<LoadGenerator> {
  return startLoad({
    url: server.url,
    callers: [culprit],
    careful: false,
    ...FLOOD,
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
