/** One line of the drill's timeline, in the form of a post-mortem. */
export type TimelineEvent = {
  /** ISO 8601, UTC. */
  readonly at: string;
  /** Since the flood began; negative before. Null while there was none. */
  readonly flood_s: number | null;
  readonly what: string;
  /** What is on the operator's screen at that moment. */
  readonly operator_sees: string;
};

export type Timeline = {
  readonly events: readonly TimelineEvent[];
  readonly note: (what: string, operatorSees?: string) => void;
  /** From now on times count from the start of the flood. */
  readonly floodBegins: (atMs: number) => void;
};

export function createTimeline(now: () => number, tell: (event: TimelineEvent) => void): Timeline {
  const events: TimelineEvent[] = [];
  let floodMs: number | undefined;
  return {
    events,
    note: (what, operatorSees = '') => {
      const atMs = now();
      const event = {
        at: new Date(atMs).toISOString(),
        flood_s: floodMs === undefined ? null : Number(((atMs - floodMs) / 1_000).toFixed(1)),
        what,
        operator_sees: operatorSees,
      };
      events.push(event);
      tell(event);
    },
    floodBegins: (atMs) => {
      floodMs = atMs;
    },
  };
}
