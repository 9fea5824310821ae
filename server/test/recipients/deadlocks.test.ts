import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { openSession, type Queryable, type Session } from '../../src/db/database.ts';
import { deleteRecipients } from '../../src/recipients/delete-recipients.ts';
import { identifyMany } from '../../src/recipients/identify.ts';
import { parseInline } from '../../src/recipients/inline.ts';
import { replacePreferences, setPreferences } from '../../src/recipients/preferences.ts';
import { USERS } from '../../src/recipients/reference.ts';
import { startTestApi, type TestAccount, type TestApi } from '../api/api-server.ts';
import { silentLog } from '../support/log.ts';
import { waitFor } from '../support/wait.ts';

const GATE = 7_007;

let api: TestApi;
let account: TestAccount;
let other: Session;
let gate: Session;

const session = () =>
  openSession({ url: api.databaseUrl, applicationName: 'another request', log: silentLog });

beforeAll(async () => {
  api = await startTestApi();
});
afterAll(() => api.close());
beforeEach(async () => {
  account = await api.account();
  [other, gate] = await Promise.all([session(), session()]);
});
afterEach(async () => {
  await other.close();
  await gate.close();
});

const waiting = (sessions: number) =>
  waitFor(`${sessions} to wait for locks`, async () => {
    const [row] = await api.ctx.db.query<{ sessions: number }>(
      `select count(*) as sessions
       from pg_stat_activity
       where datname = current_database()
         and wait_event_type = 'Lock'`,
    );
    return row?.sessions === sessions ? true : undefined;
  });

const insertUser = (tx: Queryable, id: string) =>
  tx.query(`insert into recipient (environment_id, collection, id) values ($1, '${USERS}', $2)`, [
    account.development.id,
    id,
  ]);

const insertSet = (tx: Queryable, id: string) =>
  tx.query(
    `insert into preference_set (environment_id, collection, recipient_id, id, preferences)
     values ($1, '${USERS}', $2, 'default', '{}')`,
    [account.development.id, id],
  );

const renamed = (tx: Queryable, id: string) =>
  tx.query(
    `update recipient
     set updated_at = now()
     where environment_id = $1
       and id = $2`,
    [account.development.id, id],
  );

test('a request whose statement ends in a deadlock is answered as if nothing had been', async () => {
  const { db } = api.ctx;
  // A gate between the two locks of the statement, and a counter that no rollback turns back.
  await db.query('create sequence passed');
  await db.query(
    `create function pass() returns trigger language plpgsql as
     $$ begin
       perform pg_advisory_lock_shared(${GATE});
       perform pg_advisory_unlock_shared(${GATE});
       perform nextval('passed');
       return new;
     end $$`,
  );
  await db.query(
    'create trigger pass before insert on preference_set for each row execute function pass()',
  );
  try {
    await other.query('begin');
    // It is for the request to notice.
    await other.query(`set local deadlock_timeout = '1h'`);
    await insertSet(other, 'ada');
    await gate.query('select pg_advisory_lock($1)', [GATE]);
    const asked = api.call('PUT', '/v1/users/ada/preferences/default', {
      key: account.secretKey,
      body: { workflows: { news: false } },
    });
    await waiting(1);
    const inserted = insertUser(other, 'ada');
    await waiting(2);
    await gate.query('select pg_advisory_unlock($1)', [GATE]);
    await inserted;
    await other.query('commit');
    expect(await asked).toMatchObject({ status: 200, body: { workflows: { news: false } } });
    // The other one, the request, and the request again.
    expect(await db.query(`select nextval('passed') - 1 as times`)).toEqual([{ times: 3 }]);
  } finally {
    await db.query('drop function pass cascade');
  }
});

test('a request that ends in deadlocks again and again is a 503: send it again', async () => {
  const { db } = api.ctx;
  await db.query('create sequence tried');
  await db.query(
    `create function deadlock() returns trigger language plpgsql as
     $$ begin
       perform nextval('tried');
       raise exception 'deadlock' using errcode = 'deadlock_detected';
     end $$`,
  );
  await db.query(
    'create trigger deadlock before insert on recipient for each row execute function deadlock()',
  );
  try {
    const body = { name: 'Ada' };
    const answer = await api.call('PUT', '/v1/users/ada', { key: account.secretKey, body });
    expect(answer).toMatchObject({ status: 503, body: { code: 'overloaded' } });
    expect(answer.headers['retry-after']).toBe('1');
    expect(await db.query(`select nextval('tried') - 1 as times`)).toEqual([{ times: 4 }]);
    const insert = db.transaction((tx) => insertUser(tx, 'ada'));
    await expect(insert).rejects.toMatchObject({ code: '40P01' });
    // A transaction may have done more than its statements: it is for its verb to say that it has not.
    expect(await db.query(`select nextval('tried') - 1 as times`)).toEqual([{ times: 6 }]);
  } finally {
    await db.query('drop function deadlock cascade');
  }
});

// The first in the order of all comes last.
const ids = [...Array.from({ length: 50 }, (_, n) => `user-${n}`), 'ada'];

const known = () =>
  identifyMany(
    account.environment,
    ids.map((id) =>
      parseInline({ collection: USERS, id }, { preferences: { default: { workflows: {} } } }, ''),
    ),
  );
const preferences = { workflows: { news: false } };

test.each([
  [
    'set a set of preferences',
    () =>
      setPreferences(account.environment, {
        ...{ collection: USERS, id: 'ada', setId: 'default' },
        ...{ preferences, strategy: 'merge' },
      }),
  ],
  [
    'replace the sets of many',
    () =>
      replacePreferences(account.environment, {
        ...{ collection: USERS, ids, setId: 'default' },
        preferences,
      }),
  ],
  [
    'delete many recipients',
    () =>
      deleteRecipients(
        account.environment,
        ids.map((id) => ({ collection: USERS, id })),
      ),
  ],
])('whoever wants to %s holds nothing while it waits for the first recipient', async (_, write) => {
  await known();
  await other.query('begin');
  await renamed(other, 'ada');
  const writing = write();
  await waiting(1);
  const { id } = account.development;
  const free = async (rows: string) =>
    (await gate.query(`select from ${rows} where environment_id = $1 for update skip locked`, [id]))
      .length;
  expect(await free('preference_set')).toBe(ids.length);
  // Only the one that the other session holds is not to be had.
  expect(await free('recipient')).toBe(ids.length - 1);
  await other.query('commit');
  await writing;
});
