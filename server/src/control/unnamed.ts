import type { EnvironmentContext } from '../context.ts';
import type { WorkflowToPublish } from './push-problems.ts';
import { RESOURCE_KINDS, type Resource, resourcePlace } from './resources.ts';

/** So many are told; who wants to know more has named the wrong environment. */
const MOST = 100;

/**
 * What the environment has, of the kinds that a push has something of, and the push does not name: workflows and guides
 * that are switched on by key (`guides/<key>`), resources as `layouts/<key>`. In order of kind and key.
 */
export async function unnamed(
  { db, environment }: EnvironmentContext,
  pushed: {
    readonly workflows: readonly WorkflowToPublish[];
    readonly resources: readonly Resource[];
  },
): Promise<string[]> {
  const { workflows, resources } = pushed;
  const rows = await db.query<{
    readonly kind: 'workflow' | Resource['kind'];
    readonly key: string;
  }>(
    `
    with present as (
      select 0 as place, 'workflow' as kind, key
      from workflow
      where environment_id = $1
        and active
      union all
      select 1, kind, key
      from resource
      where environment_id = $1
      union all
      select 1, 'channel_group', key
      from channel_group
      where account_id = $2
      union all
      select 1, 'guide', key
      from guide
      where environment_id = $1
        and active
    )
    select kind, key
    from present
    where kind = any($3::text[])
      and (kind, key) not in (select * from unnest($4::text[], $5::text[]))
    order by place, kind collate "C", key collate "C"
    limit $6`,
    [
      environment.id,
      environment.accountId,
      [
        ...(workflows.length > 0 ? ['workflow'] : []),
        ...RESOURCE_KINDS.filter((kind) => resources.some((resource) => resource.kind === kind)),
      ],
      [...workflows.map(() => 'workflow'), ...resources.map(({ kind }) => kind)],
      [...workflows, ...resources].map(({ key }) => key),
      MOST,
    ],
  );
  return rows.map(({ kind, key }) => (kind === 'workflow' ? key : resourcePlace({ kind, key })));
}
