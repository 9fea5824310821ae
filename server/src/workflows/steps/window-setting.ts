import { Type } from 'typebox';
import type { Json, JsonObject } from '../../lib/json.ts';
import { parsePath, resolvePath } from '../paths.ts';
import type { Problem, StepInput } from '../step.ts';
import { chooseTimeZone } from '../time-zone.ts';
import { addDuration, type Duration, durationUnits, parseDuration } from '../timestamps.ts';
import { resolveWindow } from '../window.ts';
import { isSet } from './channel-step.ts';

/** `{"unit": "hours", "value": 2}` */
export const durationSetting = Type.Object({
  unit: Type.Enum([...durationUnits]),
  value: Type.Integer(),
});

/** When a window ends, or why nobody knows. */
export type WindowEnd =
  | { readonly untilMs: number; readonly note: string | undefined }
  | { readonly reason: string };

/**
 * The end of a window that opens now: a duration from now, the end that a path leads to (a time, a duration or a window
 * rule), or that plus the duration.
 */
export function compileWindow(
  duration: Duration | undefined,
  path: Json | undefined,
): (input: StepInput) => WindowEnd {
  if (isSet(path)) return endOfPath(String(path), duration);
  return ({ nowMs }) => ({
    untilMs: addDuration(nowMs, duration ?? { unit: 'seconds', value: 0 }),
    note: undefined,
  });
}

function endOfPath(text: string, offset: Duration | undefined): (input: StepInput) => WindowEnd {
  const path = parsePath(text) ?? [];
  return ({ scope, nowMs, timezone: environments }) => {
    const { timezone, unknown } = chooseTimeZone(scope.recipient.timezone, environments);
    const resolved = resolveWindow(resolvePath(path, scope), {
      nowMs,
      timezone,
      ...(offset ? { offset } : {}),
    });
    if ('reason' in resolved) return { reason: `"${text}": ${resolved.reason}` };
    const { untilMs, byRule } = resolved;
    if (!byRule) return { untilMs, note: undefined };
    const instead = unknown === undefined ? '' : `, as ${JSON.stringify(unknown)} is no time zone`;
    return { untilMs, note: `by the clocks of ${timezone}${instead}` };
  };
}

export type WindowFields = {
  /** The names of the settings with the duration and with the path. */
  readonly duration: string;
  readonly path: string;
  readonly maxDays: number;
};

const DAY_MS = 86_400_000;

/** What is wrong with a window: neither setting, no path, too long or too short. */
export function windowProblems(
  settings: JsonObject,
  path: string,
  fields: WindowFields,
): Problem[] {
  const duration = parseDuration(settings[fields.duration]);
  const until = settings[fields.path];
  if (!duration && !isSet(until)) {
    const reason = `lacks "${fields.duration}" and "${fields.path}"; one must be set`;
    return [{ path, reason }];
  }
  const problems: Problem[] = [];
  if (isSet(until) && !parsePath(String(until))) {
    const reason = 'must be a path such as "data.due_at" or "recipient.renews_at"';
    problems.push({ path: `${path}.${fields.path}`, reason });
  }
  if (duration) {
    const length = addDuration(0, duration);
    if (Math.abs(length) > fields.maxDays * DAY_MS) {
      const reason = `must be at most ${fields.maxDays} days`;
      problems.push({ path: `${path}.${fields.duration}`, reason });
    }
    if (!isSet(until) && duration.value < 1) {
      problems.push({ path: `${path}.${fields.duration}.value`, reason: 'must be at least 1' });
    }
  }
  return problems;
}
