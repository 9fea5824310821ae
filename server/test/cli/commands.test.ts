import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { waitFor } from '../support/wait.ts';
import {
  belfry,
  closedPort,
  type Finished,
  type Started,
  startBelfry,
  stopBelfry,
  temporaryDirectory,
} from './belfry.ts';

const examples = join(import.meta.dirname, '..', '..', '..', 'examples');

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

/** Runs a command against the server. */
function run(...args: readonly string[]): Promise<Finished> {
  return belfry(args, server.env);
}

/** Runs it with `--json`: it must succeed and print one document and nothing else. */
async function runJson(...args: readonly string[]) {
  const { code, stdout, stderr } = await run(...args, '--json');
  expect(stderr).toBe('');
  expect(code).toBe(0);
  return JSON.parse(stdout);
}

/** The first page of a list, as soon as it has something. */
function someOf(...args: readonly string[]) {
  return waitFor(args.join(' '), async () => {
    const { items } = await runJson(...args);
    return items.length > 0 ? items : undefined;
  });
}

test('push publishes the workflows of a directory, and again changes nothing', async () => {
  const pushed = await runJson('push', examples, '--environment', 'production');
  expect(pushed).toMatchObject({ environment: 'production', warnings: [] });
  expect(pushed.published).toContainEqual(
    expect.objectContaining({ key: 'new-comment', number: 1, changed: true }),
  );
  const again = await run('push', examples, '--environment', 'production');
  expect(again.stdout).toMatch(/^new-comment +1 +unchanged$/m);
});

test('run shows each step as it happens, and what was rendered', async () => {
  const data = '{"comment":"Looks good","page":"Plan"}';
  await run('push', examples);
  const shown = await run(
    'run',
    'new-comment',
    '--recipient',
    '{"id":"ann","email":"a@example.com"}',
    '--data',
    data,
  );
  expect(shown.stderr).toBe('');
  expect(shown.stdout).toMatch(/ann {2}in_app_feed_1 {2}message enqueued/);
  expect(shown.stdout).toContain('Looks good');
  expect(shown.stdout).toMatch(/email_1 {2}message delivered/);
  expect(shown.stdout).toContain('1 run: 1 completed');
  const document = await runJson('run', 'new-comment', '--recipient', 'dan', '--data', data);
  expect(document.runs).toMatchObject([{ recipient: 'dan', status: 'completed' }]);
  expect(document.runs[0].messages.length).toBeGreaterThan(0);
});

test('run --preview renders a step for somebody, and nothing is sent', async () => {
  const before = await runJson('runs', '--workflow', 'new-comment');
  const data = ['--data', '{"comment":"Looks <b>good</b>","page":"Plan"}'];
  const shown = await run(
    'run',
    'new-comment',
    '--recipient',
    '{"id":"ann","email":"new@example.com"}',
    ...data,
    '--preview',
    'email_1',
  );
  expect(shown.stderr).toBe('');
  expect(shown.stdout).toContain('to: new@example.com');
  expect(shown.stdout).toContain('Looks <b>good</b>');
  const document = await runJson(
    'run',
    'new-comment',
    '--recipient',
    'ann',
    ...data,
    '--preview',
    'email_1',
  );
  expect(document).toMatchObject({ result: 'success', content_type: 'email' });
  expect(document.template.html_body).toContain('Looks &lt;b&gt;good');
  // What the preview brought along was not stored.
  expect(document.template.to).toBe('a@example.com');
  expect(await runJson('runs', '--workflow', 'new-comment')).toEqual(before);
  const unknown = await run('run', 'new-comment', '--recipient', 'ann', '--preview', 'nope');
  expect(unknown).toMatchObject({ code: 1 });
  expect(unknown.stderr).toContain('There is no step "nope" of the workflow "new-comment"');
});

test('push tells file, JSON path and reason of each problem, and publishes nothing', async () => {
  const workflow = join(directory.path, 'bad', 'workflows', 'bad');
  await mkdir(workflow, { recursive: true });
  const step = { ref: 'x', type: 'channel', channel_key: 'nowhere' };
  await writeFile(
    join(workflow, 'workflow.json'),
    JSON.stringify({ name: 'Bad', steps: [step, { ref: 'y', type: 'warp' }] }),
  );
  const { code, stdout, stderr } = await run('push', join(directory.path, 'bad'), '--json');
  expect(code).toBe(1);
  const { error } = JSON.parse(stdout);
  expect(error.code).toBe('push_refused');
  expect(error.details.length).toBeGreaterThanOrEqual(2);
  for (const detail of error.details) {
    expect(detail).toEqual({
      file: 'workflows/bad/workflow.json',
      path: expect.stringContaining('steps['),
      reason: expect.stringMatching(/\w/),
    });
    expect(stderr).toContain(`${detail.file}: ${detail.path}: ${detail.reason}`);
  }
});

test('push of a directory that is not there says so', async () => {
  const { code, stderr } = await run('push', join(directory.path, 'nothing'));
  expect(code).toBe(1);
  expect(stderr).toContain('there is no such directory');
});

test('trigger starts runs that runs and messages then tell of', async () => {
  const data = JSON.stringify({ comment: 'Hello' });
  const trigger = await runJson(
    ...['trigger', 'new-comment', '--recipient', 'ann', '{"id":"bob","name":"Bob"}'],
    ...['--actor', 'cy', '--tenant', 'acme', '--data', data],
  );
  expect(trigger).toEqual({ workflow_run_id: expect.stringMatching(/^[0-9a-f-]{36}$/) });

  const runs = await waitFor('both runs', async () => {
    const { items } = await runJson('runs', trigger.workflow_run_id);
    return items.length === 2 ? items : undefined;
  });
  expect(runs.map((item: { recipient: string }) => item.recipient).sort()).toEqual(['ann', 'bob']);
  expect(runs[0]).toMatchObject({ workflow: 'new-comment', actor: 'cy', tenant: 'acme' });

  const [message] = await someOf('messages', '--run', runs[0].id);
  const story = await runJson('runs', runs[0].id);
  expect(story.events).toContainEqual(
    expect.objectContaining({
      event: 'message_enqueued',
      status: 'ok',
      data: { message_id: message.id, channel_type: 'in_app_feed' },
    }),
  );
  const shown = await runJson('messages', message.id);
  expect(shown).toMatchObject({ id: message.id, events: expect.any(Array), delivery_logs: [] });

  const filtered = await runJson('runs', '--recipient', 'bob', '--workflow', 'new-comment');
  expect(filtered.items).toHaveLength(1);
  const table = await run('runs');
  expect(table.stdout).toMatch(/^RUN +WORKFLOW +RECIPIENT +STATUS +TRIGGERED$/m);
  expect(table.stdout).toMatch(/ann +completed +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$/m);
});

test('text is without colours where nobody looks at a terminal', async () => {
  const { stdout } = await run('keys', 'list');
  expect(stdout).toContain('operator_1');
  expect(stdout).not.toContain('\u001b');
});

test('trigger of an unknown workflow fails with one sentence that says what to do', async () => {
  const { code, stdout, stderr } = await run('trigger', 'nope', '--recipient', 'ann');
  expect([code, stdout]).toEqual([1, '']);
  expect(stderr).toBe(
    'There is no published workflow "nope" in this environment; publish it with: belfry push DIR\n',
  );
});

test('a failure with --json is one document, and a message on stderr', async () => {
  const { code, stdout, stderr } = await run('trigger', 'nope', '--recipient', 'ann', '--json');
  expect(code).toBe(1);
  const { error } = JSON.parse(stdout);
  expect(error).toMatchObject({ code: 'workflow_missing', details: [] });
  expect(stderr).toBe(`${error.message}\n`);
});

test.each([
  [['trigger', 'x', '--recipient', 'ann', '--data', '{'], 1],
  [['trigger', 'x'], 2],
  [['keys', 'create', '--kind', 'house'], 2],
  [['nonsense'], 2],
])('a command that makes no sense is refused: %j', async (args, code) => {
  const finished = await run(...args, '--json');
  expect(finished.code).toBe(code);
  expect(JSON.parse(finished.stdout).error.code).toBe('usage');
  expect(finished.stderr).not.toContain('    at ');
});

test('a key is created, listed without its text, and revoked at once', async () => {
  const key = await runJson('keys', 'create', '--kind', 'secret');
  expect(key).toMatchObject({ kind: 'secret', account: 'demo', environment: 'development' });
  expect(key.key).toMatch(/^sk_test_/);
  expect((await runJson('runs', '--secret-key', key.key)).items).toEqual(expect.any(Array));

  const { entries } = await runJson('keys', 'list', '--account', 'demo');
  const listed = entries.find((entry: { id: string }) => entry.id === key.id);
  expect(listed).toMatchObject({ hint: key.key.slice(-4), revoked_at: null });
  expect(JSON.stringify(entries)).not.toContain(key.key);

  expect(await runJson('keys', 'revoke', key.id)).toMatchObject({ id: key.id, revoked: true });
  const refused = await run('runs', '--secret-key', key.key, '--json');
  expect(refused.code).toBe(1);
  expect(JSON.parse(refused.stdout).error.code).toBe('api_key_expired');
});

test('a revoked secret key comes with the command that holds what it brought', async () => {
  const { id, key } = await runJson('keys', 'create', '--kind', 'secret');
  const { code, stdout } = await run('keys', 'revoke', `...${key.slice(-4)}`, '--reason', 'leaked');
  expect(code).toBe(0);
  expect(stdout).toContain(`${id} opens nothing any more.`);
  expect(stdout).toContain(`hold what it brought with: belfry hold --key ${id} --reason "leaked"`);
  const [line] = (await runJson('audit', '--account', 'demo', '--limit', '1')).entries;
  expect(line).toMatchObject({ action: 'key revoke', reason: 'leaked', scope: { key: { id } } });
  expect(line.author).not.toBe('');
  expect((await run('audit')).stdout).toMatch(/key revoke +demo\/development, key \.\.\.\S{4} /);
});

test('a key is not revoked with --hold as long as there is no reason', async () => {
  const { id, key } = await runJson('keys', 'create', '--kind', 'secret');
  const { code, stderr } = await run('keys', 'revoke', id, '--hold');
  expect([code, stderr]).toEqual([1, expect.stringContaining('give --reason TEXT')]);
  expect((await run('runs', '--secret-key', key)).code).toBe(0);
});

test('account create prints credentials in the form of credentials.json', async () => {
  const credentials = JSON.parse((await run('account', 'create', 'acme')).stdout);
  expect(credentials).toMatchObject({
    account: 'acme',
    service_token: expect.stringMatching(/^knock_st_/),
    environments: {
      development: {
        secret_key: expect.stringMatching(/^sk_test_/),
        public_key: expect.stringMatching(/^pk_test_/),
        signing_key_pem: expect.stringContaining('PRIVATE KEY'),
        channels: {
          'in-app': expect.any(String),
          email: expect.any(String),
          webhook: expect.any(String),
        },
      },
      production: expect.any(Object),
    },
  });
  const again = await run('account', 'create', 'acme', '--json');
  expect([again.code, JSON.parse(again.stdout).error.code]).toEqual([1, 'conflict']);
});

test('account limits sets, shows and lifts what an account may send', async () => {
  await run('account', 'create', 'limited');
  const set = await runJson('account', 'limits', 'limited', '--requests', '5', '--runs', '100');
  expect(set).toEqual({ requests_per_s: 5, runs_per_s: 100 });
  await runJson('account', 'limits', 'limited', '--runs', 'none');
  const { stdout } = await run('account', 'limits', 'limited');
  expect(stdout).toMatch(/requests a second +5\nruns a second +none\n/);
  expect(await run('account', 'limits', 'limited', '--runs', '0')).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('give a number above 0, or none'),
  });
});

test('account share shows and changes a share, and takes nothing that is no number for "any"', async () => {
  await run('account', 'create', 'sharing');
  await runJson('account', 'share', 'sharing', '--slots', '2');
  expect(await run('account', 'share', 'sharing', '--slots', 'abc')).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('give a number above 0, or any'),
  });
  const { stdout } = await run('account', 'share', 'sharing');
  expect(stdout).toMatch(/weight +1\nslots +2\n/);
  expect(await runJson('account', 'share', 'sharing', '--slots', 'any')).toEqual({
    weight: 1,
    slots: null,
  });
});

test('doctor finds nothing wrong with a server that works', async () => {
  const { ok, checks } = JSON.parse((await run('doctor', '--json')).stdout);
  const failed = checks.filter((check: { state: string }) => check.state === 'fail');
  // The database of the tests has fsync off, and doctor must say so.
  expect(failed.map((check: { name: string }) => check.name)).toEqual(['durability']);
  expect(ok).toBe(false);
  const states = new Map(
    checks.map((check: { name: string; state: string }) => [check.name, check.state]),
  );
  for (const name of [
    'node',
    'data directory',
    'database',
    'migrations',
    'server',
    'credentials',
  ]) {
    expect([name, states.get(name)]).toEqual([name, 'ok']);
  }
});

test('doctor names each thing that is wrong and a way out, and exits with 1', async () => {
  const file = join(directory.path, 'file');
  await writeFile(file, '');
  const { code, stdout } = await belfry(['doctor', '--json'], {
    BELFRY_DATA_DIR: join(file, 'below'),
    BELFRY_URL: `http://127.0.0.1:${await closedPort()}`,
    DATABASE_URL: 'postgres://nobody@127.0.0.1:1/nothing',
    BELFRY_SMTP_URL: 'smtp://127.0.0.1:1',
  });
  expect(code).toBe(1);
  const { checks } = JSON.parse(stdout);
  for (const name of ['data directory', 'database', 'e-mail']) {
    expect(checks).toContainEqual({
      name,
      state: 'fail',
      finding: expect.stringMatching(/\.$/),
      way_out: expect.stringMatching(/\.$/),
    });
  }
  expect(checks).toContainEqual(expect.objectContaining({ name: 'server', state: 'warn' }));
});

test('without a server each command says that none answers', async () => {
  const url = `http://127.0.0.1:${await closedPort()}`;
  for (const dataDir of [directory.path, join(directory.path, 'nothing')]) {
    const { code, stderr } = await belfry(['runs'], { BELFRY_DATA_DIR: dataDir, BELFRY_URL: url });
    expect(code).toBe(1);
    expect(stderr).toMatch(`No server answers at ${url}; start one with npm start`);
  }
});

test('ledger shows that accepted work is accounted for, and tells of a gap by its exit code', async () => {
  const gauge = async (name: string): Promise<number> => {
    const text = await (await fetch(`${server.url}/metrics`)).text();
    return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1]);
  };
  const [run1] = await someOf('runs');
  const acceptedMs = Date.parse(run1.inserted_at);
  await waitFor(
    'a check of the ledger',
    async () =>
      (await gauge('belfry_ledger_checked_at_seconds')) * 1_000 > acceptedMs ? true : undefined,
    40_000,
  );
  const { entries, ...state } = await runJson('ledger', '--account', 'demo');
  expect(state).toMatchObject({ state: 'balanced', gap_runs: 0, gaps: [] });
  expect(entries[0]).toMatchObject({ account: 'demo', missing: 0 });
  expect((await run('ledger')).stdout).toContain('The ledger balances');
  await database.db.query('delete from recipient_run');
  await waitFor(
    'the gap',
    async () => ((await gauge('belfry_ledger_gap_runs')) > 0 ? true : undefined),
    40_000,
  );
  const gap = await run('ledger');
  expect(gap).toMatchObject({
    code: 1,
    stdout: expect.stringContaining('The ledger has a gap of'),
  });
}, 100_000);

test('quarantine is listed, set by hand with a reason, and left to the rules again', async () => {
  expect((await run('quarantine')).stdout).toContain('Every account is normal.');
  const set = (level: string) =>
    runJson('quarantine', 'set', 'demo', level, '--reason', 'a test', '--for', '30m');
  expect(await set('surge')).toMatchObject({ account: { name: 'demo' }, recorded: true });
  const { stdout } = await run('quarantine', 'list');
  expect(stdout).toMatch(/^surge, by \S.* until .*: account demo/);
  expect(stdout).toMatch(/ demo +normal -> surge +set by hand: .*, a test$/m);
  expect(await set('automatic')).toMatchObject({ level: 'automatic', until: null });
  const { code, stderr } = await run('quarantine', 'set', 'demo', 'surge', '--for', 'ever');
  expect({ code, stderr }).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('such as 90s, 30m'),
  });
});

test('logs lists requests with what failed, and shows one by its x-request-id', async () => {
  expect((await run('trigger', 'no-such-workflow', '--recipient', 'ada')).code).toBe(1);
  const failed = await waitFor('the request', async () => {
    const { entries } = await runJson('logs', '--status', '404', '--path', '/v1/workflows/no-such');
    return entries.length > 0 ? entries : undefined;
  });
  const { stdout } = await run('logs', '--status', 'failed');
  expect(stdout).toMatch(/ 404 +POST +\/v1\/workflows\/no-such-workflow\/trigger +\d+ ms +\S+/);
  const one = await run('logs', failed[0].id);
  expect(one.stdout).toContain('/v1/workflows/:key/trigger');
  expect(one.stdout).toContain('"ada"');
  expect((await run('logs', 'unknown')).stderr).toContain('No request "unknown" is recorded');
});
