import type { JsonObject } from '../lib/json.ts';

/** An operation as it is stored. */
export type Operation = {
  readonly id: string;
  readonly environment_id: number;
  readonly name: string;
  /** What its items share, or what its messages are found by. */
  readonly input: JsonObject;
  readonly total: number;
  /** Items that are done: where the next turn begins. */
  readonly processed: number;
  readonly error_count: number;
  /** Of messages: the last that was looked at, and the place of its recipient where recipients are named. */
  readonly after_id: string | null;
  readonly after_position: number;
  readonly inserted_at: Date;
  readonly updated_at: Date;
  readonly started_at: Date | null;
  readonly completed_at: Date | null;
  readonly failed_at: Date | null;
};

export const OPERATION_COLUMNS = `o.id, o.environment_id, o.name, o.input, o.total, o.processed, o.error_count, o.after_id,
  o.after_position, o.inserted_at, o.updated_at, o.started_at, o.completed_at, o.failed_at`;

/** An item that was refused; `collection` where it is an object. */
export type ErrorItem = { readonly id: string; readonly collection?: string };

/** The operation as the wire has it. */
export function operationAnswer(operation: Operation, errors: readonly ErrorItem[] = []) {
  const { id, name, processed, error_count: errorCount } = operation;
  return {
    __typename: 'BulkOperation' as const,
    id,
    name,
    status: statusOf(operation),
    estimated_total_rows: operation.total,
    processed_rows: processed,
    success_count: processed - errorCount,
    error_count: errorCount,
    error_items: errors,
    progress_path: `/v1/bulk_operations/${id}`,
    started_at: isoOrNull(operation.started_at),
    completed_at: isoOrNull(operation.completed_at),
    failed_at: isoOrNull(operation.failed_at),
    inserted_at: operation.inserted_at.toISOString(),
    updated_at: operation.updated_at.toISOString(),
  };
}

export function isOver({ completed_at: completed, failed_at: failed }: Operation): boolean {
  return completed !== null || failed !== null;
}

function statusOf(operation: Operation): 'queued' | 'processing' | 'completed' | 'failed' {
  if (operation.completed_at !== null) return 'completed';
  if (operation.failed_at !== null) return 'failed';
  return operation.started_at === null ? 'queued' : 'processing';
}

function isoOrNull(date: Date | null): string | null {
  return date?.toISOString() ?? null;
}
