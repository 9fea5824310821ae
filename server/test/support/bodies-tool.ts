/** A mover in a process of its own: does all there is to do at a time that its argument says, and prints its state. */
import type { BodiesConfig } from '../../src/bodies/config.ts';
import { guardStore } from '../../src/bodies/guarded-store.ts';
import { createMoverSteps } from '../../src/bodies/mover-steps.ts';
import { openS3Store } from '../../src/bodies/s3-store.ts';
import { openDatabase } from '../../src/db/database.ts';
import { silentLog } from './log.ts';

const ROUNDS = 10;

const { url, config, nowMs } = JSON.parse(process.argv[2] ?? '') as {
  readonly url: string;
  readonly config: BodiesConfig;
  readonly nowMs: number;
};
const db = openDatabase({ url, max: 2, applicationName: 'test mover', log: silentLog });
const store = guardStore(await openS3Store(config), { nowMs: Date.now, random: Math.random });
const steps = createMoverSteps({
  ...{ db, store, config, random: Math.random, log: silentLog },
  nowMs: () => nowMs,
  signal: new AbortController().signal,
});
await steps.clear();
await steps.expire();
for (let round = 0; round < ROUNDS; round++) {
  await steps.look();
  steps.startBatches();
  await steps.settled();
  await steps.erase();
  await steps.giveBack();
}
await steps.measure();
console.log(JSON.stringify(steps.state()));
store.close();
await db.close();
