import { afterAll, beforeAll, expect, test } from 'vitest';
import { recordCancellation } from '../../src/engine/cancel.ts';
import type { ChunkRef } from '../../src/engine/log/chunk.ts';
import { listActivities } from '../../src/feed/list-activities.ts';
import { listFeed, readFeedQuery } from '../../src/feed/list-feed.ts';
import { getMessage } from '../../src/feed/load-messages.ts';
import { readPage } from '../../src/feed/page.ts';
import { triggerDataParameter } from '../../src/feed/trigger-data.ts';
import type { JsonObject } from '../../src/lib/json.ts';
import { ksuidFromUuid } from '../../src/lib/ksuid.ts';
import { timeOrderedUuid } from '../../src/lib/uuid.ts';
import * as rows from '../support/engine-rows.ts';
import {
  appendedRuns,
  createEngineWorld,
  type EngineWorld,
  feedStep,
} from '../support/engine-world.ts';

/** A message says which triggers are in it: one, or those of its batch. */

let world: EngineWorld;
beforeAll(async () => {
  world = await createEngineWorld();
  await world.test.db.query(
    `
    insert into recipient (environment_id, collection, id, properties)
    select $1, '$users', id, jsonb_build_object('name', upper(id))
    from unnest('{ada,bob,cem}'::text[]) as id`,
    [world.ctx.environment.id],
  );
});
afterAll(() => world.close());

const batchStep = {
  ref: 'batch_1',
  type: 'batch',
  settings: { batch_window: { unit: 'minutes', value: 10 } },
};

/** The message that these triggers become for Ada. */
async function messageOf(
  steps: readonly JsonObject[],
  requests: readonly {
    readonly actor?: string;
    readonly data: JsonObject;
    readonly cancel?: string;
  }[],
) {
  const of = await world.workflow({ steps });
  const recipients = [{ recipient: 'ada' }];
  const waiting: ChunkRef[] = [];
  const runIds: string[] = [];
  for (const { actor = null, data, cancel = null } of requests) {
    world.clock.move(1_000);
    const accepted = await world.accept({
      ...of,
      recipients,
      actor,
      data,
      cancellationKey: cancel,
    });
    runIds.push(...accepted.runIds);
    waiting.push(...appendedRuns(await world.execute(accepted.refs)));
  }
  return {
    close: async () => {
      await world.executeAll(waiting);
      const [message] = await rows.messagesOf(world.test.db, runIds[0] ?? '');
      return ksuidFromUuid(message?.id ?? '');
    },
    ...of,
  };
}

const activities = (messageId: string, query: JsonObject = {}) =>
  listActivities(world.ctx, {
    messageId,
    page: readPage(query),
    triggerData: triggerDataParameter(query),
  });

async function feedItem(messageId: string, mode = 'rich') {
  const channelId = world.channels['in-app'] ?? '';
  const query = readFeedQuery({ mode });
  const { entries } = await listFeed(world.ctx, { userId: 'ada', channelId, query });
  return JSON.parse(JSON.stringify(entries.find(({ id }) => id === messageId)));
}

test('a message without a batch has one activity: its trigger', async () => {
  const made = await messageOf([feedStep('x')], [{ actor: 'bob', data: { n: 1 } }]);
  const messageId = await made.close();
  const { items, page_info } = await activities(messageId);
  expect(items).toMatchObject([
    {
      __typename: 'Activity',
      actor: { __typename: 'User', id: 'bob', name: 'BOB' },
      recipient: { __typename: 'User', id: 'ada' },
      data: { n: 1 },
    },
  ]);
  expect(page_info).toMatchObject({ after: null, before: null });
  expect((await activities(messageId, { trigger_data: '{"n": 2}' })).items).toEqual([]);
  expect(await feedItem(messageId)).toMatchObject({
    activities: items,
    total_activities: 1,
    total_actors: 1,
  });
});

test('a batch’s message has all of its activities by pages, newest first, and no cancelled one', async () => {
  const requests = Array.from({ length: 30 }, (_, i) => ({
    actor: i % 3 === 0 ? 'bob' : 'cem',
    data: { n: i, kind: i < 5 ? 'a' : 'b', attachments: [{ name: 'x', content: 'eA==' }] },
    cancel: `key-${i}`,
  }));
  const made = await messageOf([batchStep, feedStep('x')], requests);
  await recordCancellation(world.test.db, world.clock.now(), {
    environmentId: world.ctx.environment.id,
    workflowKey: made.workflowKey,
    cancellationKey: 'key-7',
  });
  const messageId = await made.close();
  const seen: unknown[] = [];
  let after: string | null = null;
  do {
    const page = await activities(messageId, { page_size: '8', ...(after ? { after } : {}) });
    seen.push(...page.items.map(({ data }) => data?.n));
    after = page.page_info.after;
  } while (after !== null);
  const all = Array.from({ length: 30 }, (_, i) => 29 - i).filter((n) => n !== 7);
  expect(seen).toEqual(all);
  const first = await activities(messageId, { page_size: '5' });
  const second = await activities(messageId, { page_size: '5', after: first.page_info.after });
  const back = await activities(messageId, { page_size: '5', before: second.page_info.before });
  expect(back.items).toEqual(first.items);
  const some = await activities(messageId, { trigger_data: '{"kind": "a"}' });
  expect(some.items.map(({ data }) => data?.n)).toEqual([4, 3, 2, 1, 0]);
  expect(some.items[0]).toMatchObject({ actor: { id: 'cem' }, recipient: { id: 'ada' } });
});

test('a feed item has the ten newest activities, exact totals, and no attachments', async () => {
  const requests = Array.from({ length: 14 }, (_, i) => ({
    actor: i === 13 ? 'bob' : 'cem',
    data: { n: i, attachments: [{ name: 'x', content: 'eA==' }] },
  }));
  const made = await messageOf([batchStep, feedStep('x')], requests);
  const messageId = await made.close();
  const item = await feedItem(messageId);
  expect(item.activities.map(({ data }: { data: JsonObject }) => data)).toEqual(
    Array.from({ length: 10 }, (_, i) => ({ n: 13 - i })),
  );
  expect(item).toMatchObject({
    total_activities: 14,
    total_actors: 2,
    actors: [{ id: 'bob' }, { id: 'cem' }],
  });
  expect(item.data).not.toHaveProperty('attachments');
  const compact = await feedItem(messageId, 'compact');
  expect(compact).toMatchObject({ actors: [{ id: 'bob' }], total_actors: 2 });
  expect(compact).not.toHaveProperty('activities');
  expect(await getMessage(world.ctx, { messageId })).toMatchObject({ actors: ['bob', 'cem'] });
});

test('an unknown message has no activities: it is not there', async () => {
  const unknown = ksuidFromUuid(timeOrderedUuid(world.clock.now()));
  await expect(activities(unknown)).rejects.toMatchObject({ code: 'resource_missing' });
  await expect(activities('x')).rejects.toMatchObject({ code: 'resource_missing' });
});
