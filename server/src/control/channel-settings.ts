import type { Context, Environment } from '../context.ts';
import type { Queryable } from '../db/database.ts';
import { BelfryError, invalidField } from '../lib/errors.ts';
import type { JsonObject } from '../lib/json.ts';
import { conditionProblems } from '../workflows/conditions.ts';
import { lockEnvironments, raiseRevision } from './publish-rows.ts';

/** A channel as one environment has it. */
export type ChannelInEnvironment = {
  readonly id: string;
  readonly key: string;
  readonly name: string;
  readonly type: string;
  readonly provider: string;
  /** Messages are recorded as `not_sent`; no matter for the in-app feed. */
  readonly is_sandbox: boolean;
  /** A group of conditions that hold for each step that uses the channel; null: none. */
  readonly conditions: JsonObject | null;
  /** Links in messages lead over the server, which counts clicks, where the step says nothing else. */
  readonly link_tracking: boolean;
  /** E-mails have a picture that says that they were opened, where the step says nothing else. */
  readonly open_tracking: boolean;
};

export type ChannelSettings = {
  readonly isSandbox?: boolean | undefined;
  /** Null: none. Absent: as they are. */
  readonly conditions?: JsonObject | null | undefined;
  readonly linkTracking?: boolean | undefined;
  readonly openTracking?: boolean | undefined;
};

const COLUMNS = `c.id, c.key, c.name, c.type, c.provider, coalesce(s.is_sandbox, false) as is_sandbox, s.conditions,
  coalesce(s.link_tracking, false) as link_tracking, coalesce(s.open_tracking, false) as open_tracking`;

/** The account's channels by key, with their settings in an environment. */
export function listChannels(
  db: Queryable,
  environment: Environment,
): Promise<ChannelInEnvironment[]> {
  return db.query<ChannelInEnvironment>(
    `
    select ${COLUMNS}
    from channel c
    left join channel_setting s
      on s.channel_id = c.id
     and s.environment_id = $2
    where c.account_id = $1
    order by c.key`,
    [environment.accountId, environment.id],
  );
}

/** Changes a channel's settings in an environment; runs follow within 2 s. Throws `resource_missing`, `invalid_params`. */
export async function setChannelSettings(
  ctx: Context,
  input: ChannelSettings & { readonly environment: Environment; readonly key: string },
): Promise<ChannelInEnvironment> {
  const { environment, key, isSandbox, conditions, linkTracking, openTracking } = input;
  const [problem] = conditionProblems(conditions ?? undefined, 'conditions');
  if (problem) throw invalidField(problem.path, problem.reason);
  return ctx.db.transaction(async (tx) => {
    await lockEnvironments(tx, environment.accountId, environment.id);
    await tx.query(
      `
      insert into channel_setting
        (channel_id, environment_id, is_sandbox, conditions, link_tracking, open_tracking)
      select id, $2, coalesce($4, false), $5, coalesce($7, false), coalesce($8, false)
      from channel
      where account_id = $1
        and key = $3
      on conflict (channel_id, environment_id) do update
      set is_sandbox = coalesce($4, channel_setting.is_sandbox),
        conditions = case when $6 then excluded.conditions else channel_setting.conditions end,
        link_tracking = coalesce($7, channel_setting.link_tracking),
        open_tracking = coalesce($8, channel_setting.open_tracking),
        updated_at = now()`,
      [
        environment.accountId,
        environment.id,
        key,
        isSandbox ?? null,
        conditions ? JSON.stringify(conditions) : null,
        conditions !== undefined,
        linkTracking ?? null,
        openTracking ?? null,
      ],
    );
    await raiseRevision(tx, environment.accountId, environment.id);
    const channel = (await listChannels(tx, environment)).find((one) => one.key === key);
    if (channel) {
      refuseUntrackable(channel, linkTracking, openTracking);
      return channel;
    }
    throw new BelfryError(
      'resource_missing',
      `The account has no channel ${JSON.stringify(key.slice(0, 200))}`,
    );
  });
}

const WITH_LINKS = new Set(['email', 'in_app_feed', 'sms', 'chat']);

function refuseUntrackable(
  { key, type }: ChannelInEnvironment,
  linkTracking: boolean | undefined,
  openTracking: boolean | undefined,
): void {
  if (linkTracking && !WITH_LINKS.has(type)) {
    throw invalidField('link_tracking', `cannot be on for "${key}": a message of it has no links`);
  }
  if (openTracking && type !== 'email') {
    throw invalidField('open_tracking', `cannot be on for "${key}": only e-mails can be tracked`);
  }
}
