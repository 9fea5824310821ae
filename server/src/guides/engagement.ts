import type { EnvironmentContext } from '../context.ts';
import type { Statement } from '../db/database.ts';
import { BelfryError } from '../lib/errors.ts';
import type { JsonObject } from '../lib/json.ts';
import { timeOrderedUuid } from '../lib/uuid.ts';
import { USERS } from '../recipients/reference.ts';
import { signalsSql } from '../signals/signals-sql.ts';
import { type Catalogs, GROUP } from './catalog.ts';
import type { Guide } from './guide.ts';

export const engagementKinds = ['seen', 'interacted', 'archived'] as const;

/** What a user did with a step of a guide. */
export type EngagementKind = (typeof engagementKinds)[number];

/** Whose: what a user does in one tenant is not done in another. */
export type EngagementScope = {
  readonly catalogs: Catalogs;
  readonly userId: string;
  readonly tenant: string | null;
  readonly guideKey: string;
};

/** The columns that an engagement sets; a time that is there stays. */
const columns: { readonly [kind in EngagementKind]: readonly string[] } = {
  seen: ['seen_at'],
  // Whoever interacts with a step has read it.
  interacted: ['interacted_at', 'read_at'],
  archived: ['archived_at'],
};

/**
 * Records what a user did with a step: the first time of each kind stays, and who waits for it is told once. Interactions
 * are told each time, for they differ in their metadata. Dismissing a guide that keeps the pace opens the group's throttle
 * window, in the same statement.
 *
 * Throws `resource_missing` for a guide, step or channel that is not there.
 */
export async function markGuideStep(
  ctx: EnvironmentContext,
  input: EngagementScope & {
    readonly kind: EngagementKind;
    readonly channelId: string;
    readonly stepRef: string;
    readonly metadata?: JsonObject | undefined;
    /** Archived: opens no throttle window. */
    readonly unthrottled?: boolean | undefined;
    /** Archived: the guide ends with this step, whatever others it has. */
    readonly isFinal?: boolean | undefined;
  },
): Promise<void> {
  const { kind } = input;
  const catalog = await input.catalogs.get(ctx);
  const guide = requireGuide(catalog.byKey.get(input.guideKey), input.guideKey);
  if (guide.channelId !== input.channelId.toLowerCase()) {
    throw missing(
      `The guide ${JSON.stringify(guide.key)} is not in the channel ${JSON.stringify(input.channelId.slice(0, 100))}`,
    );
  }
  const step = guide.steps.find(({ ref }) => ref === input.stepRef);
  if (!step) {
    throw missing(
      `The guide ${JSON.stringify(guide.key)} has no step ${JSON.stringify(input.stepRef.slice(0, 200))}`,
    );
  }
  const endsGuide = kind === 'archived' && input.isFinal === true;
  const refs = endsGuide ? guide.steps.map(({ ref }) => ref) : [step.ref];
  const opensWindow =
    kind === 'archived' && !input.unthrottled && !catalog.group.unthrottled.has(guide.key);
  const nowMs = ctx.clock.now();
  await ctx.db.query(markStatements[kind], [
    ctx.environment.id,
    input.userId,
    input.tenant ?? '',
    guide.key,
    // In one order, so that two callers wait instead of deadlocking.
    refs.toSorted(),
    refs.map(() => timeOrderedUuid(nowMs)),
    new Date(nowMs),
    `guide/${guide.key}`,
    kind,
    input.metadata ? JSON.stringify({ metadata: input.metadata }) : null,
    opensWindow,
  ]);
}

function markStatement(kind: EngagementKind): Statement {
  const set = columns[kind];
  const [column = ''] = set;
  const text = `
    with changed as (
      insert into guide_engagement as e (environment_id, user_id, tenant, guide_key, step_ref, message_id,
        ${set.join(', ')}, inserted_at, updated_at)
      select $1::int, $2, $3, $4, step.ref, step.message_id, ${set.map(() => '$7::timestamptz').join(', ')},
        $7::timestamptz, $7::timestamptz
      from unnest($5::text[], $6::uuid[]) as step (ref, message_id)
      on conflict (environment_id, user_id, tenant, guide_key, step_ref) do update
      set ${set.map((name) => `${name} = coalesce(e.${name}, excluded.${name})`).join(', ')},
        updated_at = excluded.updated_at
      ${kind === 'interacted' ? '' : `where e.${column} is null`}
      returning e.environment_id, e.user_id, e.tenant, e.guide_key, e.step_ref, e.message_id
    ), displayed as (
      insert into guide_display as d (environment_id, user_id, group_key, displayed_at)
      select distinct environment_id, user_id, '${GROUP}', $7::timestamptz
      from changed
      where $11::boolean
      on conflict (environment_id, user_id, group_key) do update
      set displayed_at = greatest(d.displayed_at, excluded.displayed_at)
    )
    ${told('changed', '$8', '$9', '$10')}`;
  return { name: `mark_guide_${kind}`, text };
}

const markStatements: { readonly [kind in EngagementKind]: Statement } = {
  seen: markStatement('seen'),
  interacted: markStatement('interacted'),
  archived: markStatement('archived'),
};

/** Undoes the dismissal of every step of a guide. Nothing dismissed: nothing happens. */
export async function unarchiveGuide(
  ctx: EnvironmentContext,
  input: EngagementScope,
): Promise<void> {
  const guide = await findGuide(ctx, input);
  await ctx.db.query(
    `
    with changed as (
      update guide_engagement
      set archived_at = null,
        updated_at = $5
      where environment_id = $1
        and user_id = $2
        and tenant = $3
        and guide_key = $4
        and archived_at is not null
      returning environment_id, user_id, tenant, guide_key, step_ref, message_id
    )
    ${told('changed', '$6', '$7', 'null')}`,
    [
      ctx.environment.id,
      input.userId,
      input.tenant ?? '',
      guide.key,
      new Date(ctx.clock.now()),
      `guide/${guide.key}`,
      'unarchived',
    ],
  );
}

/** Forgets what the user did with a guide: it is as new. */
export async function resetGuide(ctx: EnvironmentContext, input: EngagementScope): Promise<void> {
  const guide = await findGuide(ctx, input);
  await ctx.db.query(
    `
    delete from guide_engagement
    where environment_id = $1
      and user_id = $2
      and tenant = $3
      and guide_key = $4`,
    [ctx.environment.id, input.userId, input.tenant ?? '', guide.key],
  );
}

/** Tells runs that wait for events of the guide's messages; `source`, `event`, `more` are parameters. */
function told(changed: string, source: string, event: string, more: string): string {
  return signalsSql(`
      select environment_id, '${USERS}' as collection, user_id as recipient_id, 'message' as kind,
             ${source}::text as source, ${event}::text as event,
             jsonb_build_object('message_uuid', message_id, 'guide', guide_key, 'step_ref', step_ref,
                                'tenant', nullif(tenant, '')) || coalesce(${more}::jsonb, '{}') as detail
      from ${changed}`);
}

async function findGuide(ctx: EnvironmentContext, input: EngagementScope): Promise<Guide> {
  const catalog = await input.catalogs.get(ctx);
  return requireGuide(catalog.byKey.get(input.guideKey), input.guideKey);
}

function requireGuide(guide: Guide | undefined, key: string): Guide {
  if (guide) return guide;
  throw missing(`There is no guide ${JSON.stringify(key.slice(0, 200))} in this environment`);
}

function missing(message: string): BelfryError {
  return new BelfryError('resource_missing', message);
}
