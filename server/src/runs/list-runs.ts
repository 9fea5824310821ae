import type { EnvironmentContext } from '../context.ts';
import { sqlState } from '../db/database.ts';
import { lowestUuidAt } from '../lib/address.ts';
import { BelfryError, invalidField } from '../lib/errors.ts';
import { isUuid } from '../lib/uuid.ts';
import { type PageInfo, type PageRequest, pageOf } from '../recipients/page.ts';
import type { RecipientKey } from '../recipients/reference.ts';
import { type RecipientRun, RUN_COLUMNS, type RunRow, runJson, runTables } from './run-row.ts';
import { type RunStatusName, runStatusNumber, STATUS_SQL } from './run-status.ts';

export type RunFilter = {
  readonly workflow?: string | undefined;
  readonly status?: readonly RunStatusName[] | undefined;
  readonly tenant?: string | undefined;
  readonly hasErrors?: boolean | undefined;
  readonly recipient?: RecipientKey | undefined;
  /** Triggered at or after. */
  readonly startingAt?: Date | undefined;
  /** Triggered at or before. */
  readonly endingAt?: Date | undefined;
  /** All recipient runs of one trigger. */
  readonly workflowRunId?: string | undefined;
};

export type RunPage = {
  readonly items: readonly RecipientRun[];
  readonly page_info: PageInfo;
};

/** Of a deleted recipient only the number of runs is kept. */
const NOT_DELETED = `r.recipient_id <> ''`;

/** A list reads ids downwards and filters; past this it must be narrowed by the caller. */
const TIMEOUT_MS = 5_000;
const QUERY_CANCELED = '57014';
const LARGEST_TIME_MS = 2 ** 48 - 1;

/** Runs that have begun, newest first. Those still queued have no row; `getRun` finds them by id. */
export async function listRuns(
  ctx: EnvironmentContext,
  input: { readonly filter: RunFilter; readonly page: PageRequest },
): Promise<RunPage> {
  const { filter, page } = input;
  const values: unknown[] = [ctx.environment.id, page.size + 1];
  const add = (value: unknown): string => `$${values.push(value)}`;
  const conditions = [...idConditions(filter, page, add), ...filterConditions(filter, add)];
  const backward = page.after === undefined && page.before !== undefined;
  const rows = await readInTime(
    ctx,
    `
    select ${RUN_COLUMNS}
    from ${runTables(filter.hasErrors ? FAILED_RUNS : undefined)}
    where ${['r.environment_id = $1', NOT_DELETED, ...conditions].join('\n      and ')}
    order by r.id ${backward ? 'asc' : 'desc'}
    limit $2`,
    values,
  );
  const { entries, pageInfo } = pageOf(page, rows, (row) => row.id);
  return { items: entries.map(runJson), page_info: pageInfo };
}

/** Bounds on the id, whose first bits are the time: they choose partitions. */
function idConditions(
  filter: RunFilter,
  page: PageRequest,
  add: (value: unknown) => string,
): string[] {
  const conditions: string[] = [];
  const from = (ms: number) => conditions.push(`r.id >= ${add(lowestUuidAt(ms))}`);
  const until = (ms: number) => conditions.push(`r.id < ${add(lowestUuidAt(ms))}`);
  if (page.after !== undefined) conditions.push(`r.id < ${add(cursorId(page.after, 'after'))}`);
  else if (page.before !== undefined) {
    conditions.push(`r.id > ${add(cursorId(page.before, 'before'))}`);
  }
  if (filter.startingAt) from(clampedMs(filter.startingAt));
  if (filter.endingAt) until(clampedMs(filter.endingAt) + 1);
  return conditions;
}

/** Runs of the environment that failed at a step: each kind has an index of its own, in the order of the list. */
const FAILED_RUNS = `(
      select *
      from recipient_run
      where environment_id = $1
        and error_count > 0
      union all
      select f.*
      from recipient_run_segment s
      join recipient_run f on f.id = s.recipient_run_id
      where f.environment_id = $1
        and f.error_count = 0
        and s.error_count > 0
        and not exists (
          select
          from recipient_run_segment e
          where e.recipient_run_id = s.recipient_run_id
            and e.segment < s.segment
            and e.error_count > 0
        )
    )`;

function filterConditions(filter: RunFilter, add: (value: unknown) => string): string[] {
  const conditions: string[] = [];
  const { workflow, tenant, recipient, status, hasErrors, workflowRunId } = filter;
  if (workflowRunId !== undefined) {
    if (!isUuid(workflowRunId)) return ['false'];
    conditions.push(`r.workflow_run_id = ${add(workflowRunId)}`);
  }
  // So that the triggers that match can be found first, where they are few.
  if (workflow !== undefined || tenant !== undefined) conditions.push('w.environment_id = $1');
  if (workflow !== undefined) conditions.push(`w.workflow_key = ${add(workflow)}`);
  if (tenant !== undefined) conditions.push(`w.tenant = ${add(tenant)}`);
  if (recipient) {
    conditions.push(`r.recipient_id = ${add(recipient.id)}`);
    conditions.push(`r.collection = ${add(recipient.collection)}`);
  }
  if (status) conditions.push(`${STATUS_SQL} = any(${add(status.map(runStatusNumber))}::int[])`);
  if (hasErrors === false) conditions.push('r.error_count + coalesce(later.error_count, 0) = 0');
  return conditions;
}

async function readInTime(
  ctx: EnvironmentContext,
  text: string,
  values: readonly unknown[],
): Promise<RunRow[]> {
  try {
    return await ctx.db.transaction(async (tx) => {
      await tx.query(`set local statement_timeout = ${TIMEOUT_MS}`);
      return await tx.query<RunRow>(text, values);
    });
  } catch (error) {
    if (sqlState(error) !== QUERY_CANCELED) throw error;
    throw new BelfryError(
      'overloaded',
      'Too many runs lie between those that match; narrow the time with starting_at and ending_at',
    );
  }
}

function cursorId(key: string, field: string): string {
  if (isUuid(key)) return key;
  throw invalidField(field, 'is not a cursor of an earlier answer');
}

function clampedMs(time: Date): number {
  return Math.min(Math.max(0, time.getTime()), LARGEST_TIME_MS - 1);
}
