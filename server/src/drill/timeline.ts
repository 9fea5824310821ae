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
  /** The same of something that happened earlier. */
  readonly noteAt: (atMs: number, what: string, operatorSees: string) => TimelineEvent;
  /** From now on times count from the start of the flood. */
  readonly floodBegins: (atMs: number) => void;
};

export function createTimeline(now: () => number, tell: (event: TimelineEvent) => void): Timeline {
  const events: TimelineEvent[] = [];
  let floodMs: number | undefined;
  const add = (atMs: number, what: string, operatorSees: string): TimelineEvent => {
    const event = {
      at: new Date(atMs).toISOString(),
      flood_s: floodMs === undefined ? null : Number(((atMs - floodMs) / 1_000).toFixed(1)),
      what,
      operator_sees: operatorSees,
    };
    events.push(event);
    events.sort((a, b) => a.at.localeCompare(b.at));
    return event;
  };
  return {
    events,
    note: (what, operatorSees = '') => tell(add(now(), what, operatorSees)),
    noteAt: add,
    floodBegins: (atMs) => {
      floodMs = atMs;
    },
  };
}
