import { randomUUID } from 'node:crypto';
import { type Credentials, createAccount } from '../../src/accounts/create-account.ts';
import type { Context, Environment, EnvironmentContext } from '../../src/context.ts';
import type { Database } from '../../src/db/database.ts';
import { systemClock } from '../../src/lib/clock.ts';
import type { Json, JsonObject } from '../../src/lib/json.ts';
import { ksuidFromUuid } from '../../src/lib/ksuid.ts';
import { timeOrderedUuid } from '../../src/lib/uuid.ts';
import { silentLog } from './log.ts';

/** A message as the engine would have written it; what is left out gets a plain value. */
export type MessageFixture = {
  readonly userId?: string;
  readonly collection?: string;
  readonly channel?: 'in-app' | 'email' | 'sms' | 'push' | 'chat' | 'webhook';
  readonly tenant?: string | null;
  readonly workflow?: string;
  readonly categories?: readonly string[];
  readonly data?: JsonObject;
  /** The recipient's own trigger data, merged. */
  readonly ownData?: JsonObject;
  readonly actor?: Json;
  readonly content?: JsonObject;
  readonly status?: number;
  readonly insertedMs?: number;
  /** The time in its id; `insertedMs` by default. */
  readonly acceptedMs?: number;
  readonly seen?: boolean;
  readonly read?: boolean;
  readonly interacted?: boolean;
  readonly archived?: boolean;
};

export type MessageWorld = {
  readonly ctx: Context;
  readonly credentials: Credentials;
  readonly development: EnvironmentContext;
  readonly production: EnvironmentContext;
  readonly channels: { readonly [key: string]: string };
  /** Inserts messages into an environment, `development` by default; returns their public ids. */
  readonly insert: (
    fixtures: readonly MessageFixture[],
    environment?: Environment,
  ) => Promise<string[]>;
};

let accounts = 0;
let lastMs = 0;

/** An account of its own in this database, and a way to put messages into it. */
export async function createMessageWorld(db: Database): Promise<MessageWorld> {
  const ctx: Context = { db, clock: systemClock, log: silentLog };
  accounts += 1;
  const credentials = await createAccount(ctx, { name: `account-${accounts}` });
  const environments = await db.query<{
    id: number;
    public_id: string;
    account_id: number;
    slug: string;
  }>(
    `select e.id, e.public_id, e.account_id, e.slug
from environment e
join account a on a.id = e.account_id
where a.name = $1`,
    [credentials.account],
  );
  const named = (slug: string): EnvironmentContext => {
    const row = environments.find((environment) => environment.slug === slug);
    if (!row) throw new Error(`no environment ${slug}`);
    return {
      ...ctx,
      environment: {
        id: row.id,
        publicId: row.public_id,
        accountId: row.account_id,
        slug,
        settings: {},
      },
    };
  };
  const development = named('development');
  const channels = credentials.environments.development?.channels ?? {};
  return {
    ctx,
    credentials,
    development,
    production: named('production'),
    channels,
    insert: (fixtures, environment = development.environment) =>
      insertMessages(db, environment, channels, fixtures),
  };
}

const channelTypes = { email: 1, 'in-app': 2, sms: 3, push: 4, chat: 5, webhook: 6 } as const;

/** Messages as the engine would have written them; returns their public ids. */
export async function insertMessages(
  db: Database,
  environment: Environment,
  channels: { readonly [key: string]: string },
  fixtures: readonly MessageFixture[],
): Promise<string[]> {
  const runs: JsonObject[] = [];
  const messages: JsonObject[] = [];
  const ids: string[] = [];
  for (const fixture of fixtures) {
    // A millisecond of its own for each, so that ids sort in the order of the fixtures.
    lastMs = Math.max(lastMs + 1, Date.now());
    const insertedMs = fixture.insertedMs ?? lastMs;
    const acceptedMs = fixture.acceptedMs ?? insertedMs;
    const versionId = await versionOf(db, environment, fixture);
    const runId = timeOrderedUuid(acceptedMs);
    const id = timeOrderedUuid(acceptedMs);
    const workflow = fixture.workflow ?? 'comment-created';
    const channel = fixture.channel ?? 'in-app';
    const insertedAt = new Date(insertedMs).toISOString();
    const at = (is: boolean | undefined): string | null => (is ? insertedAt : null);
    ids.push(ksuidFromUuid(id));
    runs.push({
      id: runId,
      environment_id: environment.id,
      workflow_key: workflow,
      version_id: versionId,
      actor: fixture.actor ?? null,
      tenant: fixture.tenant ?? null,
      data: fixture.data ?? {},
      cancellation_key: null,
      accepted_at: new Date(acceptedMs).toISOString(),
    });
    messages.push({
      id,
      environment_id: environment.id,
      channel_id: channels[channel] ?? '',
      channel_type: channelTypes[channel],
      collection: fixture.collection ?? '$users',
      recipient_id: fixture.userId ?? 'grace',
      tenant: fixture.tenant ?? null,
      workflow_run_id: runId,
      recipient_run_id: timeOrderedUuid(acceptedMs),
      workflow_key: workflow,
      version_id: versionId,
      step_ref: 'in_app_feed_1',
      status: fixture.status ?? 2,
      content: fixture.content ?? {
        body: '**Ada** commented',
        action_url: 'https://example.com/1',
      },
      trigger_data: fixture.ownData ?? null,
      inserted_at: insertedAt,
      updated_at: null,
      seen_at: at(fixture.seen),
      read_at: at(fixture.read),
      interacted_at: at(fixture.interacted),
      archived_at: at(fixture.archived),
      link_clicked_at: null,
    });
  }
  await db.transaction(async (tx) => {
    await tx.query(
      'insert into workflow_run select * from jsonb_populate_recordset(null::workflow_run, $1)',
      [JSON.stringify(runs)],
    );
    await tx.query(
      'insert into message select * from jsonb_populate_recordset(null::message, $1)',
      [JSON.stringify(messages)],
    );
  });
  return ids;
}

const versions = new Map<string, number>();

async function versionOf(
  db: Database,
  environment: Environment,
  fixture: MessageFixture,
): Promise<number> {
  const key = fixture.workflow ?? 'comment-created';
  const categories = fixture.categories ?? [];
  const name = `${environment.publicId} ${key} ${categories.join()}`;
  const known = versions.get(name);
  if (known !== undefined) return known;
  const content = {
    name: key,
    categories,
    steps: [
      {
        ref: 'in_app_feed_1',
        type: 'channel',
        channel_key: 'in-app',
        template: {
          markdown_body: '**{{ actor.name }}** commented',
          action_url: '{{ data.url }}',
        },
      },
    ],
  };
  const [row] = await db.query<{ id: number }>(
    `insert into workflow_version (environment_id, key, number, content, sha)
values ($1, $2, (select count(*) + 1 from workflow_version where environment_id = $1 and key = $2), $3, $4)
returning id`,
    [environment.id, key, JSON.stringify(content), randomUUID()],
  );
  if (!row) throw new Error('no version');
  versions.set(name, row.id);
  return row.id;
}
