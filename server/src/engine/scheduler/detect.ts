import { type Account, isKeptNoisy, type Lane } from './lane.ts';
import type { NoisyOptions } from './options.ts';
import { isAccountKnown, type SchedulerState, setLevel, type Transition } from './state.ts';

/** In a first tenth of a second a flood could start thousands of runs at everybody's priority. */
const EVALUATE_MS = 20;
const MAX_TRANSITIONS = 200;
/** Assignments within a second that it takes to be noisy by their time. */
const LEAST_ASSIGNMENTS = 4;

/**
 * Every 20 ms: which lanes are noisy. The lanes of an account count together, so that many small ones
 * are no way around the limit; the largest of them become noisy until the rest is below it.
 */
export function detectNoisy(state: SchedulerState): void {
  const options = state.options.noisy;
  if (!options || state.nowMs - state.evaluatedMs < EVALUATE_MS) return;
  state.evaluatedMs = state.nowMs;
  state.cap.adapt(state.nowMs, state.slots);
  if (state.nowMs - state.waited.anyMs() <= options.memoryMs) {
    for (const account of state.served) tripAccount(state, options, account);
  }
  for (const account of state.served) account.isServed = false;
  state.served.length = 0;
  for (const lane of state.leaving) leave(state, options, lane);
}

/** Below this nobody is noisy by service time, in milliseconds of the last second. */
function leastNoisyMs({ slots }: SchedulerState, { leastLoad }: NoisyOptions): number {
  return leastLoad * slots * 1_000;
}

/**
 * How much of an assignment's time counts when it is judged who is noisy. One that was under way while the database or the machine stood
 * still took long too, and whoever had nothing else is no noisy lane.
 */
export function judgedMs(state: SchedulerState, serviceMs: number): number {
  const { noisy } = state.options;
  if (!noisy || state.slots === 0) return serviceMs;
  return Math.min(serviceMs, leastNoisyMs(state, noisy) / LEAST_ASSIGNMENTS);
}

function tripAccount(state: SchedulerState, options: NoisyOptions, account: Account): void {
  const { nowMs } = state;
  const totalMs = state.recentService.at(nowMs);
  const limitRuns = Math.max(options.inFlightRuns - 1, options.inFlightShare * state.inFlightRuns);
  const limitMs = Math.max(leastNoisyMs(state, options), options.serviceShare * totalMs);
  if (account.inFlightRuns <= limitRuns && account.recentService.at(nowMs) <= limitMs) return;
  const quiet = [...account.lanes].filter((lane) => lane.level === 'normal');
  let runs = quiet.reduce((sum, lane) => sum + lane.inFlightRuns, 0);
  let serviceMs = quiet.reduce((sum, lane) => sum + lane.recentService.at(nowMs), 0);
  const size = (lane: Lane): number =>
    lane.inFlightRuns / limitRuns + lane.recentService.at(nowMs) / limitMs;
  for (const lane of quiet.sort((a, b) => size(b) - size(a) || a.id - b.id)) {
    const because = runs > limitRuns ? 'in flight' : serviceMs > limitMs ? 'service time' : null;
    if (!because) return;
    // One that only its own backlog waits for harms nobody.
    if (nowMs - state.waited.otherThanMs(lane) > options.memoryMs) return;
    runs -= lane.inFlightRuns;
    serviceMs -= lane.recentService.at(nowMs);
    change(state, lane, because);
  }
}

/** The lanes of a restrained account are noisy until it is so no longer; then they leave as others do. */
export function restrainAccount(state: SchedulerState, account: Account, slots: number): void {
  account.restrainedTo = Math.max(1, slots);
  if (!state.options.noisy || !isKeptNoisy(account)) return;
  for (const lane of account.lanes) {
    if (lane.level === 'normal') change(state, lane, 'restrained account');
  }
}

function leave(state: SchedulerState, options: NoisyOptions, lane: Lane): void {
  if (isKeptNoisy(lane.account)) return;
  const { serviceShare, inFlightShare } = sharesOf(state, lane);
  const isBelow =
    lane.queuedRuns === 0 &&
    serviceShare < options.exitShare &&
    (lane.inFlightRuns < options.inFlightRuns || inFlightShare < options.exitShare);
  if (!isBelow) lane.belowSinceMs = undefined;
  else lane.belowSinceMs ??= state.nowMs;
  if (lane.queuedRuns > 0) state.leaving.delete(lane);
  if (lane.belowSinceMs === undefined) return;
  if (state.nowMs - lane.belowSinceMs >= options.exitAfterMs) change(state, lane, 'quiet again');
}

function change(state: SchedulerState, lane: Lane, because: Transition['because']): void {
  const to = because === 'quiet again' ? 'normal' : 'noisy';
  state.transitions.push({
    atMs: state.nowMs,
    laneId: lane.id,
    accountId: isAccountKnown(lane) ? lane.account.id : undefined,
    from: lane.level,
    to,
    because,
    inFlightRuns: lane.inFlightRuns,
    queuedRuns: lane.queuedRuns,
    ...sharesOf(state, lane),
  });
  if (state.transitions.length > MAX_TRANSITIONS) state.transitions.shift();
  setLevel(state, lane, to);
}

/** The lane's part of the runs under way, and of the last second's service. */
export function sharesOf(
  state: SchedulerState,
  lane: Lane,
): { readonly inFlightShare: number; readonly serviceShare: number } {
  const totalMs = state.recentService.at(state.nowMs);
  const inFlightShare = state.inFlightRuns > 0 ? lane.inFlightRuns / state.inFlightRuns : 0;
  const serviceShare = totalMs > 1e-9 ? lane.recentService.at(state.nowMs) / totalMs : 0;
  return { inFlightShare, serviceShare };
}
