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
};

export type FigureName = keyof Figures;

/** A bound, or nothing to reach. `speed`: says something of this machine only at the incident's size. */
export type Goal = {
  readonly bound: 'at most' | 'at least' | 'less than' | 'reported';
  readonly value: number;
  readonly speed: boolean;
  readonly what: string;
};

export const goals: Readonly<Record<FigureName, Goal>> = {
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
};

export const figureNames = Object.keys(goals) as readonly FigureName[];

/** The figures that miss their goals; one that could not be measured misses it. */
export function missedGoals(figures: Figures, only: 'all' | 'without speed'): FigureName[] {
  return figureNames.filter((name) => {
    const goal = goals[name];
    return !(only === 'without speed' && goal.speed) && !isReached(goal, figures[name]);
  });
}

export function isReached({ bound, value }: Goal, figure: number | null): boolean {
  if (figure === null || Number.isNaN(figure)) return false;
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
