import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Logger } from '../lib/log.ts';
import { NODE_FLAGS } from '../lib/node-flags.ts';
import { createPriority } from '../lib/priority.ts';
import type { CarrierOptions, CarrierParts, FromCarrier, ToCarrier } from './protocol.ts';

const ENTRY = fileURLToPath(new URL('./main.ts', import.meta.url));
const FIRST_RESTART_MS = 1_000;
const MAX_RESTART_MS = 60_000;
/** One that lived for so long did not die of its start. */
const SETTLED_MS = 60_000;
const LOOK_MS = 1_000;
/** One that says nothing for so long hangs. It runs while nobody else wants a processor: a busy machine may keep it waiting. */
const SILENT_MS = 300_000;
const STOP_MS = 10_000;
/** What it said is about now. */
const FRESH_MS = 10_000;

export type CarrierReport = {
  /** `none`: this server does not own the database. */
  readonly is: 'none' | 'starting' | 'running' | 'restarting' | 'silent';
  readonly restarts: number;
  /** What its parts said last, and when, in ms since 1970. */
  readonly parts: CarrierParts;
  readonly saidAtMs: number | undefined;
};

export type Carrier = {
  readonly report: () => CarrierReport;
  readonly processId: () => number | undefined;
  /** Lets it finish what is under way, for 10 s at the most. */
  readonly stop: () => Promise<void>;
};

/** Keeps a carrier process alive while this server owns the database. */
export function startCarrier(options: {
  readonly carrier: CarrierOptions;
  readonly isOwner: () => boolean;
  readonly log: Logger;
}): Carrier {
  const { log, isOwner } = options;
  const priority = createPriority('idle', log);
  let child: ChildProcess | undefined;
  let ending: Promise<void> | undefined;
  let parts: CarrierParts = {};
  let saidAtMs: number | undefined;
  let heardAtMs = 0;
  let startedAtMs = 0;
  let startAtMs = 0;
  let restartMs = FIRST_RESTART_MS;
  let restarts = 0;
  let stopping = false;
  const looking = setInterval(look, LOOK_MS);
  look();

  function look(): void {
    const nowMs = Date.now();
    if (child) {
      if (!isOwner()) ending ??= end(child);
      else if (nowMs - heardAtMs > SILENT_MS) {
        log.error(`the carrier is silent for ${SILENT_MS / 1_000} s; killing it`);
        child.kill('SIGKILL');
      }
    } else if (!stopping && isOwner() && nowMs >= startAtMs) start(nowMs);
  }

  function start(nowMs: number): void {
    ending = undefined;
    startedAtMs = nowMs;
    heardAtMs = nowMs;
    saidAtMs = undefined;
    const own = fork(ENTRY, [], {
      execArgv: [...process.execArgv, ...NODE_FLAGS],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      // A session of its own, which Linux may give a priority of its own.
      detached: true,
    });
    child = own;
    if (own.pid !== undefined) void priority.lower(own.pid);
    post(own, { type: 'start', options: options.carrier });
    own.on('message', (message: FromCarrier) => {
      heardAtMs = Date.now();
      saidAtMs = heardAtMs;
      parts = message.parts;
    });
    own.on('error', (error) => log.error({ err: error }, 'carrier error'));
    const onEnd = (code: number | null, signal: NodeJS.Signals | null): void => {
      if (child !== own) return;
      child = undefined;
      if (stopping || !isOwner()) return;
      const endedAtMs = Date.now();
      restartMs =
        endedAtMs - startedAtMs > SETTLED_MS
          ? FIRST_RESTART_MS
          : Math.min(MAX_RESTART_MS, restartMs * 2);
      startAtMs = endedAtMs + restartMs;
      restarts += 1;
      log.error({ code, signal, delayMs: restartMs }, 'the carrier died; starting another');
    };
    own.once('exit', onEnd);
    // A process that could not be started says nothing else.
    own.once('error', () => {
      if (own.pid === undefined) onEnd(null, null);
    });
  }

  function is(): CarrierReport['is'] {
    if (!isOwner()) return 'none';
    if (!child) return restarts > 0 ? 'restarting' : 'starting';
    if (saidAtMs === undefined) return 'starting';
    return Date.now() - saidAtMs > FRESH_MS ? 'silent' : 'running';
  }

  return {
    report: () => ({ is: is(), restarts, parts, saidAtMs }),
    processId: () => child?.pid,
    stop: async () => {
      stopping = true;
      clearInterval(looking);
      if (child) await (ending ?? end(child));
    },
  };
}

const post = (child: ChildProcess, message: ToCarrier): void => {
  if (child.connected) child.send(message, () => undefined);
};

/** What it leaves undone is done by the next one. */
function end(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) {
      resolve();
      return;
    }
    const impatience = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
    child.once('exit', () => {
      clearTimeout(impatience);
      resolve();
    });
    post(child, { type: 'stop' });
  });
}
