import type { EnvironmentContext } from '../context.ts';
import { type RecipientRun, RUN_COLUMNS, type RunRow, runJson, runTables } from './run-row.ts';

/** The runs of these ids that have begun, by id. */
export async function loadRuns(
  ctx: Pick<EnvironmentContext, 'db' | 'environment'>,
  ids: readonly string[],
): Promise<ReadonlyMap<string, RecipientRun>> {
  if (ids.length === 0) return new Map();
  const rows = await ctx.db.query<RunRow>(
    `
    select ${RUN_COLUMNS}
    from ${runTables()}
    where r.id = any($2::uuid[])
      and r.environment_id = $1`,
    [ctx.environment.id, ids],
  );
  return new Map(rows.map((row) => [row.id, runJson(row)]));
}
