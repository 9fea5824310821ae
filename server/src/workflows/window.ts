import { nextOccurrence, parseRepeatRule } from './repeat-rule.ts';
import { addDuration, type Duration, parseDuration, parseTimestamp } from './timestamps.ts';

export type WindowSurroundings = {
  readonly nowMs: number;
  /** Whose clocks window rules follow; a valid name (see `chooseTimeZone`). */
  readonly timezone: string;
  /** Added to the end that the value gives; may be negative. */
  readonly offset?: Duration;
};

/** When a window ends, in milliseconds since 1970, or a sentence that says why nobody knows. */
export type ResolvedWindow =
  | { readonly untilMs: number /** It came from a window rule. */; readonly byRule: boolean }
  | { readonly reason: string };

/**
 * The end of a window or delay whose setting lies in data: an ISO 8601 timestamp, a duration
 * `{"unit": "hours", "value": 2}` from now, or a rule such as `{"frequency": "weekly", "days": ["mon"], "hours": 9}`
 * in the recipient's time zone, whose next time it is. Always after now.
 */
export function resolveWindow(value: unknown, around: WindowSurroundings): ResolvedWindow {
  const { nowMs, offset } = around;
  const end = endOf(value, around);
  if (typeof end === 'string') return { reason: end };
  const untilMs = offset ? addDuration(end, offset) : end;
  if (!Number.isFinite(untilMs) || Math.abs(untilMs) > MAX_TIME_MS) {
    return { reason: 'that time is out of range' };
  }
  if (untilMs > nowMs) return { untilMs, byRule: isRule(value) };
  return { reason: `the time to wait for has passed: ${new Date(untilMs).toISOString()}` };
}

function endOf(value: unknown, { nowMs, timezone }: WindowSurroundings): number | string {
  if (value === undefined || value === null || value === '') return 'there is no value';
  if (typeof value === 'string') return parseTimestamp(value) ?? `${shown(value)} is no timestamp`;
  const duration = parseDuration(value);
  if (duration) return addDuration(nowMs, duration);
  if (!isRule(value)) return `${shown(value)} is no timestamp, duration or window rule`;
  const rule = parseRepeatRule(value);
  if (typeof rule === 'string') return `the window rule is wrong: ${rule}`;
  return nextOccurrence(rule, nowMs, timezone) ?? 'the window rule never applies';
}

function isRule(value: unknown): value is object {
  return typeof value === 'object' && value !== null && 'frequency' in value;
}

const MAX_SHOWN = 60;
/** Of a JavaScript date. */
const MAX_TIME_MS = 8.64e15;

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text;
}
