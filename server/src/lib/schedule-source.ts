const PREFIX = '$schedule:';

/** The cancellation key of a schedule's runs, by which they also know where they come from. */
export function scheduleCancellationKey(scheduleId: string): string {
  return PREFIX + scheduleId;
}

/** The schedule that a run with this cancellation key comes from; undefined: none. */
export function scheduleOf(cancellationKey: string | null): string | undefined {
  return cancellationKey?.startsWith(PREFIX) ? cancellationKey.slice(PREFIX.length) : undefined;
}
