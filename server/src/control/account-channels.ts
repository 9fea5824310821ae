import type { Queryable } from '../db/database.ts';
import { bareEnvironment } from '../templates/template-environment.ts';
import type { ChannelType, CompileEnvironment } from '../workflows/step.ts';

type Row = {
  readonly id: string;
  readonly key: string;
  readonly type: ChannelType;
  readonly provider: string;
};

/** What workflows of an account may refer to. */
export async function loadCompileEnvironment(
  db: Queryable,
  accountId: number,
): Promise<CompileEnvironment> {
  const rows = await db.query<Row>(
    `
    select id, key, type, provider
    from channel
    where account_id = $1`,
    [accountId],
  );
  const channels = new Map(
    rows.map(({ id, key, type, provider }) => [key, { id, type, provider }]),
  );
  return {
    channel: (key) => channels.get(key),
    channelGroup: () => undefined,
    layout: () => undefined,
    workflow: () => true,
    audience: () => true,
    templates: bareEnvironment,
  };
}
