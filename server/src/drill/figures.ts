/** What the drill measures, by its published name; null: could not be measured. */
export type Figures = {
  readonly neighbours_p99_ratio: number | null;
  readonly neighbours_worst_p99_ratio: number | null;
  readonly neighbours_lost: number | null;
  readonly acknowledged_lost: number | null;
  readonly flood_runs_per_s: number | null;
  readonly flood_alone_runs_per_s: number | null;
  readonly culprit_named_s: number | null;
  readonly hold_answer_s: number | null;
  readonly started_after_hold: number | null;
  readonly broadcast_duplicates: number | null;
  readonly broadcast_missing: number | null;
} & Partial<StoreFigures>;

/** Those of the stores and the disk, where the drill has them. */
export type StoreFigures = {
  readonly bodies_unreadable: number | null;
  readonly bodies_late: number | null;
  readonly object_store_requests_per_s: number | null;
  readonly log_gap: number | null;
  readonly log_store_caught_up_s: number | null;
  readonly disk_accepting_again_s: number | null;
};

export type FigureName = keyof Figures;

/** A bound, or nothing to reach. `speed`: says something of this machine only at the incident's size. */
export type Goal = {
  readonly bound: 'at most' | 'at least' | 'less than' | 'reported';
  readonly value: number;
  readonly speed: boolean;
  readonly what: string;
};

export type Goals = Readonly<Partial<Record<FigureName, Goal>>>;

const objectStoreGoals = {
  bodies_unreadable: {
    ...{ bound: 'at most', value: 0, speed: false },
    what: 'bodies of e-mails that cannot be read afterwards',
  },
  bodies_late: {
    ...{ bound: 'at most', value: 0, speed: true },
    what: 'e-mails delivered late while the object store is throttled',
  },
  object_store_requests_per_s: {
    ...{ bound: 'at most', value: 100, speed: false },
    what: 'requests to the object store in its busiest second',
  },
} as const satisfies Goals;

const logStoreGoals = {
  log_gap: {
    ...{ bound: 'at most', value: 0, speed: false },
    what: 'events, runs and deliveries missing in the log store afterwards',
  },
  log_store_caught_up_s: {
    ...{ bound: 'reported', value: 0, speed: true },
    what: 'seconds until the log store has caught up with its outage',
  },
} as const satisfies Goals;

const diskGoals = {
  disk_accepting_again_s: {
    ...{ bound: 'less than', value: 5, speed: false },
    what: 'seconds from room on the disk until triggers are accepted',
  },
} as const satisfies Goals;

const baseGoals = {
  neighbours_p99_ratio: {
    ...{ bound: 'at most', value: 1.2, speed: true },
    what: 'neighbours’ trigger-to-delivered p99, flood over calm',
  },
  neighbours_worst_p99_ratio: {
    ...{ bound: 'at most', value: 1.5, speed: true },
    what: 'the same of the worst single account',
  },
  neighbours_lost: {
    ...{ bound: 'at most', value: 0, speed: false },
    what: 'neighbours’ triggers refused or lost',
  },
  acknowledged_lost: {
    ...{ bound: 'at most', value: 0, speed: false },
    what: 'recipient runs acknowledged and lost, whole drill',
  },
  flood_runs_per_s: {
    ...{ bound: 'reported', value: 0, speed: true },
    what: 'the flood’s own runs/s while neighbours are busy',
  },
  flood_alone_runs_per_s: {
    ...{ bound: 'at least', value: 25_000, speed: true },
    what: 'the flood’s own runs/s while neighbours are idle',
  },
  culprit_named_s: {
    ...{ bound: 'less than', value: 10, speed: false },
    what: 'seconds until the culprit is named with key and workflow',
  },
  hold_answer_s: {
    ...{ bound: 'less than', value: 1, speed: false },
    what: 'seconds until hold and discard answer, the slower one',
  },
  started_after_hold: {
    ...{ bound: 'at most', value: 0, speed: false },
    what: 'runs of the culprit that start after the hold’s answer',
  },
  broadcast_duplicates: {
    ...{ bound: 'at most', value: 0, speed: false },
    what: 'recipients of the neighbour’s broadcast who got it twice',
  },
  broadcast_missing: {
    ...{ bound: 'at most', value: 0, speed: false },
    what: 'recipients of the neighbour’s broadcast who got nothing',
  },
} as const satisfies Goals;

/** Which figures a drill has. */
export function goalsOf(parts: {
  readonly objectStore: boolean;
  readonly logStore: boolean;
  readonly disk: boolean;
}): Goals {
  return {
    ...baseGoals,
    ...(parts.objectStore && objectStoreGoals),
    ...(parts.logStore && logStoreGoals),
    ...(parts.disk && diskGoals),
  };
}

/** The figures that miss their goals; one that could not be measured misses it. */
export function missedGoals(
  goals: Goals,
  figures: Figures,
  only: 'all' | 'without speed',
): FigureName[] {
  return figureNames(goals).filter((name) => {
    const goal = goals[name];
    return goal && !(only === 'without speed' && goal.speed) && !isReached(goal, figures[name]);
  });
}

export function figureNames(goals: Goals): readonly FigureName[] {
  return Object.keys(goals) as FigureName[];
}

export function isReached({ bound, value }: Goal, figure: number | null | undefined): boolean {
  if (figure === null || figure === undefined || Number.isNaN(figure)) return false;
  switch (bound) {
    case 'at most':
      return figure <= value;
    case 'at least':
      return figure >= value;
    case 'less than':
      return figure < value;
    case 'reported':
      return true;
  }
}
