import { writeAudit } from '../../accounts/audit.ts';
import { findEnvironment } from '../../accounts/environments.ts';
import { keyHash, keyHint } from '../../accounts/key.ts';
import type { Environment } from '../../context.ts';
import { plainArray, textArray } from '../../db/array-literal.ts';
import type { Database, Queryable } from '../../db/database.ts';
import { BelfryError } from '../../lib/errors.ts';
import { CliError } from '../result.ts';
import { BULK_OPERATION, CHANNELS, SCHEDULE, SUITE_KEY } from './fixtures.ts';

/**
 * Makes what the API cannot: the key that the suites have, and what has an id that the server chooses otherwise. All
 * or nothing, and again puts everything back. An environment that was not seeded before must be empty, unless
 * `isSure`; a CliError says what is in the way.
 */
export async function seedRows(
  db: Database,
  input: { readonly environment: string; readonly isSure: boolean; readonly nowMs: number },
): Promise<void> {
  await db.transaction(async (tx) => {
    const environment = await requireEnvironment(tx, input.environment);
    if (!input.isSure && !(await isSeeded(tx, environment))) {
      await refuseData(tx, environment, input.environment);
    }
    await giveKey(tx, environment, input.nowMs);
    await giveChannels(tx, environment);
    await giveSchedule(tx, environment, input.nowMs);
    await giveOperation(tx, environment, input.nowMs);
  });
}

async function requireEnvironment(tx: Queryable, reference: string): Promise<Environment> {
  try {
    return await findEnvironment(tx, reference);
  } catch (error) {
    if (!(error instanceof BelfryError)) throw error;
    throw new CliError(
      error.code,
      `The database has no ${reference}; is it the one of the server? Set DATABASE_URL, or --data-dir.`,
    );
  }
}

/** Both the key and the channels: a key alone can be given to a server at its start. */
async function isSeeded(tx: Queryable, { id, accountId }: Environment): Promise<boolean> {
  const rows = await tx.query(
    `select 1
     from api_key k
     join channel c
       on c.account_id = $3
      and c.id = $4
     where k.hash = $1
       and k.environment_id = $2`,
    [hash(), id, accountId, CHANNELS[0].id],
  );
  return rows.length > 0;
}

async function refuseData(tx: Queryable, { id }: Environment, name: string): Promise<void> {
  const [found] = await tx.query<{ readonly recipients: boolean; readonly runs: boolean }>(
    `select
       exists (select from recipient where environment_id = $1) as recipients,
       exists (select from workflow_run where environment_id = $1) as runs`,
    [id],
  );
  if (!found?.recipients && !found?.runs) return;
  const what = found.recipients ? 'users, objects or tenants' : 'workflow runs';
  throw new CliError(
    'environment_in_use',
    `Nothing was made: ${name} has ${what}, and the suites delete and change some. Take an empty server, or add --yes.`,
  );
}

async function giveKey(tx: Queryable, { id, accountId }: Environment, nowMs: number) {
  const [given] = await tx.query<{ readonly id: number }>(
    `insert into api_key as k (environment_id, kind, hash, hint)
     values ($1, 'secret', $2, $3)
     on conflict (hash) do update
     set revoked_at = null
     where k.environment_id = excluded.environment_id
       and k.kind = excluded.kind
       and k.revoked_at is not null
     returning id`,
    [id, hash(), keyHint(SUITE_KEY)],
  );
  if (given) {
    const key = `key_${given.id}`;
    await writeAudit(
      tx,
      {
        author: 'belfry',
        reason: 'seed sdk-fixtures',
        action: 'key create',
        scope: { accountId, environmentId: id },
        concerned: { key, kind: 'secret', hint: keyHint(SUITE_KEY) },
      },
      nowMs,
    );
    return;
  }
  const ours = await tx.query(
    `select 1
     from api_key
     where hash = $1
       and environment_id = $2
       and kind = 'secret'`,
    [hash(), id],
  );
  if (ours.length > 0) return;
  throw new CliError(
    'conflict',
    `The key ${JSON.stringify(SUITE_KEY)} is of another environment, and a key opens one only; seed that one.`,
  );
}

async function giveChannels(tx: Queryable, { accountId }: Environment): Promise<void> {
  const ids = plainArray(CHANNELS.map(({ id }) => id));
  const keys = textArray(CHANNELS.map(({ key }) => key));
  await tx.query(
    `insert into channel (id, account_id, key, name, type, provider)
     select id, $1, key, key, type, provider
     from unnest($2::uuid[], $3::text[], $4::text[], $5::text[]) as c (id, key, type, provider)
     on conflict do nothing`,
    [
      accountId,
      ids,
      keys,
      textArray(CHANNELS.map(({ type }) => type)),
      textArray(CHANNELS.map(({ provider }) => provider)),
    ],
  );
  const ours = await tx.query(
    `select 1
     from channel c
     join unnest($2::uuid[], $3::text[]) as wanted (id, key)
       on wanted.id = c.id
      and wanted.key = c.key
     where c.account_id = $1`,
    [accountId, ids, keys],
  );
  if (ours.length === CHANNELS.length) return;
  throw new CliError(
    'conflict',
    'A channel of the suites is of another account, or has another id; seed that account, or take an empty server.',
  );
}

/** One that never fires. */
async function giveSchedule(tx: Queryable, { id }: Environment, nowMs: number): Promise<void> {
  await tx.query(
    `delete from schedule
     where id = $1
       and environment_id = $2`,
    [SCHEDULE.id, id],
  );
  await tx.query(
    `insert into schedule
       (id, environment_id, workflow_key, collection, recipient_id, data, data_size, repeats, starts_at,
        inserted_at, updated_at)
     values ($1, $2, $3, $4, $5, '{}', 2, '[]', $6, $6, $6)`,
    [
      SCHEDULE.id,
      id,
      SCHEDULE.workflow,
      SCHEDULE.collection,
      SCHEDULE.recipient,
      new Date(nowMs).toISOString(),
    ],
  );
}

/** One that is over. */
async function giveOperation(tx: Queryable, { id }: Environment, nowMs: number): Promise<void> {
  await tx.query(
    `insert into bulk_operation
       (id, environment_id, name, input, total, processed, inserted_at, updated_at, started_at, completed_at)
     values ($1, $2, 'users.identify', '{}', 0, 0, $3, $3, $3, $3)
     on conflict (id) do update
     set completed_at = excluded.completed_at
     where bulk_operation.environment_id = excluded.environment_id`,
    [BULK_OPERATION, id, new Date(nowMs).toISOString()],
  );
}

function hash(): Buffer {
  return Buffer.from(keyHash(SUITE_KEY), 'hex');
}
