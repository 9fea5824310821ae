import { afterAll, beforeAll, expect, test } from 'vitest';
import { addMembers, listMembers } from '../../src/broadcasts/audience-members.ts';
import { sweepDeletions } from '../../src/deletion/deletion-clock.ts';
import { dueDeletions, GRACE_MS, openDeletions } from '../../src/deletion/open-deletions.ts';
import type { JsonObject } from '../../src/lib/json.ts';
import { deleteRecipient, deleteRecipients } from '../../src/recipients/delete-recipients.ts';
import { identifyMany } from '../../src/recipients/identify.ts';
import { pageRequest } from '../../src/recipients/page.ts';
import { USERS } from '../../src/recipients/reference.ts';
import { subscribe } from '../../src/recipients/subscriptions.ts';
import {
  appendedRuns,
  createEngineWorld,
  delayStep,
  type EngineWorld,
  feedStep,
} from '../support/engine-world.ts';

let world: EngineWorld;
beforeAll(async () => {
  world = await createEngineWorld();
});
afterAll(() => world.close());

const user = (id: string) => ({ collection: USERS, id });

/** Passes until nothing is due. */
async function sweep(): Promise<void> {
  while ((await sweepDeletions(world.test.db, world.clock)) > 0);
}

async function sweepToTheEnd(): Promise<void> {
  await sweep();
  world.clock.move(GRACE_MS);
  await sweep();
}

/** Deletes as a later request: of one millisecond nobody can say what came first. */
async function remove(id: string): Promise<void> {
  world.clock.move(1);
  await deleteRecipient(world.ctx, user(id));
  world.clock.move(1);
}

const identify = (id: string) => identifyMany(world.ctx, [{ ...user(id), properties: {} }]);

async function bodiesOf(id: string): Promise<string[]> {
  const rows = await world.test.db.query<{ body: string }>(
    `select content ->> 'body' as body
     from message
     where recipient_id = $1
     order by id`,
    [id],
  );
  return rows.map(({ body }) => body);
}

async function trigger(
  workflow: { workflowKey: string; versionId: number },
  id: string,
  data: JsonObject = {},
) {
  const { refs } = await world.accept({ ...workflow, recipients: [{ recipient: id }], data });
  return { refs, next: appendedRuns(await world.execute(refs)) };
}

test('nothing of a deleted user is left, of another with the same id elsewhere everything', async () => {
  const { db } = world.test;
  await world.publish('hello', { steps: [feedStep('Hello')] });
  const workflow = await world.workflow({
    trigger_frequency: 'once_per_recipient',
    steps: [feedStep('Hello')],
  });
  for (const id of ['ada', 'bob']) {
    await identify(id);
    await trigger(workflow, id);
    await subscribe(world.ctx, { object: { collection: 'p', id: '1' }, recipients: [id] });
    await addMembers(world.ctx, { key: 'all', create: true, members: [{ user: { id } }] });
  }
  await remove('ada');
  await sweep();
  expect(await bodiesOf('ada')).toEqual([]);
  expect(await bodiesOf('bob')).toEqual(['Hello']);
  const named = async (text: string) => db.query<{ owner: string }>(text);
  expect(await named('select recipient_id as owner from subscription')).toEqual([{ owner: 'bob' }]);
  expect(await named(`select recipient_id as owner from recipient_run order by 1`)).toEqual([
    { owner: '' },
    { owner: 'bob' },
  ]);
  const { entries } = await listMembers(world.ctx, { key: 'all', page: pageRequest({}) });
  expect(entries.map(({ userId }) => userId)).toEqual(['bob']);
  const [orphans] = await db.query<{ events: number; once: number }>(
    `select (select count(*)::int from message_event e where not exists (select from message m where m.id = e.message_id)) as events,
            (select count(*)::int from once_run) as once`,
  );
  expect(orphans).toEqual({ events: 0, once: 1 });
  // Once per recipient: the id starts afresh.
  await identify('ada');
  await trigger(workflow, 'ada');
  expect(await bodiesOf('ada')).toEqual(['Hello']);
});

test('who comes back with the same id at once keeps all that is new', async () => {
  const workflow = await world.workflow({ steps: [feedStep('{{ data.n }}')] });
  const object = { collection: 'p', id: 'back' };
  await identify('cleo');
  await subscribe(world.ctx, { object, recipients: ['cleo'], properties: { old: true } });
  await trigger(workflow, 'cleo', { n: 'old' });
  await remove('cleo');
  await identify('cleo');
  await subscribe(world.ctx, { object, recipients: ['cleo'] });
  await trigger(workflow, 'cleo', { n: 'new' });
  await sweepToTheEnd();
  expect(await bodiesOf('cleo')).toEqual(['new']);
  const rows = await world.test.db.query(
    `select properties
     from subscription
     where recipient_id = 'cleo'`,
  );
  expect(rows).toEqual([{ properties: null }]);
});

test('runs of a deleted user that wait or are queued end without a message; those of who comes back go on', async () => {
  const later = await world.workflow({ steps: [delayStep(60), feedStep('{{ data.n }}')] });
  await identify('dora');
  const waiting = await trigger(later, 'dora', { n: 'waiting' });
  const queued = await world.accept({
    ...later,
    recipients: [{ recipient: 'dora' }],
    data: { n: 'queued' },
  });
  await remove('dora');
  await identify('dora');
  const fresh = await trigger(later, 'dora', { n: 'fresh' });
  await world.executeAll([...waiting.next, ...queued.refs, ...fresh.next]);
  expect(await bodiesOf('dora')).toEqual(['fresh']);
  const steps = await world.test.db.query<{ reason: string }>(
    `select s.steps -> 0 ->> 'reason' as reason
     from recipient_run_segment s
     union all
     select r.steps -> 0 ->> 'reason'
     from recipient_run r`,
  );
  expect(steps.filter(({ reason }) => reason === 'recipient_deleted')).toHaveLength(2);
  // Of runs the rows are kept, as nobody's, also of those that were executed later.
  await sweepToTheEnd();
  const owners = await world.test.db.query<{ n: number }>(
    `select count(*)::int as n
     from recipient_run r
     join workflow_run w on w.id = r.workflow_run_id
     where w.workflow_key = $1
       and r.recipient_id = 'dora'`,
    [later.workflowKey],
  );
  expect(owners).toEqual([{ n: 1 }]);
});

test('runs without a message are cleared too', async () => {
  const workflow = await world.workflow({ steps: [delayStep(60), feedStep('Never')] });
  await identify('hugo');
  await trigger(workflow, 'hugo');
  await remove('hugo');
  await sweep();
  const rows = await world.test.db.query(`select from recipient_run where recipient_id = 'hugo'`);
  expect(rows).toEqual([]);
});

test('a batch that a deleted user opened carries what came for who has the id now', async () => {
  const settings = { batch_window: { unit: 'seconds', value: 60 } };
  const body = '{{ total_activities }}:{% for a in activities %}[{{ a.n }}]{% endfor %}';
  const batched = await world.workflow({
    steps: [{ ref: 'batch_1', type: 'batch', settings }, feedStep(body)],
  });
  await identify('finn');
  const first = await trigger(batched, 'finn', { n: 'old' });
  await remove('finn');
  await identify('finn');
  const second = await trigger(batched, 'finn', { n: 'new' });
  await world.executeAll([...first.next, ...second.next]);
  expect(await bodiesOf('finn')).toEqual(['1:[new]']);
});

test('what an executor was writing when the user was deleted goes two minutes later', async () => {
  const workflow = await world.workflow({ steps: [feedStep('Late')] });
  await identify('gina');
  await trigger(workflow, 'gina');
  await remove('gina');
  // Written as if it had looked before the deletion was committed.
  await sweep();
  await world.test.db.query(
    `update message
     set recipient_id = 'gina'
     where id = (select id from message where recipient_id = 'cleo')`,
  );
  await sweep();
  expect(await bodiesOf('gina')).toEqual(['new']);
  world.clock.move(GRACE_MS);
  await sweep();
  expect(await bodiesOf('gina')).toEqual([]);
  expect(await openDeletions(world.test.db)).toMatchObject({ open: 0 });
});

test('an object with more subscribers than a pass takes loses them all, and nobody else any', async () => {
  const { db } = world.test;
  await db.query(
    `insert into subscription (environment_id, object_collection, object_id, recipient_collection, recipient_id)
     select $1, 'topics', o, '$users', 'reader-' || n
     from unnest(array['large', 'other']) as o, generate_series(1, 11000) as n`,
    [world.ctx.environment.id],
  );
  await deleteRecipient(world.ctx, { collection: 'topics', id: 'large' });
  expect(await sweepDeletions(db, world.clock)).toBe(1);
  const count = async (id: string) => {
    const [row] = await db.query<{ n: number }>(
      'select count(*)::int as n from subscription where object_id = $1',
      [id],
    );
    return row?.n;
  };
  expect(await count('large')).toBe(5_000);
  await sweep();
  expect([await count('large'), await count('other')]).toEqual([0, 11_000]);
});

test('ten thousand deletions of one environment do not delay the one of another', async () => {
  const { db } = world.test;
  const ids = Array.from({ length: 10_000 }, (_, i) => user(`many-${i}`));
  await deleteRecipients(world.ctx, ids);
  world.clock.move(1_000);
  const [other] = await db.query<{ id: number }>(
    `select id
     from environment
     where id <> $1
     limit 1`,
    [world.ctx.environment.id],
  );
  await deleteRecipient(
    { ...world.ctx, environment: { ...world.ctx.environment, id: other?.id ?? 0 } },
    user('single'),
  );
  const due = await dueDeletions(db, world.clock.now());
  expect(due).toHaveLength(21);
  expect(due.map(({ recipientId }) => recipientId)).toContain('single');
});
