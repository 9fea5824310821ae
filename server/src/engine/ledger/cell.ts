import type { LiveRuns } from './accepted.ts';
import type { ExecutedRuns } from './executed.ts';

/** Both sides of the ledger for an environment and minute of acceptance, counted in recipient runs. */
export type LedgerCell = {
  /** Since 1970. */
  readonly minute: number;
  readonly environmentId: number;
  readonly accepted: number;
  readonly done: number;
  readonly pending: number;
  readonly held: number;
  readonly discarded: number;
  readonly failed: number;
};

/** Accepted runs that are nowhere; negative when there are more than were accepted. */
export function missingRuns(cell: LedgerCell): number {
  return cell.accepted - cell.done - cell.pending - cell.held - cell.discarded - cell.failed;
}

/** Kept, or dropped. */
function discardedRuns(runs: LiveRuns | undefined): number {
  return (runs?.kept ?? 0) + (runs?.dropped ?? 0);
}

/** The cells of a minute; runs of an environment that accepted nothing are a cell too. */
export function cellsOf(
  minute: number,
  accepted: readonly LiveRuns[],
  executed: readonly ExecutedRuns[],
): LedgerCell[] {
  const left = new Map(accepted.map((runs) => [runs.environmentId, runs]));
  const right = new Map(executed.map((runs) => [runs.environmentId, runs]));
  return [...new Set([...left.keys(), ...right.keys()])].map((environmentId) => ({
    minute,
    environmentId,
    accepted: left.get(environmentId)?.accepted ?? 0,
    done: right.get(environmentId)?.done ?? 0,
    pending: left.get(environmentId)?.pending ?? 0,
    held: left.get(environmentId)?.held ?? 0,
    discarded: discardedRuns(left.get(environmentId)),
    failed: right.get(environmentId)?.failed ?? 0,
  }));
}
