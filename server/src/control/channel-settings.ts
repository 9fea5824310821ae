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
};

export type ChannelSettings = {
  readonly isSandbox?: boolean | undefined;
  /** Null: none. Absent: as they are. */
  readonly conditions?: JsonObject | null | undefined;
};

const COLUMNS = `c.id, c.key, c.name, c.type, c.provider, coalesce(s.is_sandbox, false) as is_sandbox, s.conditions`;

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
  const { environment, key, isSandbox, conditions } = input;
  const [problem] = conditionProblems(conditions ?? undefined, 'conditions');
  if (problem) throw invalidField(problem.path, problem.reason);
  return ctx.db.transaction(async (tx) => {
    await lockEnvironments(tx, environment.accountId, environment.id);
    await tx.query(
      `
      insert into channel_setting (channel_id, environment_id, is_sandbox, conditions)
      select id, $2, coalesce($4, false), $5
      from channel
      where account_id = $1
        and key = $3
      on conflict (channel_id, environment_id) do update
      set is_sandbox = coalesce($4, channel_setting.is_sandbox),
        conditions = case when $6 then excluded.conditions else channel_setting.conditions end,
        updated_at = now()`,
      [
        environment.accountId,
        environment.id,
        key,
        isSandbox ?? null,
        conditions ? JSON.stringify(conditions) : null,
        conditions !== undefined,
      ],
    );
    await raiseRevision(tx, environment.accountId, environment.id);
    const channel = (await listChannels(tx, environment)).find((one) => one.key === key);
    if (channel) return channel;
    throw new BelfryError(
      'resource_missing',
      `The account has no channel ${JSON.stringify(key.slice(0, 200))}`,
    );
  });
}
