import { randomUUID } from 'node:crypto';

/** Work on many things at once, as the wire has it; ours is done when it is answered. */
export type BulkOperation = {
  readonly __typename: 'BulkOperation';
  readonly id: string;
  readonly name: string;
  readonly status: 'completed';
  readonly estimated_total_rows: number;
  readonly processed_rows: number;
  readonly success_count: number;
  readonly error_count: number;
  readonly error_items: readonly FailedItem[];
  readonly started_at: string;
  readonly completed_at: string;
  readonly failed_at: null;
  readonly inserted_at: string;
  readonly updated_at: string;
  readonly progress_path: string;
};

type FailedItem = { readonly id: string; readonly collection?: string };

export function completedBulkOperation(input: {
  readonly name: string;
  readonly count: number;
  /** Of them; the others were done. */
  readonly failed?: readonly FailedItem[];
  readonly startedMs: number;
  readonly completedMs: number;
}): BulkOperation {
  const id = randomUUID();
  const { name, count, failed = [] } = input;
  const startedAt = new Date(input.startedMs).toISOString();
  const completedAt = new Date(input.completedMs).toISOString();
  return {
    __typename: 'BulkOperation',
    id,
    name,
    status: 'completed',
    estimated_total_rows: count,
    processed_rows: count,
    success_count: count - failed.length,
    error_count: failed.length,
    error_items: failed,
    started_at: startedAt,
    completed_at: completedAt,
    failed_at: null,
    inserted_at: startedAt,
    updated_at: completedAt,
    progress_path: `/v1/bulk_operations/${id}`,
  };
}
