import { afterAll, beforeAll, expect, test } from 'vitest';
import { ensurePartitions } from '../../src/db/partitions.ts';
import { formatAddress, RECIPIENT_RUN_PART, WORKFLOW_RUN_PART } from '../../src/lib/address.ts';
import { ksuidFromUuid } from '../../src/lib/ksuid.ts';
import { startTestApi, type TestAccount, type TestApi } from '../api/api-server.ts';

let api: TestApi;
let account: TestAccount;
let other: TestAccount;

beforeAll(async () => {
  api = await startTestApi();
  await ensurePartitions(api.ctx.db, Date.now());
  account = await api.account();
  other = await api.account();
});
afterAll(() => api.close());

const PAUSED = 2;
const COMPLETED = 3;
const startMs = Date.now();
let sequence = 0;

type Given = {
  readonly workflow?: string;
  readonly recipient?: string;
  readonly collection?: string;
  readonly tenant?: string;
  readonly status?: number;
  readonly errors?: number;
  readonly steps?: readonly object[];
  readonly cancellationKey?: string;
  readonly owner?: TestAccount;
};

/** The rows of a trigger for one recipient, as the engine's first execution leaves them. */
async function insertRun(given: Given = {}) {
  sequence += 1;
  // Each a millisecond after the one before, so that their order is known.
  const atMs = startMs + sequence;
  const id = formatAddress(atMs, 7, sequence, 0, RECIPIENT_RUN_PART);
  const workflowRunId = formatAddress(atMs, 7, sequence, 0, WORKFLOW_RUN_PART);
  const environmentId = (given.owner ?? account).development.id;
  await api.ctx.db.query(
    `insert into workflow_run
       (id, environment_id, workflow_key, version_id, actor, tenant, data, cancellation_key, accepted_at)
     values ($1, $2, $3, 1, '"cy"', $4, '{}', $5, $6)`,
    [
      workflowRunId,
      environmentId,
      given.workflow ?? 'welcome',
      given.tenant ?? null,
      given.cancellationKey ?? null,
      new Date(atMs),
    ],
  );
  await api.ctx.db.query(
    `insert into recipient_run
       (id, environment_id, workflow_run_id, collection, recipient_id, status, error_count, steps, executed_at)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
    [
      id,
      environmentId,
      workflowRunId,
      given.collection ?? '$users',
      given.recipient ?? 'ann',
      given.status ?? COMPLETED,
      given.errors ?? 0,
      JSON.stringify(given.steps ?? []),
      new Date(atMs + 5),
    ],
  );
  return { id, workflowRunId, atMs };
}

async function insertSegment(
  id: string,
  segment: number,
  status: number,
  steps: readonly object[],
) {
  await api.ctx.db.query(
    `insert into recipient_run_segment
       (recipient_run_id, segment, status, error_count, steps, executed_at)
     values ($1, $2, $3, $4, $5, $6)`,
    [id, segment, status, 1, JSON.stringify(steps), new Date(startMs + 60_000 + segment)],
  );
}

async function cancel(cancellationKey: string, recipient: string | null, atMs: number) {
  await api.ctx.db.query(
    `insert into cancellation
       (environment_id, workflow_key, cancellation_key, collection, recipient_id, cancelled_at)
     values ($1, 'welcome', $2, $3, $4, $5)`,
    [
      account.development.id,
      cancellationKey,
      recipient === null ? null : '$users',
      recipient,
      new Date(atMs),
    ],
  );
}

async function read(id: string, owner = account) {
  return await api.call('GET', `/v1/workflow_recipient_runs/${id}`, { key: owner.secretKey });
}

async function list(query: string, owner = account) {
  const answer = await api.call('GET', `/v1/workflow_recipient_runs?${query}`, {
    key: owner.secretKey,
  });
  expect(answer.status).toBe(200);
  return answer.body;
}

async function listIds(query: string, owner = account): Promise<string[]> {
  return (await list(query, owner)).items.map(({ id }: { readonly id: string }) => id);
}

test('a run shows as the wire contract has it', async () => {
  const { id, workflowRunId, atMs } = await insertRun({ tenant: 'acme', cancellationKey: 'c-0' });
  const { status, body } = await read(id);
  expect(status).toBe(200);
  expect(body).toEqual({
    __typename: 'WorkflowRecipientRun',
    id,
    workflow_run_id: workflowRunId,
    workflow: 'welcome',
    recipient: 'ann',
    actor: 'cy',
    tenant: 'acme',
    status: 'completed',
    error_count: 0,
    trigger_source: { type: 'api', cancellation_key: 'c-0' },
    inserted_at: new Date(atMs).toISOString(),
    updated_at: new Date(atMs + 5).toISOString(),
    events: [],
  });
});

test('the last segment says where a run is, and all of them tell its story', async () => {
  const step = { step_ref: 'delay_1', step_type: 'delay' };
  const { id } = await insertRun({
    status: PAUSED,
    steps: [{ ...step, outcome: 'waiting', reason: 'until later' }],
  });
  const failure = { step_ref: 'email_1', step_type: 'channel', outcome: 'error', reason: 'bad' };
  await insertSegment(id, 1, PAUSED, [{ ...failure, attempt: 1 }]);
  await insertSegment(id, 2, COMPLETED, [{ ...failure, attempt: 2 }]);
  const { body } = await read(id);
  expect(body).toMatchObject({ status: 'completed', error_count: 2 });
  expect(body.updated_at).toBe(new Date(startMs + 60_002).toISOString());
  expect(body.events).toMatchObject([
    { event: 'step_waiting', status: 'ok', step_ref: 'delay_1', data: { reason: 'until later' } },
    { event: 'step_failed', status: 'error', attempt: 1, data: { reason: 'bad' } },
    { event: 'step_failed', status: 'error', attempt: 2 },
  ]);
  expect(new Set(body.events.map((event: { id: string }) => event.id)).size).toBe(3);
  expect(await listIds('has_errors=true')).toEqual([id]);
  expect(await listIds('has_errors=false')).not.toContain(id);
});

test('the story has every message of a step, and every delivery of each', async () => {
  const { id, workflowRunId, atMs } = await insertRun({
    steps: [{ step_ref: 'email_1', step_type: 'channel', outcome: 'message' }],
  });
  const messageIds = [1, 2].map((part) => formatAddress(atMs + 1, 7, sequence, 0, part));
  for (const messageId of messageIds) {
    await api.ctx.db.query(
      `insert into message
         (id, environment_id, channel_id, channel_type, collection, recipient_id, workflow_run_id,
          recipient_run_id, workflow_key, version_id, step_ref, status, content, inserted_at)
       values ($1, $2, gen_random_uuid(), 1, '$users', 'ann', $3, $4, 'welcome', 1, 'email_1', 0, '{}', $5)`,
      [messageId, account.development.id, workflowRunId, id, new Date(atMs + 5)],
    );
  }
  const attempts = [
    { attempt: 1, status: 3, detail: { message: 'busy' } },
    { attempt: 2, status: 1, detail: { message: 'ok' } },
  ];
  for (const { attempt, status, detail } of attempts) {
    await api.ctx.db.query(
      `insert into delivery (message_id, attempt, status, provider, detail, attempted_at)
       values ($1, $2, $3, 'smtp', $4, $5)`,
      [messageIds[0], attempt, status, JSON.stringify(detail), new Date(atMs + attempt * 1_000)],
    );
  }
  const { body } = await read(id);
  const sent = messageIds.map(ksuidFromUuid);
  expect(body.events).toMatchObject([
    { event: 'message_enqueued', data: { message_id: sent[0], channel_type: 'email' } },
    { event: 'message_enqueued', data: { message_id: sent[1] } },
    { event: 'message_delivery_attempted', status: 'error', attempt: 1, step_ref: 'email_1' },
    { event: 'message_sent', status: 'ok', attempt: 2, data: { detail: { message: 'ok' } } },
  ]);
  expect(new Set(body.events.map((event: { id: string }) => event.id)).size).toBe(4);
});

test('a paused run that was cancelled shows as cancelled, one triggered later does not', async () => {
  const key = { status: PAUSED, cancellationKey: 'c-1' };
  const ann = await insertRun(key);
  const bob = await insertRun({ ...key, recipient: 'bob' });
  const done = await insertRun({ ...key, status: COMPLETED });
  await cancel('c-1', 'ann', ann.atMs);
  expect((await read(ann.id)).body.status).toBe('cancelled');
  expect((await read(bob.id)).body.status).toBe('paused');
  await cancel('c-1', null, bob.atMs);
  expect((await read(bob.id)).body.status).toBe('cancelled');
  expect((await read(done.id)).body.status).toBe('completed');
  const later = await insertRun(key);
  expect((await read(later.id)).body.status).toBe('paused');
  expect(await listIds('status[]=cancelled')).toEqual([bob.id, ann.id]);
  expect(await listIds('status=paused')).toEqual([later.id]);
});

test('runs are found by workflow, tenant, recipient, trigger and time', async () => {
  const run = await insertRun({ workflow: 'rare', tenant: 'globex', recipient: 'zoe' });
  const project = await insertRun({ workflow: 'rare', collection: 'projects', recipient: 'p 1' });
  expect(await listIds('workflow=rare')).toEqual([project.id, run.id]);
  expect(await listIds('tenant=globex')).toEqual([run.id]);
  expect(await listIds('recipient=zoe')).toEqual([run.id]);
  expect(await listIds('recipient[id]=p+1&recipient[collection]=projects')).toEqual([project.id]);
  expect((await read(project.id)).body.recipient).toEqual({ id: 'p 1', collection: 'projects' });
  expect(await listIds(`workflow_run_id=${run.workflowRunId}`)).toEqual([run.id]);
  const at = new Date(run.atMs).toISOString();
  expect(await listIds(`starting_at=${at}&ending_at=${at}`)).toEqual([run.id]);
  expect(await listIds(`starting_at=${new Date(project.atMs + 1).toISOString()}`)).toEqual([]);
});

test('pages lead through all runs, newest first, forth and back', async () => {
  const owner = await api.account();
  const ids: string[] = [];
  for (let i = 0; i < 5; i++) ids.unshift((await insertRun({ owner })).id);
  const first = await list('page_size=2', owner);
  const second = await list(`page_size=2&after=${first.page_info.after}`, owner);
  const third = await list(`page_size=2&after=${second.page_info.after}`, owner);
  const pages = [first, second, third];
  expect(pages.flatMap(({ items }) => items.map(({ id }: { id: string }) => id))).toEqual(ids);
  expect(third.page_info.after).toBeNull();
  expect(await listIds(`page_size=2&before=${third.page_info.before}`, owner)).toEqual(
    ids.slice(2, 4),
  );
});

test('a run of another account is missing', async () => {
  const { id } = await insertRun({ owner: other });
  expect((await read(id, other)).status).toBe(200);
  const answer = await read(id);
  expect([answer.status, answer.body.code]).toEqual([404, 'resource_missing']);
  expect(await listIds('')).not.toContain(id);
});

test('a run that waits in the log is queued, for its own account alone', async () => {
  const acceptedMs = startMs + 1_000;
  const trigger = {
    id: formatAddress(acceptedMs, 9, 5, 0, WORKFLOW_RUN_PART),
    ...{ key: 'welcome', version: 1, actor: null, tenant: 'acme', data: {}, cancel: 'c-9' },
    ...{ settings: {}, at: acceptedMs },
  };
  const body = {
    triggers: [trigger],
    runs: [
      [0, 'ann'],
      [0, ['projects', 'p1']],
    ],
  };
  await api.ctx.db.query(
    `insert into chunk
       (slot, stream, sequence, lane_id, kind, run_count, slice_count, accepted_at, body)
     values (3, 9, 5, $1, 0, 2, 1, $2, $3)`,
    [account.development.id * 4 + 1, new Date(acceptedMs), JSON.stringify(body)],
  );
  const id = (index: number) => formatAddress(acceptedMs, 9, 5, index, RECIPIENT_RUN_PART);
  const { body: run } = await read(id(1));
  expect(run).toMatchObject({
    id: id(1),
    workflow_run_id: trigger.id,
    workflow: 'welcome',
    recipient: { id: 'p1', collection: 'projects' },
    tenant: 'acme',
    status: 'queued',
    trigger_source: { type: 'api', cancellation_key: 'c-9' },
    events: [],
  });
  expect((await read(id(0))).body.recipient).toBe('ann');
  expect((await read(id(0), other)).status).toBe(404);
  expect((await read(id(2))).status).toBe(404);
  expect((await read(formatAddress(acceptedMs + 1, 9, 5, 0, 0))).status).toBe(404);
});

test.each([
  ['status=lost', 'status'],
  ['has_errors=maybe', 'has_errors'],
  ['starting_at=yesterday', 'starting_at'],
  ['after=nonsense', 'after'],
  ['after=bm9uc2Vuc2U', 'after'],
  ['page_size=51', 'page_size'],
  ['recipient[collection]=projects', 'recipient'],
])('a list with %s is refused and the field named', async (query, field) => {
  const answer = await api.call('GET', `/v1/workflow_recipient_runs?${query}`, {
    key: account.secretKey,
  });
  expect([answer.status, answer.body.code]).toEqual([422, 'invalid_params']);
  expect(answer.body.errors[0].field).toMatch(new RegExp(`^${field}`));
});

test.each(['nope', '%22', 'ffffffff-ffff-8fff-bfff-ffffffffffff'])(
  'the run %s is missing',
  async (id) => {
    const answer = await read(id);
    expect([answer.status, answer.body.code]).toEqual([404, 'resource_missing']);
  },
);
