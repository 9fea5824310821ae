import type { Database, Queryable } from '../db/database.ts';
import { sqlState } from '../db/database.ts';
import type { BulkStream } from '../engine/bulk-stream.ts';
import type { Clock } from '../lib/clock.ts';
import { BelfryError } from '../lib/errors.ts';
import type { Logger } from '../lib/log.ts';
import { createRest } from '../lib/rest.ts';
import {
  BROADCAST_COLUMNS,
  type Broadcast,
  type BroadcastState,
  moveBroadcast,
  UNFINISHED,
} from './broadcast.ts';
import { createFreezing, type Freezing } from './freeze.ts';
import { createFreezingTurns } from './freezing-turns.ts';
import { judgeCanary } from './judge-canary.ts';
import { sendParts } from './send-parts.ts';
import { settleParts } from './settle-parts.ts';
import { loadTrack, type Track } from './track.ts';

const BUSY_MS = 100;
const IDLE_MS = 1_000;
const TROUBLE_MS = 250;
const LOG_EVERY = 40;
/** Parts in the log, shared by all broadcasts; each has room for some. */
const ALL_PARTS = 400;
const LEAST_PARTS = 2;
/** Freezing shares the loop with sending: at most so long at a time. */
const FREEZE_MS = 50;
export const STUCK_MS = 60_000;
const STUCK_STATES: readonly BroadcastState[] = ['freezing', 'canary', 'running', 'cancelling'];

export type FeederOptions = {
  readonly db: Database;
  readonly clock: Clock;
  readonly log: Logger;
  /** Only the owner of the database sends. */
  readonly isOwner: () => boolean;
  readonly openStream: () => Promise<BulkStream>;
};

export type Feeder = {
  /** Something changed: look at once. */
  readonly wake: () => void;
  readonly stats: () => FeederStats;
  readonly close: () => Promise<void>;
};

export type FeederStats = {
  /** Broadcasts that are not over, the paused ones included. */
  readonly unfinished: number;
  readonly stuck: number;
};

/** Moves every broadcast on, until it is closed. After any error it begins anew with what the tables say. */
export function startFeeder(options: FeederOptions): Feeder {
  const { clock, log } = options;
  let stream: BulkStream | undefined;
  let broadcasts: readonly Broadcast[] = [];
  let tracks = new Map<number, Track>();
  let freezings = new Map<number, Freezing>();
  /** When something of a broadcast was frozen or done; outlives what is thrown away. */
  const progress = new Map<number, number>();
  const stuck = new Set<number>();
  const nextToFreeze = createFreezingTurns();
  let closing = false;
  const { rest, wake } = createRest();
  let troubles = 0;
  const running = run();

  async function run(): Promise<void> {
    while (!closing) {
      let restMs = IDLE_MS;
      try {
        if (options.isOwner()) restMs = await round();
        else await standBy();
        troubles = 0;
      } catch (error) {
        forget();
        await closeStream();
        restMs = TROUBLE_MS;
        troubles += 1;
        // Another feeder was quicker with a part: what is there is read anew.
        if (troubles % LOG_EVERY === 1 && sqlState(error) !== UNIQUE_VIOLATION) {
          log.warn({ err: error, troubles }, 'sending broadcasts failed; beginning anew');
        }
      }
      await rest(restMs);
    }
  }

  /** Returns how long to rest, in milliseconds. */
  async function round(): Promise<number> {
    broadcasts = await options.db.query<Broadcast>({
      name: 'unfinished_broadcasts',
      text: `select ${BROADCAST_COLUMNS}
       from broadcast b
       where ${UNFINISHED}
       order by b.id`,
    });
    for (const known of [...tracks.keys(), ...freezings.keys()]) {
      const now = broadcasts.find(({ id }) => id === known);
      if (!now) tracks.delete(known);
      if (now?.state !== 'freezing') freezings.delete(known);
    }
    const busy = broadcasts.filter(({ state }) => state !== 'paused');
    for (const broadcast of broadcasts) {
      if (tracks.has(broadcast.id)) continue;
      stream ??= await options.openStream();
      tracks.set(broadcast.id, await loadTrack(stream.session, broadcast, clock.now()));
    }
    if (stream) await settleParts(stream.session, tracks, clock.now());
    const parts = Math.max(LEAST_PARTS, Math.floor(ALL_PARTS / Math.max(1, busy.length)));
    let hurry = false;
    const freezing = nextToFreeze(busy);
    for (const broadcast of busy) {
      if (broadcast.state === 'freezing' && broadcast.id !== freezing) continue;
      const track = tracks.get(broadcast.id);
      if (track && (await move(broadcast, track, parts))) hurry = true;
    }
    alarm();
    if (broadcasts.length === 0) await closeStream();
    const isWaiting = [...tracks.values()].some(({ outstanding }) => outstanding.length > 0);
    if (hurry) return 0;
    return busy.length > 0 || isWaiting ? BUSY_MS : IDLE_MS;
  }

  /** True: there is more to do at once. */
  async function move(broadcast: Broadcast, track: Track, parts: number): Promise<boolean> {
    if (!stream) return false;
    const { id, state } = broadcast;
    const { session } = stream;
    const nowMs = clock.now();
    const isDone = track.outstanding.length === 0;
    switch (state) {
      case 'freezing':
        return await unlessRefused(session, broadcast, () => freeze(broadcast, track));
      case 'cancelling': {
        if (!isDone) return false;
        // A former owner may have appended parts that this one never read; now nobody can any more.
        const now = await loadTrack(session, broadcast, nowMs);
        tracks.set(id, now);
        if (now.outstanding.length > 0) return false;
        return await moveBroadcast(session, { id, from: state, to: 'cancelled', nowMs });
      }
      case 'canary':
        if (track.sent >= (broadcast.canary_size ?? 0)) {
          if (isDone) await judgeCanary(session, log, broadcast, track, nowMs);
          return false;
        }
        return await send(stream, broadcast, track, parts);
      case 'running':
        if (track.sent < (broadcast.total ?? 0)) return await send(stream, broadcast, track, parts);
        if (isDone) await moveBroadcast(session, { id, from: state, to: 'finished', nowMs });
        return false;
      case 'paused':
      case 'cancelled':
      case 'finished':
        return false;
    }
  }

  async function send(
    open: BulkStream,
    broadcast: Broadcast,
    track: Track,
    parts: number,
  ): Promise<boolean> {
    const around = { nowMs: clock.now(), parts: parts - track.outstanding.length };
    if (around.parts <= 0) return false;
    return await unlessRefused(open.session, broadcast, () =>
      sendParts(open, broadcast, track, around),
    );
  }

  /** What cannot be done however often it is tried pauses this broadcast, so that the others go on. */
  async function unlessRefused(
    session: Queryable,
    broadcast: Broadcast,
    task: () => Promise<boolean>,
  ): Promise<boolean> {
    try {
      return await task();
    } catch (error) {
      if (!isRefusal(error)) throw error;
      const { id, state, public_id } = broadcast;
      log.error({ err: error, broadcast: public_id }, 'a broadcast was refused; it is paused');
      freezings.delete(id);
      const reason = refusalText(error);
      await moveBroadcast(session, { id, from: state, to: 'paused', nowMs: clock.now(), reason });
      return false;
    }
  }

  async function freeze(broadcast: Broadcast, track: Track): Promise<boolean> {
    let freezing = freezings.get(broadcast.id);
    if (!freezing) {
      freezing = createFreezing(options, broadcast);
      freezings.set(broadcast.id, freezing);
    }
    const startedMs = performance.now();
    while (performance.now() - startedMs < FREEZE_MS) {
      const more = await freezing.step();
      track.progressMs = clock.now();
      if (!more) {
        freezings.delete(broadcast.id);
        return true;
      }
    }
    return true;
  }

  function alarm(): void {
    for (const [id, { progressMs }] of tracks) progress.set(id, progressMs);
    const now = stuckOnes();
    for (const broadcast of now) {
      if (stuck.has(broadcast.id)) continue;
      log.error(
        { broadcast: broadcast.public_id, state: broadcast.state },
        'a broadcast is stuck: nothing was done for a minute',
      );
    }
    stuck.clear();
    for (const { id } of now) stuck.add(id);
    for (const id of progress.keys()) if (!tracks.has(id)) progress.delete(id);
  }

  function stuckOnes(): Broadcast[] {
    const nowMs = clock.now();
    return broadcasts.filter(({ id, state, changed_at }) => {
      const progressMs = Math.max(progress.get(id) ?? nowMs, changed_at.getTime());
      return STUCK_STATES.includes(state) && nowMs - progressMs > STUCK_MS;
    });
  }

  function forget(): void {
    tracks = new Map();
    freezings = new Map();
  }

  async function standBy(): Promise<void> {
    forget();
    broadcasts = [];
    await closeStream();
  }

  async function closeStream(): Promise<void> {
    const old = stream;
    stream = undefined;
    await old?.close().catch(() => undefined);
  }

  return {
    wake,
    stats: () => ({ unfinished: broadcasts.length, stuck: stuckOnes().length }),
    close: async () => {
      closing = true;
      wake();
      await running;
      await closeStream();
    },
  };
}

const UNIQUE_VIOLATION = '23505';

/**
 * Errors in the data (SQLSTATE class 22) or past a limit of PostgreSQL (54), and an audience that nobody can
 * read: trying again cannot help.
 */
function isRefusal(error: unknown): error is Error {
  if (error instanceof BelfryError) return true;
  const state = sqlState(error);
  return state !== undefined && (state.startsWith('22') || state.startsWith('54'));
}

function refusalText(error: Error): string {
  return error instanceof BelfryError ? error.message : `The database refused it: ${error.message}`;
}
