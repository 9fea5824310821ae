import { isJsonObject } from '../lib/json.ts';
import { nextOccurrence, parseRepeatRule, type RepeatRule } from '../workflows/repeat-rule.ts';

/** When a schedule fires, as its row has it; times in milliseconds since 1970. */
export type Timing = {
  /** As JSON has them; empty: once. */
  readonly repeats: readonly unknown[];
  readonly scheduledMs: number | undefined;
  /** What intervals are counted from. */
  readonly startMs: number;
  readonly endingMs: number | undefined;
};

/** Next times, each kind of rule computed once: schedules that are due at once mostly have the same ones. */
export type NextTimes = {
  /** The first occurrence of a schedule that is new or was changed; `lastMs` is one that fired already. */
  readonly first: (
    timing: Timing,
    at: { readonly nowMs: number; readonly lastMs: number | undefined; readonly timezone: string },
  ) => number | undefined;
  /** The one that follows an occurrence: after it, and after now. */
  readonly following: (
    timing: Timing,
    at: { readonly nowMs: number; readonly dueMs: number; readonly timezone: string },
  ) => number | undefined;
};

export function createNextTimes(): NextTimes {
  const rules = new Map<string, RepeatRule | undefined>();
  const times = new Map<string, number | undefined>();

  function nextOf(value: unknown, afterMs: number, timezone: string, startMs: number) {
    const text = JSON.stringify(value);
    if (!rules.has(text)) rules.set(text, ruleOf(value));
    const rule = rules.get(text);
    if (!rule) return undefined;
    const key = `${text} ${timezone} ${afterMs} ${dependsOnStart(rule) ? startMs : ''}`;
    if (!times.has(key)) times.set(key, nextOccurrence(rule, afterMs, timezone, startMs));
    return times.get(key);
  }

  function recurring({ repeats, startMs, endingMs }: Timing, afterMs: number, timezone: string) {
    let next = Number.POSITIVE_INFINITY;
    for (const value of repeats) {
      next = Math.min(next, nextOf(value, afterMs, timezone, startMs) ?? next);
    }
    return next === Number.POSITIVE_INFINITY || next > (endingMs ?? next) ? undefined : next;
  }

  return {
    first: (timing, { nowMs, lastMs, timezone }) => {
      const { repeats, scheduledMs, endingMs } = timing;
      if (repeats.length > 0) {
        const beforeStart = (scheduledMs ?? Number.NEGATIVE_INFINITY) - 1;
        return recurring(timing, Math.max(nowMs, lastMs ?? nowMs, beforeStart), timezone);
      }
      if (scheduledMs === undefined || scheduledMs === lastMs) return undefined;
      return scheduledMs > (endingMs ?? scheduledMs) ? undefined : scheduledMs;
    },
    following: (timing, { nowMs, dueMs, timezone }) =>
      timing.repeats.length === 0 ? undefined : recurring(timing, Math.max(nowMs, dueMs), timezone),
  };
}

function ruleOf(value: unknown): RepeatRule | undefined {
  const rule = isJsonObject(value) ? parseRepeatRule(value) : undefined;
  return typeof rule === 'string' ? undefined : rule;
}

function dependsOnStart({ frequency, interval, days, dayOfMonth }: RepeatRule): boolean {
  if (interval > 1) return true;
  return (
    (frequency === 'weekly' && days === undefined) ||
    (frequency === 'monthly' && dayOfMonth === undefined)
  );
}
