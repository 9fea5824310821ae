import { randomUUID } from 'node:crypto';
import type { Database, Queryable } from '../../src/db/database.ts';
import { messageEventTypes } from '../../src/feed/message-event-type.ts';
import { formatAddress, RECIPIENT_RUN_PART, WORKFLOW_RUN_PART } from '../../src/lib/address.ts';
import { timeOrderedUuid } from '../../src/lib/uuid.ts';

export type Written = {
  readonly environmentId: number;
  readonly messageId: string;
  readonly runId: string;
  readonly workflowRunId: string;
  /** In the order of `types`. */
  readonly eventIds: readonly string[];
};

export type Given = {
  readonly environmentId?: number;
  readonly atMs?: number;
  readonly recipient?: string;
  readonly collection?: string;
  readonly tenant?: string | null;
  readonly workflow?: string;
  readonly channelId?: string;
  readonly types?: readonly (keyof typeof messageEventTypes)[];
  readonly data?: object | null;
};

export const CHANNEL = '0a4de2b6-6f9c-4f36-9d5e-0a9f4b3a7f10';
let sequence = 0;

/** An account of its own with one environment; returns the environment's number. */
export async function writeEnvironment(db: Database): Promise<number> {
  const name = `logs-${randomUUID()}`;
  const [row] = await db.query<{ id: number }>(
    `with owner as (
       insert into account (name)
       values ($1)
       returning id
     )
     insert into environment (account_id, slug, name, position)
     select id, 'development', 'Development', 0
     from owner
     returning id`,
    [name],
  );
  return row?.id ?? 0;
}

/** One run with a message, its events a millisecond after each other, a segment and a delivery, as the engine leaves them. */
export async function write(db: Database, given: Given = {}): Promise<Written> {
  sequence += 1;
  const { environmentId = 1, atMs = Date.now(), recipient = 'ada', workflow = 'welcome' } = given;
  const { collection = '$users', tenant = null, types = ['queued', 'sent'], data = null } = given;
  const runId = formatAddress(atMs, 9, sequence, 0, RECIPIENT_RUN_PART);
  const workflowRunId = formatAddress(atMs, 9, sequence, 0, WORKFLOW_RUN_PART);
  const messageId = formatAddress(atMs, 9, sequence, 0, 1);
  const eventIds = types.map((_, i) => timeOrderedUuid(atMs + i));
  const at = new Date(atMs);
  await db.transaction(async (tx) => {
    await tx.query(
      `insert into workflow_run (id, environment_id, workflow_key, version_id, tenant, data, accepted_at)
       values ($1, $2, $3, 1, $4, '{}', $5)`,
      [workflowRunId, environmentId, workflow, tenant, at],
    );
    await tx.query(
      `insert into recipient_run
         (id, environment_id, workflow_run_id, collection, recipient_id, status, error_count, steps, executed_at)
       values ($1, $2, $3, $4, $5, 3, 0, '[{"step_ref":"mail"}]', $6)`,
      [runId, environmentId, workflowRunId, collection, recipient, at],
    );
    await tx.query(
      `insert into recipient_run_segment (recipient_run_id, segment, status, error_count, steps, executed_at)
       values ($1, 1, 3, 0, '[]', $2)`,
      [runId, at],
    );
    await tx.query(
      `insert into message
         (id, environment_id, channel_id, channel_type, collection, recipient_id, tenant, workflow_run_id,
          recipient_run_id, workflow_key, version_id, step_ref, status, content, inserted_at)
       values ($1, $2, $3, 1, $4, $5, $6, $7, $8, $9, 1, 'mail', 1, '{}', $10)`,
      [
        ...[messageId, environmentId, given.channelId ?? CHANNEL, collection, recipient, tenant],
        ...[workflowRunId, runId, workflow, at],
      ],
    );
    await tx.query(
      `insert into message_event (id, message_id, environment_id, type, data, inserted_at)
       select id, $2, $3, type, $4, $5::timestamptz + (n - 1) * interval '1 ms'
       from unnest($1::uuid[], $6::smallint[]) with ordinality as e(id, type, n)`,
      [
        ...[eventIds, messageId, environmentId, data && JSON.stringify(data), at],
        types.map((type) => messageEventTypes[type]),
      ],
    );
    await tx.query(
      `insert into delivery (message_id, attempt, status, provider, detail, attempted_at)
       values ($1, 1, 1, 'smtp', '{"response":"250 OK \\"quoted\\""}', $2)`,
      [messageId, at],
    );
  });
  return { environmentId, messageId, runId, workflowRunId, eventIds };
}

/** What each escape of a text format is there for, and what looks like its null. */
export const ODD_PATH = '/v1/users/a\\\'b\t\n\r\b\f\v\\N"é';

/** An entry of the API log. */
export async function writeApiLog(db: Queryable, environmentId: number): Promise<string> {
  const id = timeOrderedUuid(Date.now());
  await db.query(
    `insert into api_log (id, environment_id, api_key_id, method, route, path, status, duration_us, request)
     values ($1, $2, 1, 'GET', '/v1/users/:id', $3, 200, 1500, '{"a":"\\n"}')`,
    [id, environmentId, ODD_PATH],
  );
  return id;
}

/** Deletes a recipient as the deletion clock does, with a deletion that is over. */
export async function deleteRecipient(
  db: Database,
  { environmentId, recipient }: { readonly environmentId: number; readonly recipient: string },
): Promise<void> {
  await db.query(
    `delete from message_event e
     using message m
     where m.id = e.message_id
       and m.environment_id = $1
       and m.recipient_id = $2`,
    [environmentId, recipient],
  );
  await db.query('delete from message where environment_id = $1 and recipient_id = $2', [
    environmentId,
    recipient,
  ]);
  await db.query(
    `update recipient_run
     set recipient_id = '', steps = '[]'
     where environment_id = $1
       and recipient_id = $2`,
    [environmentId, recipient],
  );
  await db.query(
    `insert into deletion (environment_id, collection, recipient_id, deleted_at)
     values ($1, '$users', $2, $3)`,
    [environmentId, recipient, new Date(Date.now() + 1_000)],
  );
}

/** A row as PostgreSQL copies it out; of values that need no escape. */
export function line(values: readonly (string | number | null)[]): Buffer {
  return Buffer.from(`${values.map((value) => value ?? '\\N').join('\t')}\n`);
}
