import { type BenchServer, call } from './server.ts';

export const USERS = 100_000;

/** Users with a few properties; every tenth has a preference set that lets the feed through. */
export async function seedUsers(server: BenchServer, count = USERS): Promise<void> {
  await server.db.query(
    `insert into recipient (environment_id, collection, id, properties)
     select $1, '$users', 'user-' || n,
            jsonb_build_object('name', 'User ' || n, 'email', 'user' || n || '@example.com', 'plan',
                               case when n % 3 = 0 then 'pro' else 'free' end, 'timezone', 'Europe/Paris')
     from generate_series(1, $2::int) as n
     on conflict do nothing`,
    [server.environmentId, count],
  );
  await server.db.query(
    `insert into preference_set (environment_id, collection, recipient_id, id, preferences)
     select $1, '$users', 'user-' || n, 'default',
            '{"channel_types": {"email": false, "in_app_feed": true}, "workflows": {"bench": true}}'
     from generate_series(10, $2::int, 10) as n
     on conflict do nothing`,
    [server.environmentId, count],
  );
  await server.db.query('analyze recipient');
  await server.db.query('analyze preference_set');
}

/** A feed message with a condition, preferences and a Liquid template. */
export async function pushBenchWorkflow(server: BenchServer): Promise<void> {
  await call(
    server,
    'POST',
    '/control/v1/push?environment=development',
    {
      workflows: [
        {
          key: 'bench',
          content: {
            name: 'Bench',
            categories: ['product'],
            steps: [
              {
                type: 'channel',
                ref: 'in_app_feed_1',
                channel_key: 'in-app',
                channel_type: 'in_app_feed',
                conditions: {
                  all: [{ variable: 'data.amount', operator: 'greater_than', argument: '10' }],
                },
                template: {
                  markdown_body:
                    'Hi **{{ recipient.name }}**, {{ data.actor_name }} sent you {{ data.amount }} EUR{% if recipient.plan == "pro" %} (pro){% endif %}.',
                  action_url: 'https://example.com/payments/{{ data.payment_id }}',
                },
              },
            ],
          },
        },
      ],
    },
    server.serviceToken,
  );
}

/** The n-th trigger body: `size` users, every user in turn. */
export function triggerBody(n: number, size: number, users = USERS): string {
  const recipients = Array.from({ length: size }, (_, i) => `user-${((n * size + i) % users) + 1}`);
  return JSON.stringify({
    recipients,
    data: { amount: 42 + (n % 50), actor_name: 'Ada', payment_id: `p-${n}` },
  });
}
