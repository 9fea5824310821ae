import type { DiskSize } from './scratch-disk.ts';

/** How much of what, for how long. Seconds, and triggers or runs a second. */
export type Plan = {
  readonly quietAccounts: number;
  /** Triggers a second of all quiet accounts together, one recipient each. */
  readonly quietPerSecond: number;
  readonly culpritUsers: number;
  /** Neighbours whose e-mails' bodies go to the object store; only with one. */
  readonly mailers: number;
  /** Of all of them together. */
  readonly mailsPerSecond: number;
  /** The file system that is made to be filled up. */
  readonly disk: DiskSize;
  /** The neighbour's broadcast, paced so that it lasts from the beginning of calm to the end of the flood. */
  readonly broadcastPerSecond: number;
  readonly audience: number;
  /** The flood in few large triggers. */
  readonly few: { readonly perSecond: number; readonly runs: number };
  /** The flood in many triggers of one recipient. */
  readonly many: { readonly perSecond: number };
  /** The flood while the neighbours are idle: more than can be done. */
  readonly alone: { readonly perSecond: number; readonly runs: number };
  readonly seconds: {
    readonly warmUp: number;
    readonly calm: number;
    readonly few: number;
    readonly many: number;
    readonly executorKilled: number;
    readonly databaseRestarted: number;
    /** With a disk that can be filled up. */
    readonly diskFull: number;
    /** The operator looks at what is held before discarding it. */
    readonly held: number;
    readonly alone: number;
  };
  /** How long the backlog may take to be done. */
  readonly drainSeconds: number;
};

/** How long a drill takes unless told: each account then has 100 triggers in calm and in both floods, of which there is a p99. */
export const USUAL_MINUTES = 16;

/** The share of the time that each phase gets; the rest is for the backlog and for counting. */
const SHARES = {
  warmUp: 0.05,
  calm: 0.22,
  few: 0.21,
  many: 0.21,
  executorKilled: 0.04,
  databaseRestarted: 0.06,
  held: 0.02,
  alone: 0.04,
} as const;

const BROADCAST_SHARE =
  SHARES.calm + SHARES.few + SHARES.many + SHARES.executorKilled + SHARES.databaseRestarted;
const BROADCAST_PER_SECOND = 200;

/**
 * The incident's size: 200 quiet accounts at 100 triggers a second; one account at 25,000 runs a second,
 * and with single triggers at 75 times what all others send.
 */
export function incidentPlan(minutes: number): Plan {
  const seconds = (share: number): number => Math.max(5, Math.round(share * minutes * 60));
  return {
    quietAccounts: 200,
    quietPerSecond: 100,
    culpritUsers: 20_000,
    mailers: 20,
    mailsPerSecond: 40,
    disk: { megabytes: 20_000, isWritten: true },
    broadcastPerSecond: BROADCAST_PER_SECOND,
    audience: BROADCAST_PER_SECOND * seconds(BROADCAST_SHARE),
    few: { perSecond: 25, runs: 1_000 },
    many: { perSecond: 7_500 },
    alone: { perSecond: 60, runs: 1_000 },
    seconds: {
      warmUp: Math.max(15, seconds(SHARES.warmUp)),
      calm: seconds(SHARES.calm),
      few: seconds(SHARES.few),
      many: seconds(SHARES.many),
      executorKilled: Math.max(8, seconds(SHARES.executorKilled)),
      databaseRestarted: Math.max(12, seconds(SHARES.databaseRestarted)),
      diskFull: 15,
      held: seconds(SHARES.held),
      alone: Math.max(10, seconds(SHARES.alone)),
    },
    drainSeconds: 600,
  };
}

/** The same in small and short: everything happens, and the figures of speed say nothing. */
export const rehearsalPlan: Plan = {
  quietAccounts: 12,
  quietPerSecond: 12,
  culpritUsers: 500,
  mailers: 3,
  mailsPerSecond: 6,
  disk: { megabytes: 3_000, isWritten: false },
  broadcastPerSecond: 100,
  audience: 1_500,
  few: { perSecond: 10, runs: 200 },
  many: { perSecond: 150 },
  alone: { perSecond: 10, runs: 200 },
  seconds: {
    warmUp: 8,
    calm: 2,
    few: 4,
    many: 2,
    executorKilled: 3,
    databaseRestarted: 5,
    diskFull: 4,
    held: 1,
    alone: 2,
  },
  drainSeconds: 60,
};
