/** For how many days each class of data is kept; undefined: for ever. */
export type RetentionDays = {
  readonly logs: number | undefined;
  readonly messages: number | undefined;
  readonly apiLogs: number | undefined;
  readonly audit: number | undefined;
};

const DAY_MS = 86_400_000;

/** Before which time a class is old; undefined: nothing is. Logs are about messages and go with them. */
export function oldBefore(
  days: RetentionDays,
  name: keyof RetentionDays,
  nowMs: number,
): number | undefined {
  const own = days[name];
  const limit = name === 'logs' ? Math.min(own ?? Infinity, days.messages ?? Infinity) : own;
  return limit === undefined || limit === Infinity ? undefined : nowMs - limit * DAY_MS;
}
