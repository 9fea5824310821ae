/** A press on the send button and what became of it. Times are `performance.now()` milliseconds. */
export type DemoRun = {
  /** Travels in the trigger's data, so that the feed item tells which press it answers. */
  readonly ref: string;
  readonly workflowName: string;
  readonly sendsEmail: boolean;
  readonly sentAt: number;
  readonly accepted?: { readonly workflowRunId: string; readonly at: number };
  readonly rangAt?: number;
  readonly refused?: string;
};

export type RunEvent =
  | { readonly kind: 'sent'; readonly run: DemoRun }
  | {
      readonly kind: 'accepted';
      readonly ref: string;
      readonly workflowRunId: string;
      readonly at: number;
    }
  | { readonly kind: 'refused'; readonly ref: string; readonly message: string }
  | { readonly kind: 'rang'; readonly refs: readonly string[]; readonly at: number };

const keptRuns = 8;

/** Newest first. The bell may ring before the trigger's answer is here: both orders are fine. */
export function reduceRuns(runs: readonly DemoRun[], event: RunEvent): readonly DemoRun[] {
  switch (event.kind) {
    case 'sent':
      return [event.run, ...runs].slice(0, keptRuns);
    case 'accepted':
      return runs.map((run) =>
        run.ref === event.ref
          ? { ...run, accepted: { workflowRunId: event.workflowRunId, at: event.at } }
          : run,
      );
    case 'refused':
      return runs.map((run) => (run.ref === event.ref ? { ...run, refused: event.message } : run));
    case 'rang':
      return runs.map((run) =>
        event.refs.includes(run.ref) && run.rangAt === undefined
          ? { ...run, rangAt: event.at }
          : run,
      );
  }
}

/** `7 ms`, `1.2 s`, `2 min`. */
export function formatElapsed(ms: number): string {
  if (ms < 1000) return `${Math.max(1, Math.round(ms))} ms`;
  if (ms < 100_000) return `${(ms / 1000).toFixed(1)} s`;
  return `${Math.round(ms / 60_000)} min`;
}
