/** Over how long a normal is learnt. */
const HORIZON_MS = 3_600_000;

/** Before anything was watched for so long, nobody's normal is known. */
const LEARN_MS = 5_000;

/** How quickly the rate that is held against the normal follows: single bursts are smoothed. */
const SMOOTH_MS = 5_000;

/** A rate is a surge above three times the normal, and no longer one at half of that. */
const SURGE_FACTOR = 3;
const CALM_FACTOR = 1.5;

/** What is normal for everybody: fewer than that are no surge, however little is normal. */
const NORMAL_FLOOR_PER_S = 1;

/** Gaps of this length between loud seconds do not make two surges of one. */
const GAP_MS = 10_000;

const SECOND_MS = 1_000;

/**
 * What one key's rate normally is: a moving average with weights that fade over an hour; in the first
 * hour the plain mean since watching began. In a surge at most three times the normal is taken in,
 * slowly, so that a surge of minutes does not become normal and one of hours does.
 */
export type Normal = {
  perSecond: number;
  /** The same as it was when the surge began. */
  calmPerSecond: number;
  /** The rate of the last seconds. */
  smooth: number;
  updatedMs: number;
  /** The first loud moment of what may become a surge, and the last one. */
  loudSinceMs: number | undefined;
  loudAtMs: number;
  surgeSinceMs: number | undefined;
};

/** A key not seen before was silent since watching began. */
export function newNormal(nowMs: number): Normal {
  const never = { loudSinceMs: undefined, loudAtMs: 0, surgeSinceMs: undefined };
  return { perSecond: 0, calmPerSecond: 0, smooth: 0, updatedMs: nowMs, ...never };
}

/** The count above which a second is loud. */
export function loudThreshold(normal: Readonly<Normal> | undefined): number {
  return SURGE_FACTOR * reference(normal?.perSecond ?? 0);
}

type Second = {
  readonly endMs: number;
  readonly watchedSinceMs: number;
  readonly count: number;
  /** When the count went above `loudThreshold`. */
  readonly crossedMs: number | undefined;
};

/**
 * Takes a second in; between `updatedMs` and its start there was silence. It is changed in place: it lives for as long as its
 * key is known, and a new one each second would be garbage that only a collection of everything finds.
 */
export function learn(normal: Normal, second: Second): void {
  const { endMs, watchedSinceMs, count, crossedMs } = second;
  const calm = quieten(normal, watchedSinceMs, endMs - SECOND_MS);
  const usual = reference(calm.perSecond);
  const smooth = count + (calm.smooth - count) * Math.exp(-SECOND_MS / SMOOTH_MS);
  const isLoud = crossedMs !== undefined;
  const isKnown = endMs - watchedSinceMs > LEARN_MS;
  const loudSinceMs = isLoud ? (calm.loudSinceMs ?? crossedMs) : calm.loudSinceMs;
  const startsSurge = isKnown && smooth > SURGE_FACTOR * usual;
  const surgeSinceMs = calm.surgeSinceMs ?? (startsSurge ? (loudSinceMs ?? endMs) : undefined);
  const taken =
    surgeSinceMs === undefined
      ? { count, ageMs: endMs - watchedSinceMs }
      : { count: Math.min(count, SURGE_FACTOR * usual), ageMs: HORIZON_MS };
  const perSecond =
    calm.perSecond + (taken.count - calm.perSecond) * weight(SECOND_MS, taken.ageMs);
  normal.perSecond = perSecond;
  normal.calmPerSecond = surgeSinceMs === undefined ? perSecond : calm.calmPerSecond;
  normal.smooth = smooth;
  normal.updatedMs = endMs;
  normal.loudSinceMs = loudSinceMs;
  normal.loudAtMs = isLoud ? endMs : calm.loudAtMs;
  normal.surgeSinceMs = surgeSinceMs;
}

/** The normal after silence until `nowMs`, without a surge that is over. */
export function quieten(normal: Readonly<Normal>, watchedSinceMs: number, nowMs: number): Normal {
  const silentMs = Math.max(0, nowMs - normal.updatedMs);
  const perSecond = normal.perSecond * (1 - weight(silentMs, nowMs - watchedSinceMs));
  const smooth = normal.smooth * Math.exp(-silentMs / SMOOTH_MS);
  const isOver = smooth <= CALM_FACTOR * reference(perSecond) && nowMs - normal.loudAtMs >= GAP_MS;
  const isCalm = isOver || normal.surgeSinceMs === undefined;
  return {
    perSecond,
    calmPerSecond: isCalm ? perSecond : normal.calmPerSecond,
    smooth,
    updatedMs: normal.updatedMs + silentMs,
    loudSinceMs: isOver ? undefined : normal.loudSinceMs,
    loudAtMs: normal.loudAtMs,
    surgeSinceMs: isOver ? undefined : normal.surgeSinceMs,
  };
}

/** How many times its normal, as before the surge, a rate is; undefined while that is unknown or nearly nothing. */
export function factorOf(
  normal: Readonly<Normal>,
  watchedMs: number,
  rate: number,
): number | undefined {
  const { calmPerSecond } = normal;
  return watchedMs <= LEARN_MS || calmPerSecond < 0.01 ? undefined : rate / calmPerSecond;
}

function reference(perSecond: number): number {
  return Math.max(perSecond, NORMAL_FLOOR_PER_S);
}

/** How much `spanMs` counts beside what was learnt in `ageMs`, which includes it. */
function weight(spanMs: number, ageMs: number): number {
  return spanMs === 0 ? 0 : Math.min(1, spanMs / Math.min(HORIZON_MS, Math.max(spanMs, ageMs)));
}
