import { setTimeout as wait } from 'node:timers/promises';
import type { Database } from '../db/database.ts';
import type { Part, PartContext } from '../lib/carrier-part.ts';
import type { BodiesConfig } from './config.ts';
import { ABANDONED_MS } from './expire.ts';
import { guardStore } from './guarded-store.ts';
import type { MoverState } from './mover-state.ts';
import { createMoverSteps } from './mover-steps.ts';
import { StoreError } from './object-store.ts';
import { openS3Store } from './s3-store.ts';

const LOOK_MS = 1_000;
const GIVE_BACK_MS = 2_000;
const ERASE_MS = 5_000;
const MEASURE_MS = 5_000;
const CLEAR_MS = 60_000;
const EXPIRE_MS = 3_600_000;
const TROUBLE_MS = 5_000;
/** What is measured rests so many times as long as it took. */
const MEASURE_REST = 20;
const CLOSE_MS = 4_000;

/** Brings packs to the object store, until it is closed; see README.md. */
export async function startMover(
  ctx: PartContext<Database>,
  config: BodiesConfig,
): Promise<Part<MoverState>> {
  const { clock, random, log } = ctx;
  const store = guardStore(await openS3Store(config), { nowMs: clock.now, random });
  const closing = new AbortController();
  const { signal } = closing;
  let rewriting: Promise<unknown> = Promise.resolve();
  const steps = createMoverSteps({ ...ctx, config, store, nowMs: clock.now, signal });
  const loops = Promise.all([
    every(LOOK_MS, carry),
    every(GIVE_BACK_MS, steps.giveBack),
    every(ERASE_MS, () => alone(eraseAll)),
    // A request of the mover before this one may still be under way.
    every(CLEAR_MS, steps.clear, ABANDONED_MS),
    every(EXPIRE_MS, () => alone(steps.expire), CLEAR_MS),
    measureNowAndThen(),
  ]);

  async function carry(): Promise<void> {
    while (!signal.aborted && (await steps.look()) === 'more') steps.startBatches();
    steps.startBatches();
  }

  async function eraseAll(): Promise<void> {
    while (!signal.aborted && (await steps.erase()) > 0);
  }

  /** What writes an object again and what deletes it take turns: else one that is deleted would come back. */
  function alone<Result>(work: () => Promise<Result>): Promise<Result> {
    const turn = rewriting.then(work);
    rewriting = turn.catch(() => undefined);
    return turn;
  }

  async function measureNowAndThen(): Promise<void> {
    while (!signal.aborted) {
      const startedMs = performance.now();
      await attempt(steps.measure);
      await rest(Math.max(MEASURE_MS, (performance.now() - startedMs) * MEASURE_REST));
    }
  }

  async function every(ms: number, work: () => Promise<unknown>, firstMs = 0): Promise<void> {
    await rest(firstMs);
    while (!signal.aborted) await rest((await attempt(work)) ? ms : Math.max(ms, TROUBLE_MS));
  }

  async function attempt(work: () => Promise<unknown>): Promise<boolean> {
    try {
      await work();
      return true;
    } catch (error) {
      // Whether the store is up its own state tells, but not that it refuses one thing of many.
      if (signal.aborted || (error instanceof StoreError && error.kind !== 'refused')) return false;
      log.warn({ err: error }, 'moving bodies failed; it will be tried again');
      return false;
    }
  }

  async function rest(ms: number): Promise<void> {
    await wait(ms, undefined, { signal }).catch(() => undefined);
  }

  return {
    state: steps.state,
    close: async () => {
      closing.abort();
      await Promise.race([Promise.all([loops, steps.settled()]), wait(CLOSE_MS)]);
      store.close();
    },
  };
}
