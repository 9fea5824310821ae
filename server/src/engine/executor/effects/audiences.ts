import { plainArray, textArray } from '../../../db/array-literal.ts';
import type { Queryable, Statement } from '../../../db/database.ts';
import { signalsSql } from '../../../signals/signals-sql.ts';
import type { Effect } from '../../../workflows/step.ts';
import { USERS } from '../../log/chunk.ts';
import type { Asked } from '../evaluate-run.ts';

type Change = {
  readonly environmentId: number;
  readonly key: string;
  readonly userId: string;
  readonly tenant: string;
  readonly isAdded: boolean;
};

/** Tells those who wait for members to come or go; each user once, whatever the tenants. */
function membershipSignals(event: 'enter' | 'exit', changed: string): string {
  return signalsSql(`
      select distinct w.environment_id, '${USERS}' as collection, c.user_id as recipient_id, 'audience' as kind,
             w.key as source, '${event}' as event, jsonb_build_object('audience', w.key) as detail
      from ${changed} c
      join kept w on w.id = c.audience_id`);
}

const CHANGE: Statement = {
  name: 'change_members',
  text: `with wanted as (
    select *
    from unnest($1::int[], $2::text[], $3::text[], $4::text[], $5::bool[])
      as w(environment_id, key, user_id, tenant, is_added)
  ), kept as materialized (
    select a.id, a.environment_id, a.key
    from audience a
    where (a.environment_id, a.key) in (select environment_id, key from wanted)
      and a.kind = 'static'
    order by a.id
    for key share
  ), added as (
    insert into audience_member (audience_id, user_id, tenant)
    select kept.id, w.user_id, w.tenant
    from wanted w
    join kept using (environment_id, key)
    where w.is_added
    order by kept.id, w.user_id, w.tenant
    on conflict do nothing
    returning audience_id, user_id
  ), removed as (
    delete from audience_member m
    using wanted w
    join kept using (environment_id, key)
    where not w.is_added
      and m.audience_id = kept.id
      and m.user_id = w.user_id
      and m.tenant = w.tenant
    returning m.audience_id, m.user_id
  ), entered as (
    ${membershipSignals('enter', 'added')}
  )
  ${membershipSignals('exit', 'removed')}`,
};

/** Changes members of static audiences; of several changes of one member the last counts. An audience that is gone has none. */
export async function writeAudiences(
  tx: Queryable,
  _nowMs: number,
  effects: readonly Asked<Effect>[],
): Promise<readonly never[]> {
  const changes = new Map<string, Change>();
  for (const { by, about } of effects) {
    const { environmentId } = by;
    const [key, userId] = [String(about.key), String(about.userId)];
    const tenant = typeof about.tenant === 'string' ? about.tenant : '';
    changes.set(JSON.stringify([environmentId, key, userId, tenant]), {
      environmentId,
      key,
      userId,
      tenant,
      isAdded: about.action === 'add',
    });
  }
  const list = [...changes.values()];
  await tx.query(CHANGE, [
    plainArray(list.map(({ environmentId }) => environmentId)),
    textArray(list.map(({ key }) => key)),
    textArray(list.map(({ userId }) => userId)),
    textArray(list.map(({ tenant }) => tenant)),
    plainArray(list.map(({ isAdded }) => String(isAdded))),
  ]);
  return [];
}
