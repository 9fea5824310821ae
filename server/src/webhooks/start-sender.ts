import { performance } from 'node:perf_hooks';
import { createRest } from '../lib/rest.ts';
import { createSender, type SenderOptions, type SenderStats } from './sender.ts';
import { EVENTS_A_LOOK } from './targets.ts';

const NO_ENDPOINTS_MS = 1_000;
const IDLE_MS = 200;
const BUSY_MS = 50;
/**
 * Events of a look, by how busy this process was since the one before. An event costs it about half a millisecond, and
 * requests of the API come first: at the least, webhooks take about a tenth of it.
 */
const LIMITS = [
  { below: 0.4, events: EVENTS_A_LOOK },
  { below: 0.7, events: 24 },
  { below: Number.POSITIVE_INFINITY, events: 8 },
] as const;
const TROUBLE_MS = 250;
const LOG_EVERY = 40;
/** Answers that come within it are recorded; what comes later is asked again. */
const CLOSING_MS = 2_000;

export type RunningSender = {
  /** An endpoint changed, or something is replayed: look at once. */
  readonly wake: () => void;
  readonly stats: () => SenderStats;
  readonly close: () => Promise<void>;
};

/** How many events a look may take while the process is so busy, from 0 to 1. */
export function eventsOfLook(utilization: number): number {
  return LIMITS.find(({ below }) => utilization < below)?.events ?? 1;
}

/** Sends events to webhooks until it is closed. After any error it looks again at what the tables say. */
export function startSender(
  options: SenderOptions & {
    /** Only the owner of the database sends. */
    readonly isOwner: () => boolean;
  },
): RunningSender {
  const { log, requests, isOwner } = options;
  const sender = createSender(options);
  let closing = false;
  let troubles = 0;
  const { rest, wake } = createRest();
  let measured = performance.eventLoopUtilization();
  const running = run();

  async function run(): Promise<void> {
    while (!closing) {
      let restMs = NO_ENDPOINTS_MS;
      try {
        if (isOwner()) restMs = await round();
        troubles = 0;
      } catch (error) {
        restMs = TROUBLE_MS;
        troubles += 1;
        if (troubles % LOG_EVERY === 1) {
          log.warn(
            { err: error, troubles },
            'looking for events of webhooks failed; looking again',
          );
        }
      }
      await rest(restMs);
    }
  }

  async function round(): Promise<number> {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, measured);
    measured = now;
    const found = await sender.look(eventsOfLook(utilization));
    return { busy: BUSY_MS, idle: IDLE_MS, 'no endpoints': NO_ENDPOINTS_MS }[found];
  }

  return {
    wake: () => {
      sender.refresh();
      wake();
    },
    stats: sender.stats,
    close: async () => {
      closing = true;
      wake();
      await running;
      await Promise.race([
        sender.settled(),
        new Promise<void>((resolve) => setTimeout(resolve, CLOSING_MS).unref()),
      ]);
      sender.abandon();
      await requests.close();
      await sender.settled();
    },
  };
}
