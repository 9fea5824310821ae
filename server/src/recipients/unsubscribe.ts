import type { Queryable } from '../db/database.ts';
import { mergePreferences } from './preferences.ts';
import type { Subscriber } from './subscriber-tokens.ts';

export const UNSUBSCRIBE_PATH = '/unsubscribe';

/** Sets `commercial_subscribed` of the recipient's default set to false. Again is fine. */
export async function unsubscribe(
  db: Queryable,
  { environmentId, collection, id }: Subscriber,
): Promise<void> {
  const preferences = { commercial_subscribed: false };
  await mergePreferences(db, environmentId, [{ collection, id, setId: 'default', preferences }]);
}
