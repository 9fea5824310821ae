import type { EnvironmentContext } from '../../src/context.ts';
import type { Database } from '../../src/db/database.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { silentLog } from '../support/log.ts';

/** An account of its own with one environment and the channels of a new account. */
export async function environmentContext(
  db: Database,
  accountName: string,
): Promise<EnvironmentContext> {
  const [account] = await db.query<{ id: number }>(
    'insert into account (name) values ($1) returning id',
    [accountName],
  );
  const accountId = account?.id ?? 0;
  const [environment] = await db.query<{ id: number; public_id: string }>(
    `
    insert into environment (account_id, slug, name, position)
    values ($1, 'development', 'Development', 0)
    returning id, public_id`,
    [accountId],
  );
  await db.query(
    `
    insert into channel (account_id, key, name, type, provider)
    values ($1, 'in-app', 'In-app', 'in_app_feed', 'belfry'),
      ($1, 'email', 'E-mail', 'email', 'smtp'),
      ($1, 'webhook', 'Webhook', 'http', 'webhook'),
      ($1, 'sms', 'SMS', 'sms', 'sms_viewer'),
      ($1, 'push', 'Push', 'push', 'push_viewer'),
      ($1, 'chat', 'Chat', 'chat', 'chat_viewer')`,
    [accountId],
  );
  return {
    db,
    clock: systemClock,
    log: silentLog,
    environment: {
      id: environment?.id ?? 0,
      publicId: environment?.public_id ?? '',
      accountId,
      slug: 'development',
      settings: {},
    },
  };
}
