import type { EnvironmentContext } from '../context.ts';
import { lowestUuidAt } from '../lib/address.ts';
import { BelfryError } from '../lib/errors.ts';
import { isUuid } from '../lib/uuid.ts';

/** Entries that a page looks at, whatever the filter: one that nothing meets does not read a month. */
const MAX_LOOKED_AT = 20_000;
const SKIPPED_MS = 3_600_000;
/** Clocks of servers differ. */
const AHEAD_MS = 60_000;

export type ApiLogFilter = {
  readonly method?: string | undefined;
  /** The beginning of a path. */
  readonly path?: string | undefined;
  /** `404`, or a class: `4xx`, `5xx`, `failed`. */
  readonly status?: string | undefined;
  readonly keyId?: number | undefined;
};

export type ApiLog = {
  readonly __typename: 'ApiLog';
  readonly id: string;
  readonly inserted_at: string;
  readonly method: string;
  readonly route: string;
  readonly path: string;
  readonly status: number;
  readonly duration_ms: number;
  readonly api_key_id: string | null;
  readonly request: unknown;
  readonly response: unknown;
};

export type ApiLogPage = {
  readonly entries: readonly ApiLog[];
  /** The last entry that was looked at, when there may be older ones. */
  readonly next: string | null;
  /** Requests of the hour before the page that were not recorded. */
  readonly skipped: number;
};

type Row = {
  readonly id: string;
  readonly api_key_id: number | null;
  readonly method: string;
  readonly route: string;
  readonly path: string;
  readonly status: number;
  readonly duration_us: number;
  readonly request: string | null;
  readonly response: string | null;
};

const COLUMNS = 'id, api_key_id, method, route, path, status, duration_us, request, response';

/** The requests of the environment, newest first, those before an entry. */
export async function listApiLogs(
  { db, clock, environment }: EnvironmentContext,
  input: {
    readonly filter: ApiLogFilter;
    /** `next` of the page before. */
    readonly before?: string | undefined;
    readonly limit: number;
  },
): Promise<ApiLogPage> {
  const { filter, limit } = input;
  const before = input.before ?? lowestUuidAt(clock.now() + AHEAD_MS);
  const [low, high] = statusRange(filter.status);
  // As it is in the condition of the index on failures.
  const failed = low >= 400 ? 'and status >= 400' : '';
  const rows = await db.query<Row>(
    `
    with looked_at as (
      select ${COLUMNS}
      from api_log
      where environment_id = $1
        and id < $2
        ${failed}
      order by id desc
      limit ${MAX_LOOKED_AT}
    )
    select ${COLUMNS}
    from looked_at
    where status between $3 and $4
      and ($5::text is null or method = $5)
      and ($6::text is null or starts_with(path, $6))
      and ($7::int is null or api_key_id = $7)
    order by id desc
    limit $8`,
    [
      environment.id,
      before,
      low,
      high,
      filter.method ?? null,
      filter.path ?? null,
      filter.keyId ?? null,
      limit,
    ],
  );
  const entries = rows.map(apiLogOf);
  const next =
    rows.length === limit
      ? (rows.at(-1)?.id ?? null)
      : await lastLookedAt({ db, environment, before, failed });
  return { entries, next, skipped: await skippedBefore({ db, environment }, before) };
}

/** One entry, by the `x-request-id` of its answer; 404 when there is none in the environment. */
export async function requireApiLog(
  { db, environment }: EnvironmentContext,
  id: string,
): Promise<ApiLog> {
  const [row] = isUuid(id)
    ? await db.query<Row>(
        `select ${COLUMNS}
         from api_log
         where id = $1
           and environment_id = $2`,
        [id, environment.id],
      )
    : [];
  if (row) return apiLogOf(row);
  throw new BelfryError(
    'resource_missing',
    `No request ${JSON.stringify(id.slice(0, 100))} is recorded in this environment; logs are kept for days and not of every request`,
  );
}

type Place = Pick<EnvironmentContext, 'db' | 'environment'>;

async function lastLookedAt({
  db,
  environment,
  before,
  failed,
}: Place & { readonly before: string; readonly failed: string }): Promise<string | null> {
  const [last] = await db.query<{ id: string }>(
    `select id
     from api_log
     where environment_id = $1
       and id < $2
       ${failed}
     order by id desc
     offset ${MAX_LOOKED_AT - 1}
     limit 1`,
    [environment.id, before],
  );
  return last?.id ?? null;
}

async function skippedBefore({ db, environment }: Place, before: string): Promise<number> {
  const untilMs = timeOf(before);
  const [row] = await db.query<{ requests: number }>(
    `select coalesce(sum(requests), 0)::float8 as requests
     from api_log_skipped
     where environment_id = $1
       and minute > $2
       and minute <= $3`,
    [environment.id, new Date(untilMs - SKIPPED_MS), new Date(untilMs)],
  );
  return row?.requests ?? 0;
}

function statusRange(status: string | undefined): readonly [low: number, high: number] {
  if (status === undefined) return [0, 999];
  if (status === 'failed') return [400, 999];
  const hundreds = Number(status[0]) * 100;
  return status.endsWith('xx') ? [hundreds, hundreds + 99] : [Number(status), Number(status)];
}

function apiLogOf({ id, duration_us, api_key_id, request, response, ...row }: Row): ApiLog {
  return {
    __typename: 'ApiLog',
    id,
    inserted_at: new Date(timeOf(id)).toISOString(),
    ...row,
    duration_ms: duration_us / 1_000,
    api_key_id: api_key_id === null ? null : `key_${api_key_id}`,
    request: request === null ? null : JSON.parse(request),
    response: response === null ? null : JSON.parse(response),
  };
}

/** The first 48 bits of an id: milliseconds since 1970. */
function timeOf(id: string): number {
  return Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16);
}
