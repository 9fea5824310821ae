/** When a lane counts as noisy, and what it is left then. */
export type NoisyOptions = {
  /** Share of the runs under way, and the least number of them, that make a lane noisy. */
  readonly inFlightShare: number;
  readonly inFlightRuns: number;
  /** Share of the last second's service that makes a lane noisy, if it is `leastLoad` of what there is. */
  readonly serviceShare: number;
  readonly leastLoad: number;
  /** Normal again when its share was below this for so long, and nothing of it waits. */
  readonly exitShare: number;
  readonly exitAfterMs: number;
  /** Another lane counts for so long after it waited or was served. */
  readonly memoryMs: number;
  /** Service in an assignment of a noisy lane while quiet lanes are active. */
  readonly quantumMs: number;
  /** Noisy work that got no slot for so long goes next, so that quiet lanes cannot starve it. */
  readonly patienceMs: number;
  /** Share of the slots: at first, at the least and at the most. */
  readonly firstCapShare: number;
  readonly leastCapShare: number;
  readonly lastCapShare: number;
  /** The cap falls by the factor `decrease` when quiet dwell exceeds its calm baseline, or rises by `increase`. */
  readonly decrease: number;
  readonly increase: number;
  readonly increaseAfterMs: number;
};

export const NOISY: NoisyOptions = {
  inFlightShare: 0.1,
  inFlightRuns: 30,
  serviceShare: 0.1,
  leastLoad: 0.05,
  exitShare: 0.05,
  exitAfterMs: 10_000,
  memoryMs: 1_000,
  quantumMs: 10,
  patienceMs: 500,
  firstCapShare: 1 / 30,
  leastCapShare: 1 / 60,
  lastCapShare: 0.5,
  decrease: 0.7,
  increase: 1 / 60,
  increaseAfterMs: 1_000,
};

/** Weights of the classes of lanes: interactive, normal, bulk. Shares, not an order: nobody starves. */
export const CLASS_WEIGHTS: readonly number[] = [4, 1, 0.25];

export type SchedulerOptions = {
  /** Runs in an assignment, more or less: a slice is never split. */
  readonly assignmentRuns: number;
  /** The same while no other lane waits or was active lately: larger statements cost less a run. */
  readonly loneAssignmentRuns?: number;
  /**
   * For work that waits for others: a lane gets a slot only while it holds fewer than are free (dynamic
   * threshold, Choudhury and Hahne, 1998). One lane then has at most a half, two a third each, and a lane
   * that comes anew always finds a free one, however long the others wait.
   */
  readonly reserveSlots?: boolean;
  /** Tell noisy lanes apart. Without it all are served alike. */
  readonly noisy?: NoisyOptions;
  /** Weight by class of the lane; without it all classes weigh the same. */
  readonly classWeights?: readonly number[];
};
