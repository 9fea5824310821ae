/** Does one thing to a database in a process of its own, and prints what came of it: `URL VERB`. */
import { openDatabase } from '../../src/db/database.ts';
import { createLedger } from '../../src/engine/ledger/ledger.ts';
import { truncateSlot } from '../../src/engine/log/maintain.ts';
import { FIRST_TIMER_SLOT } from '../../src/engine/log/slots.ts';
import { lowestUuidAt } from '../../src/lib/address.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { enforceRetention } from '../../src/retention/enforce.ts';
import { silentLog } from './log.ts';

/** Late enough for the ledger to settle the minute that is now. */
const LATER_MS = 300_000;

const [url = '', verb] = process.argv.slice(2);
const db = openDatabase({ url, max: 2, applicationName: 'test tool', log: silentLog });

async function run(): Promise<unknown> {
  if (verb === 'truncate') {
    let truncated = 0;
    for (let slot = 0; slot < FIRST_TIMER_SLOT; slot++) {
      if (await truncateSlot(db, slot)) truncated += 1;
    }
    return { truncated };
  }
  if (verb === 'retention') {
    await db.query(
      `create table if not exists message_2020_01 partition of message
       for values from ('${lowestUuidAt(Date.UTC(2020, 0))}') to ('${lowestUuidAt(Date.UTC(2020, 1))}')`,
    );
    const days = { logs: undefined, messages: 400, apiLogs: undefined, audit: undefined };
    const nowMs = systemClock.now();
    return await enforceRetention({ db, log: silentLog, nowMs, days, retryMs: 100 });
  }
  const clock = { ...systemClock, now: () => systemClock.now() + LATER_MS };
  return await createLedger({ db, clock, log: silentLog }).check();
}

console.log(JSON.stringify(await run()));
await db.close();
