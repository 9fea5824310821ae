import type { Queryable } from '../db/database.ts';
import type { RecipientKey } from './reference.ts';

/**
 * Removes a push token that the provider says is gone from a recipient's data for a channel, as a token, device, target
 * or player, wherever it is; the others stay. Again is fine.
 */
export async function deregisterToken(
  db: Queryable,
  input: RecipientKey & {
    readonly environmentId: number;
    readonly channelId: string;
    readonly token: string;
  },
): Promise<void> {
  await db.query(
    {
      name: 'deregister_push_token',
      text: `update channel_data d
      set data = (
          select jsonb_object_agg(field.key, case
            when field.key in ('tokens', 'devices', 'target_arns', 'player_ids') and jsonb_typeof(field.value) = 'array' then (
              select coalesce(jsonb_agg(item order by n), '[]')
              from jsonb_array_elements(field.value) with ordinality as list(item, n)
              where item <> to_jsonb($5::text)
                and (item ->> 'token') is distinct from $5::text
                and (item ->> 'target_arn') is distinct from $5::text
            )
            else field.value
          end)
          from jsonb_each(d.data) as field
        ),
        updated_at = now()
      where d.environment_id = $1
        and d.collection = $2
        and d.recipient_id = $3
        and d.channel_id = $4
        and strpos(d.data::text, to_json($5::text)::text) > 0`,
    },
    [input.environmentId, input.collection, input.id, input.channelId, input.token],
  );
}
