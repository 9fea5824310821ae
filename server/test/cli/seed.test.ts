import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Knock } from '@knocklabs/node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { belfry, type Started, startBelfry, stopBelfry, temporaryDirectory } from './belfry.ts';

const KEY = 'My API Key';
const ONE_ID = '182bd5e5-6e1a-4fe4-a799-aa6d9a6ab26e';
const GUIDE_CHANNEL = '123e4567-e89b-12d3-a456-426614174000';

let database: TestDatabase;
let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
let server: Started;

beforeAll(async () => {
  database = await createTestDatabase();
  directory = await temporaryDirectory();
  server = await startBelfry({ DATABASE_URL: database.url, BELFRY_DATA_DIR: directory.path });
});
afterAll(async () => {
  await stopBelfry(server);
  await directory?.remove();
  await database?.drop();
});

function seed(...options: readonly string[]) {
  return belfry(['seed', 'sdk-fixtures', ...options, '--json'], server.env);
}

test('an environment that has users is refused, and so is production', async () => {
  const path = join(directory.path, 'credentials.json');
  const { environments } = JSON.parse(await readFile(path, 'utf8'));
  const knock = new Knock({ apiKey: environments.development.secret_key, baseURL: server.url });
  await knock.users.update('mara', {});
  const refused = await seed();
  expect(refused.code).toBe(1);
  expect(JSON.parse(refused.stdout).error).toMatchObject({
    code: 'environment_in_use',
    message: expect.stringContaining('demo/development has users'),
  });
  const production = await seed('--yes', '--environment', 'production');
  expect(JSON.parse(production.stdout).error.code).toBe('usage');
  const keys = await database.db.query('select from api_key');
  expect(keys).toHaveLength(4);
});

test('what the suites of the SDKs ask for answers to their key, and comes back when it is gone', async () => {
  const made = await seed('--yes');
  expect(made.stderr).toBe('');
  const { environment, stand_ins: standIns } = JSON.parse(made.stdout);
  expect(environment).toBe('demo/development');
  const knock = new Knock({ apiKey: KEY, baseURL: server.url, maxRetries: 0 });
  await knock.users.delete('user_id');
  await knock.objects.delete('collection', 'id');
  await knock.tenants.delete('id');
  await knock.schedules.delete({ schedule_ids: [GUIDE_CHANNEL] });

  const again = await seed();
  expect(again.stderr).toBe('');
  expect(JSON.parse(again.stdout).stand_ins).toEqual(standIns);
  expect((await knock.users.get('user_id')).id).toBe('user_id');
  expect((await knock.objects.get('collection', 'id')).id).toBe('id');
  expect((await knock.tenants.get('id')).id).toBe('id');
  expect((await knock.audiences.listMembers('key')).entries).toEqual([]);
  expect((await knock.bulkOperations.get(ONE_ID)).status).toBe('completed');
  expect((await knock.users.getChannelData('user_id', ONE_ID)).data).toMatchObject({
    tokens: ['push_token_1'],
  });
  expect((await knock.users.feeds.listItems('user-123', ONE_ID)).entries).toHaveLength(1);
  const guides = await knock.users.guides.getChannel('user_id', GUIDE_CHANNEL);
  expect(guides.entries.map(({ key }) => key)).toEqual(['tour_notification']);
  const [schedule] = await knock.schedules.update({ schedule_ids: [GUIDE_CHANNEL] });
  expect(schedule?.next_occurrence_at).toBeNull();
  const { message_id: message } = standIns['messages/messages.test.ts'];
  expect((await knock.messages.get(message)).recipient).toBe('user-123');
  const { id: run } = standIns['workflow-recipient-runs.test.ts'];
  expect((await knock.workflowRecipientRuns.get(run)).workflow).toBe('key');
  await expect(knock.get('/_stainless_unknown_path')).rejects.toThrow(Knock.NotFoundError);
}, 60_000);

test('making the key is told in the audit log, once', async () => {
  const lines = await database.db.query<{ readonly concerned: object }>(
    `select concerned
     from audit_log
     where reason = 'seed sdk-fixtures'`,
  );
  expect(lines.map(({ concerned }) => concerned)).toEqual([
    { key: expect.stringMatching(/^key_\d+$/), kind: 'secret', hint: ' Key' },
  ]);
});
