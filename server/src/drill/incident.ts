import { broadcastState } from './broadcast.ts';
import { beginFlood, nameCulprit, neighbours, PHASES } from './flood.ts';
import { type FullDisk, fillUpDisk } from './full-disk.ts';
import { type Governed, govern } from './govern.ts';
import type { LoadSummary } from './load/protocol.ts';
import { isReady, unreadyParts } from './readiness.ts';
import type { Stage } from './stage.ts';
import { playStoreFaults, type StoreFaults } from './store-faults.ts';
import { poll, waitMs, wallClockMs } from './wall-clock.ts';

/** Into a phase before something breaks. */
const BEFORE_MS = 1_500;
const NOTICED_WITHIN_MS = 1_000;
const READY_EVERY_MS = 20;
const READY_WITHIN_MS = 60_000;

export type Incident = {
  readonly culpritNamedSeconds: number | undefined;
  /** When each flood began and ended, milliseconds since 1970. */
  readonly few: LoadSummary;
  readonly many: LoadSummary;
  /** Until its key was revoked, and a little longer. */
  readonly again: LoadSummary;
  /** From the signal until `/readyz` answers 200 again. */
  readonly executorBackSeconds: number | undefined;
  readonly databaseBackSeconds: number | undefined;
  readonly governed: Governed;
  /** Undefined: no disk was filled up. */
  readonly fullDisk: FullDisk | undefined;
  readonly storeFaults: StoreFaults;
};

/**
 * One account floods in both shapes; an executor is killed and the database crashes while it does; then the
 * operator acts. The neighbours go on all the time.
 */
export async function incident(stage: Stage): Promise<Incident> {
  const { plan, timeline, operator } = stage;
  const { seconds } = plan;
  const startedMs = wallClockMs();
  timeline.floodBegins(startedMs);
  const faults = playStoreFaults(stage, seconds.few + seconds.many);
  // Its failure is that of whoever waits for it.
  faults.catch(() => {});
  let endFlood = beginFlood(stage, PHASES.few, plan.few);
  timeline.note(
    `the flood begins: ${stage.cast.culprit.account} sends ${plan.few.perSecond} triggers/s of ${plan.few.runs} recipients`,
  );
  const naming = nameCulprit(stage, startedMs).then((named) => {
    timeline.note(
      named ? 'the culprit is named' : 'the culprit is not named',
      named?.sentence ?? (named === undefined ? 'no surge in belfry top' : ''),
    );
    return named;
  });
  await neighbours(stage, PHASES.few, seconds.few);
  timeline.note('the flood goes on', await backlog(stage));
  const few = await endFlood();

  endFlood = beginFlood(stage, PHASES.many, { ...plan.many, runs: 1 });
  timeline.note(
    `the flood changes its shape: up to ${plan.many.perSecond} single triggers a second`,
    await operator.traffic(),
  );
  await neighbours(stage, PHASES.many, seconds.many);
  const many = await endFlood();

  endFlood = beginFlood(stage, PHASES.again, plan.few);
  timeline.note(PHASES.again, await backlog(stage));
  const storeFaults = await faults;
  const fullDisk = await fillUpDisk(stage);
  const executorBackSeconds = await breakSomething(
    stage,
    PHASES.executorKilled,
    seconds.executorKilled,
    async () => `executor process ${await stage.server.killExecutor()} is killed (SIGKILL)`,
  );
  const databaseBackSeconds = await breakSomething(
    stage,
    PHASES.databaseRestarted,
    seconds.databaseRestarted,
    async () => {
      await stage.server.crashDatabase();
      return 'the database is stopped at once, without a checkpoint';
    },
  );
  const quiet = neighbours(stage, PHASES.operator, seconds.held + 4);
  const governed = await govern(stage);
  const again = await endFlood();
  await quiet;
  const named = await naming;
  return {
    culpritNamedSeconds: named?.seconds,
    ...{ few, many, again, executorBackSeconds, databaseBackSeconds, governed },
    ...{ fullDisk, storeFaults },
  };
}

/** Breaks it while the neighbours go on; returns the seconds until the server says that it is ready. */
async function breakSomething(
  stage: Stage,
  phase: string,
  seconds: number,
  doBreak: () => Promise<string>,
): Promise<number | undefined> {
  const { timeline } = stage;
  const quiet = neighbours(stage, phase, seconds);
  await waitMs(BEFORE_MS);
  const brokenMs = wallClockMs();
  timeline.note(await doBreak(), await backlog(stage));
  const unready = await poll(() => unreadyParts(stage), {
    everyMs: READY_EVERY_MS,
    timeoutMs: NOTICED_WITHIN_MS,
  });
  if (unready !== undefined) timeline.note('the server notices', unready);
  const back = await poll(async () => ((await isReady(stage)) ? wallClockMs() : undefined), {
    everyMs: READY_EVERY_MS,
    timeoutMs: READY_WITHIN_MS,
  });
  const backSeconds = back === undefined ? undefined : (back - brokenMs) / 1_000;
  timeline.note(
    backSeconds === undefined
      ? 'it did not come back'
      : `all is up again after ${backSeconds.toFixed(1)} s, nobody did anything`,
    await broadcastState(stage).catch(String),
  );
  await quiet;
  return backSeconds;
}

async function backlog(stage: Stage): Promise<string> {
  const queued = await stage.server.metric('belfry_runs_queued');
  return `${await stage.operator.traffic()}; ${queued.toLocaleString('en')} runs queued`;
}
