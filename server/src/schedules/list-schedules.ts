import type { EnvironmentContext } from '../context.ts';
import { textArray } from '../db/array-literal.ts';
import { invalidField } from '../lib/errors.ts';
import { isUuid } from '../lib/uuid.ts';
import { type Page, type PageRequest, pageOf } from '../recipients/page.ts';
import type { RecipientKey } from '../recipients/reference.ts';
import { SCHEDULE_COLUMNS, type ScheduleRow } from './schedule.ts';

/** Schedules of a workflow, of recipients or both, the newest first. */
export async function listSchedules(
  ctx: EnvironmentContext,
  input: {
    readonly page: PageRequest;
    readonly workflowKey?: string | undefined;
    readonly tenant?: string | undefined;
    /** Absent: of anybody. */
    readonly recipients?: readonly RecipientKey[] | undefined;
  },
): Promise<Page<ScheduleRow>> {
  const { page, recipients } = input;
  for (const [name, cursor] of Object.entries({ after: page.after, before: page.before })) {
    if (cursor !== undefined && !isUuid(cursor)) {
      throw invalidField(name, 'is not a cursor of an earlier answer');
    }
  }
  const rows = await ctx.db.query<ScheduleRow>(
    `
    select ${SCHEDULE_COLUMNS}
    from schedule s
    where s.environment_id = $1
      and ($2::text is null or s.workflow_key = $2)
      and ($3::text is null or s.tenant = $3)
      and ($4::text[] is null or (s.collection, s.recipient_id) in (
        select w.collection, w.id
        from unnest($4::text[], $5::text[]) as w(collection, id)
      ))
      and ($6::uuid is null or s.id < $6)
      and ($7::uuid is null or s.id > $7)
    order by s.id ${page.before === undefined ? 'desc' : 'asc'}
    limit $8`,
    [
      ctx.environment.id,
      input.workflowKey ?? null,
      input.tenant ?? null,
      recipients ? textArray(recipients.map(({ collection }) => collection)) : null,
      recipients ? textArray(recipients.map(({ id }) => id)) : null,
      page.after ?? null,
      page.before ?? null,
      page.size + 1,
    ],
  );
  return pageOf(page, rows, (row) => row.id);
}
