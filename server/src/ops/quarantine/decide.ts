import type { Level } from './levels.ts';
import type { Limits } from './limits.ts';

/** What is seen of an account about once a second. */
export type Observation = {
  /** Asked in the last whole second: accepted runs, and one for each refused request. */
  readonly arrivalsPerS: number;
  /** What is normal for it; undefined while nobody knows. */
  readonly normalPerS: number | undefined;
  readonly queuedRuns: number;
  readonly oldestAgeMs: number;
  /** Runs that were done since some time in the past. */
  readonly finishedRuns: number;
  /** Whether the scheduler calls a lane of it noisy. */
  readonly noisy: boolean;
  /** Whether its work is held, so that its queue says nothing. */
  readonly held: boolean;
};

/** The rules that apply to the account, each with the time since when. */
export type Decision = {
  readonly level: Level;
  readonly sinceMs: number;
  /** The latest loud second, and the first of those in a row. */
  readonly loudAtMs: number | undefined;
  readonly loudSinceMs: number | undefined;
  readonly heardAtMs: number;
  readonly surge: Surge | undefined;
  readonly pausedSinceMs: number | undefined;
  readonly notPausedBeforeMs: number;
  readonly rejectSinceMs: number | undefined;
  /** What was done per second lately, and from what that is known. */
  readonly servedPerS: number | undefined;
  readonly finishedRuns: number;
  readonly observedMs: number;
};

type Surge = {
  readonly sinceMs: number;
  /** As they were when it began. */
  readonly normalPerS: number | undefined;
  readonly loudPerS: number;
  /** Since when its work has been prompt, and since when arrivals are small as well. */
  readonly promptSinceMs: number | undefined;
  readonly calmSinceMs: number | undefined;
};

export type Because =
  | 'share of the work'
  | 'arrivals and age'
  | 'backlog'
  | 'backlog over rate'
  | 'quota full'
  | 'quiet again'
  | 'drained'
  | 'silent'
  | 'below the quota'
  | 'pause over';

export type Transition = {
  readonly atMs: number;
  readonly from: Level;
  readonly to: Level;
  readonly because: Because;
};

type Decided = { readonly decision: Decision; readonly transitions: readonly Transition[] };

/** Smoothing of the rate at which an account's work is done. */
const RATE_MS = 10_000;

export function newDecision(nowMs: number): Decision {
  return {
    level: 'normal',
    sinceMs: nowMs,
    loudAtMs: undefined,
    loudSinceMs: undefined,
    heardAtMs: nowMs,
    surge: undefined,
    pausedSinceMs: undefined,
    notPausedBeforeMs: 0,
    rejectSinceMs: undefined,
    servedPerS: undefined,
    finishedRuns: 0,
    observedMs: nowMs,
  };
}

/**
 * The next decision about an account. Each rule has its own trip and its own, lower exit; the strictest
 * that applies is the level. Pure: the decision before, what is seen and the time decide.
 */
export function decide(
  before: Decision,
  seen: Observation,
  nowMs: number,
  limits: Limits,
): Decided {
  const heard = listen(before, seen, nowMs, limits);
  const [surge, surgeBecause] = decideSurge(heard, seen, nowMs, limits);
  const rejected = decideReject(heard, seen, nowMs, limits);
  const paused = decidePause({ ...heard, surge }, seen, nowMs, limits);
  const level = levelOf({ surge, ...paused, rejectSinceMs: rejected }, seen.noisy);
  const decision: Decision = {
    ...heard,
    surge,
    ...paused,
    rejectSinceMs: rejected,
    level,
    sinceMs: level === before.level ? before.sinceMs : nowMs,
  };
  if (level === before.level) return { decision, transitions: [] };
  const because = reasonOf(before, decision, surgeBecause);
  return { decision, transitions: [{ atMs: nowMs, from: before.level, to: level, because }] };
}

/** Whether nothing would be lost if the decision were forgotten. */
export function isForgettable(decision: Decision, nowMs: number, limits: Limits): boolean {
  const { level, loudAtMs, notPausedBeforeMs } = decision;
  if (level !== 'normal' || nowMs < notPausedBeforeMs) return false;
  return loudAtMs === undefined || nowMs - loudAtMs > limits.loudMemoryMs;
}

/** The arrivals per second above which they are loud. */
export function loudThreshold(normalPerS: number | undefined, limits: Limits): number {
  return Math.max(limits.floorPerS, limits.surgeFactor * (normalPerS ?? 0));
}

function listen(before: Decision, seen: Observation, nowMs: number, limits: Limits): Decision {
  const threshold = before.surge?.loudPerS ?? loudThreshold(seen.normalPerS, limits);
  const isLoud = seen.arrivalsPerS > threshold;
  const wasLoud = before.loudAtMs !== undefined && nowMs - before.loudAtMs <= limits.loudMemoryMs;
  const spanMs = nowMs - before.observedMs;
  const done = seen.finishedRuns - before.finishedRuns;
  const isMeasured = spanMs > 0 && before.finishedRuns > 0 && done >= 0 && !seen.held;
  const rate = isMeasured ? (done * 1_000) / spanMs : undefined;
  const fade = Math.exp(-spanMs / RATE_MS);
  return {
    ...before,
    loudAtMs: isLoud ? nowMs : before.loudAtMs,
    loudSinceMs: wasLoud ? before.loudSinceMs : isLoud ? nowMs : undefined,
    heardAtMs: seen.arrivalsPerS > 0 ? nowMs : before.heardAtMs,
    servedPerS:
      rate === undefined ? before.servedPerS : rate + ((before.servedPerS ?? rate) - rate) * fade,
    finishedRuns: seen.finishedRuns,
    observedMs: nowMs,
  };
}

function decideSurge(
  heard: Decision,
  seen: Observation,
  nowMs: number,
  limits: Limits,
): [surge: Surge | undefined, because: Because] {
  const { surge } = heard;
  const share = seen.queuedRuns / limits.backlogRuns;
  const isPrompt = seen.oldestAgeMs < limits.promptAgeMs;
  if (!surge) {
    const isLoud = heard.loudAtMs !== undefined && nowMs - heard.loudAtMs <= limits.loudMemoryMs;
    const isOld = seen.oldestAgeMs > limits.surgeAgeMs;
    const isLarge = share >= limits.surgeBacklog;
    if (!isLarge && !(isLoud && isOld)) return [undefined, 'drained'];
    const { normalPerS } = seen;
    return [
      {
        sinceMs: nowMs,
        normalPerS,
        loudPerS: loudThreshold(normalPerS, limits),
        promptSinceMs: undefined,
        calmSinceMs: undefined,
      },
      isLoud && isOld ? 'arrivals and age' : 'backlog',
    ];
  }
  const promptSinceMs = isPrompt ? (surge.promptSinceMs ?? nowMs) : undefined;
  const isCalm = isPrompt && seen.arrivalsPerS <= limits.exitShare * surge.loudPerS;
  const calmSinceMs = isCalm ? (surge.calmSinceMs ?? nowMs) : undefined;
  const after = { ...surge, promptSinceMs, calmSinceMs };
  if (seen.held || share >= limits.surgeBacklogExit) return [after, 'backlog'];
  if (isPast(calmSinceMs, nowMs, limits.exitAfterMs)) return [undefined, 'drained'];
  if (isPast(promptSinceMs, nowMs, limits.quietMs)) return [undefined, 'drained'];
  if (isPast(heard.heardAtMs, nowMs, limits.quietMs)) return [undefined, 'silent'];
  return [after, 'arrivals and age'];
}

function decideReject(
  heard: Decision,
  seen: Observation,
  nowMs: number,
  limits: Limits,
): number | undefined {
  const share = seen.queuedRuns / limits.backlogRuns;
  if (heard.rejectSinceMs === undefined) return share >= 1 ? nowMs : undefined;
  return share < limits.rejectExit ? undefined : heard.rejectSinceMs;
}

function decidePause(
  heard: Decision,
  seen: Observation,
  nowMs: number,
  limits: Limits,
): Pick<Decision, 'pausedSinceMs' | 'notPausedBeforeMs'> {
  const { surge, servedPerS, pausedSinceMs, notPausedBeforeMs } = heard;
  const backlogMs =
    servedPerS === undefined || seen.queuedRuns === 0
      ? 0
      : (1_000 * seen.queuedRuns) / Math.max(servedPerS, 1e-9);
  if (pausedSinceMs === undefined) {
    const isMeasured = surge !== undefined && nowMs - surge.sinceMs >= limits.measureMs;
    const trips = isMeasured && backlogMs > limits.pauseBacklogMs && nowMs >= notPausedBeforeMs;
    return { pausedSinceMs: trips ? nowMs : undefined, notPausedBeforeMs };
  }
  if (nowMs - pausedSinceMs >= limits.pauseMs) {
    return { pausedSinceMs: undefined, notPausedBeforeMs: nowMs + limits.pauseMs };
  }
  const isOver = !seen.held && backlogMs < limits.pauseBacklogExitMs;
  return { pausedSinceMs: isOver ? undefined : pausedSinceMs, notPausedBeforeMs };
}

function levelOf(
  rules: Pick<Decision, 'surge' | 'pausedSinceMs' | 'rejectSinceMs'>,
  noisy: boolean,
): Level {
  if (rules.rejectSinceMs !== undefined) return 'reject';
  if (rules.pausedSinceMs !== undefined) return 'paused';
  if (rules.surge) return 'surge';
  return noisy ? 'noisy' : 'normal';
}

/** What made the strictest rule begin, or the one that applied before end. */
function reasonOf(before: Decision, after: Decision, surgeBecause: Because): Because {
  if (before.rejectSinceMs === undefined && after.rejectSinceMs !== undefined) return 'quota full';
  if (before.rejectSinceMs !== undefined && after.rejectSinceMs === undefined) {
    return 'below the quota';
  }
  if (before.pausedSinceMs === undefined && after.pausedSinceMs !== undefined) {
    return 'backlog over rate';
  }
  if (before.pausedSinceMs !== undefined && after.pausedSinceMs === undefined) return 'pause over';
  if (before.surge !== after.surge && (!before.surge || !after.surge)) return surgeBecause;
  return after.level === 'noisy' ? 'share of the work' : 'quiet again';
}

function isPast(sinceMs: number | undefined, nowMs: number, spanMs: number): boolean {
  return sinceMs !== undefined && nowMs - sinceMs >= spanMs;
}
