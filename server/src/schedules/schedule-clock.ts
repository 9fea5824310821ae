import type { Database } from '../db/database.ts';
import type { BulkStream } from '../engine/bulk-stream.ts';
import type { Clock } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';
import { createRest } from '../lib/rest.ts';
import { nextWakeMs, type Pass, readDue } from './due-schedules.ts';
import { fireOrPassOver } from './fire-schedules.ts';

const LOOK_MS = 1_000;
const TROUBLE_MS = 250;
const LOG_EVERY = 40;
/** A stream is a session of the database: it is given back when nothing was due for so long. */
const KEEP_STREAM_MS = 60_000;
/** What was created or woken behind a pass is found when it begins anew. */
const PASS_MS = 10_000;

export type ScheduleClockOptions = {
  readonly db: Database;
  readonly clock: Clock;
  readonly log: Logger;
  /** Only the owner of the database fires. */
  readonly isOwner: () => boolean;
  readonly openStream: () => Promise<BulkStream>;
};

export type ScheduleClock = {
  /** Something changed: look at once. */
  readonly wake: () => void;
  readonly stats: () => ScheduleClockStats;
  readonly close: () => Promise<void>;
};

export type ScheduleClockStats = {
  /** How far the oldest occurrence that is due and not handed over is behind, in milliseconds. */
  readonly latenessMs: number;
};

/** Fires what is due until it is closed. After any error it begins anew with what the table says. */
export function startScheduleClock(options: ScheduleClockOptions): ScheduleClock {
  const { db, clock, log } = options;
  let stream: BulkStream | undefined;
  let lastDueMs = 0;
  let pass: Pass | undefined;
  let latenessMs = 0;
  let troubles = 0;
  let closing = false;
  const { rest, wake } = createRest();
  const running = run();

  async function run(): Promise<void> {
    while (!closing) {
      let restMs = LOOK_MS;
      try {
        if (options.isOwner()) restMs = await round();
        else await closeStream();
        troubles = 0;
      } catch (error) {
        await closeStream();
        pass = undefined;
        restMs = TROUBLE_MS;
        troubles += 1;
        if (troubles % LOG_EVERY === 1) {
          log.warn({ err: error, troubles }, 'firing schedules failed; beginning anew');
        }
      }
      await rest(restMs);
    }
  }

  /** Returns how long to rest, in milliseconds. */
  async function round(): Promise<number> {
    const nowMs = clock.now();
    if (pass && nowMs - pass.startedMs > PASS_MS) pass = undefined;
    if (!pass) {
      const wakeMs = await nextWakeMs(db);
      latenessMs = lateness(nowMs, wakeMs);
      if (wakeMs === undefined || wakeMs > nowMs) {
        if (nowMs - lastDueMs > KEEP_STREAM_MS) await closeStream();
        return Math.min(LOOK_MS, Math.max(1, (wakeMs ?? nowMs + LOOK_MS) - nowMs));
      }
    }
    lastDueMs = nowMs;
    stream ??= await options.openStream();
    const page = await readDue(stream.session, nowMs, pass);
    const { schedules } = page;
    if (schedules.length > 0) {
      latenessMs = Math.max(
        ...schedules.map(({ wake_at: wakeAt }) => lateness(nowMs, wakeAt.getTime())),
      );
      if (!(await fireOrPassOver(stream, schedules, { nowMs, log }))) return 0;
    }
    pass = page.pass;
    return 0;
  }

  async function closeStream(): Promise<void> {
    const old = stream;
    stream = undefined;
    await old?.close().catch(() => undefined);
  }

  return {
    wake,
    stats: () => ({ latenessMs }),
    close: async () => {
      closing = true;
      wake();
      await running;
      await closeStream();
    },
  };
}

/** Those that are woken for another reason than their time have that of 1970. */
function lateness(nowMs: number, wakeMs: number | undefined): number {
  return wakeMs === undefined || wakeMs === 0 ? 0 : Math.max(0, nowMs - wakeMs);
}
