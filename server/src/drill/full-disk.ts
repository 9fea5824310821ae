import { neighbours, PHASES } from './flood.ts';
import { isReady, unreadyParts } from './readiness.ts';
import type { Stage } from './stage.ts';
import { poll, waitMs, wallClockMs } from './wall-clock.ts';

const FILLED = 0.98;
/** Before, and after there is room again. */
const AROUND_MS = 1_000;
const LOOK_EVERY_MS = 50;
const READY_WITHIN_MS = 60_000;

export type FullDisk = {
  /** From when there was room again until `/readyz` answered 200; undefined: it did not. */
  readonly acceptingAgainSeconds: number | undefined;
};

/** Fills up the database's disk while everybody goes on, and makes room again. Undefined without such a disk. */
export async function fillUpDisk(stage: Stage): Promise<FullDisk | undefined> {
  const { stores, timeline, plan } = stage;
  const disk = stores?.disk;
  if (!disk) return undefined;
  const { diskFull } = plan.seconds;
  const quiet = neighbours(stage, PHASES.diskFull, diskFull + (3 * AROUND_MS) / 1_000);
  await waitMs(AROUND_MS);
  const leftMegabytes = await disk.fill(FILLED);
  timeline.note(
    `the database's disk is filled up to 98 %: ${leftMegabytes.toLocaleString('en')} MB are left`,
    await stage.operator.traffic(),
  );
  const fullMs = wallClockMs();
  const unready = await poll(() => unreadyParts(stage), {
    everyMs: LOOK_EVERY_MS,
    timeoutMs: diskFull * 1_000,
  });
  timeline.note(
    unready === undefined
      ? 'it is still enough: everything is accepted'
      : 'nothing new is accepted, what was accepted goes on',
    unready,
  );
  await waitMs(Math.max(0, diskFull * 1_000 - (wallClockMs() - fullMs)));
  await disk.empty();
  const emptiedMs = wallClockMs();
  const back = await poll(async () => ((await isReady(stage)) ? wallClockMs() : undefined), {
    everyMs: LOOK_EVERY_MS,
    timeoutMs: READY_WITHIN_MS,
  });
  const acceptingAgainSeconds = back === undefined ? undefined : (back - emptiedMs) / 1_000;
  timeline.note(
    acceptingAgainSeconds === undefined
      ? 'there is room again, and nothing is accepted'
      : `there is room again; everything is accepted after ${acceptingAgainSeconds.toFixed(1)} s`,
    await stage.operator.traffic(),
  );
  await quiet;
  return { acceptingAgainSeconds };
}
