import { expect, test } from 'vitest';
import { waitFor } from '../support/wait.ts';
import type { WalkWorld } from './walk-world.ts';

/** Triggers, runs, schedules, messages and feeds. */
export function walkMessages(world: () => WalkWorld): void {
  test('a trigger makes a run for each recipient, which tells what it did', async () => {
    const { sdk } = world();
    const { workflow_run_id: id } = await sdk.workflows.trigger('comment', {
      recipients: ['ada', 'ben'],
      actor: 'carl',
      tenant: 'acme',
      data: { text: 'Hi' },
    });
    const runs = await waitFor('both runs', async () => {
      const page = await sdk.workflowRecipientRuns.list({ workflow: 'comment', tenant: 'acme' });
      return page.items.length === 2 ? page.items : undefined;
    });
    expect(new Set(runs.map((run) => run.workflow_run_id))).toEqual(new Set([id]));
    const detail = await sdk.workflowRecipientRuns.get(runs[0]?.id ?? '');
    expect(detail.events.map(({ event }) => event)).toContain('message_enqueued');
  });

  test('a delayed run is cancelled by its key, in both forms of the endpoint', async () => {
    const { sdk, call } = world();
    await sdk.workflows.trigger('reminder', { recipients: ['dora'], cancellation_key: 'k1' });
    const notified = await call('POST', '/v1/notify', {
      name: 'reminder',
      recipients: ['dora'],
      actor: 'ada',
      cancellation_key: 'k2',
    });
    expect(notified).toMatchObject({ result_id: expect.any(String) });
    const withStatus = (status: 'paused' | 'cancelled') =>
      waitFor(`two runs ${status}`, async () => {
        const page = await sdk.workflowRecipientRuns.list({ recipient: 'dora', status: [status] });
        return page.items.length === 2 ? true : undefined;
      });
    await withStatus('paused');
    await sdk.workflows.cancel('reminder', { cancellation_key: 'k1', recipients: ['dora'] });
    await call('POST', '/v1/notify/cancel', { name: 'reminder', cancellation_key: 'k2' });
    await withStatus('cancelled');
  });

  test('schedules are created, changed, listed from every end and deleted', async () => {
    const { sdk } = world();
    const recipients = [{ id: 'ada' }, { id: 'plan', collection: 'projects' }];
    const created = await sdk.schedules.create({
      workflow: 'comment',
      recipients,
      repeats: [{ frequency: 'weekly', days: ['mon'], hours: 9 }],
      data: { text: 'Weekly' },
      tenant: 'acme',
      actor: { id: 'carl' },
    });
    expect(created).toHaveLength(2);
    const ids = created.map(({ id }) => id);
    const changed = await sdk.schedules.update({ schedule_ids: ids, data: { text: 'Anew' } });
    expect(changed.map(({ data }) => data)).toEqual([{ text: 'Anew' }, { text: 'Anew' }]);
    expect((await sdk.schedules.list({ workflow: 'comment' })).entries).toHaveLength(2);
    expect((await sdk.users.listSchedules('ada')).entries).toHaveLength(1);
    expect((await sdk.objects.listSchedules('projects', 'plan')).entries).toHaveLength(1);
    expect(await sdk.schedules.delete({ schedule_ids: ids })).toHaveLength(2);
    expect((await sdk.schedules.list({ workflow: 'comment' })).entries).toEqual([]);
    const bulk = await sdk.schedules.bulk.create({
      schedules: [
        { workflow: 'comment', recipient: { id: 'ada' }, repeats: [{ frequency: 'daily' }] },
      ],
    });
    expect(bulk.estimated_total_rows).toBe(1);
  });

  test('a message is listed of everybody, a user and an object, with what happened to it', async () => {
    const { sdk, message } = world();
    const sent = await message('comment', 'eva', { text: 'Hello' });
    expect(await sdk.messages.get(sent.id)).toEqual(sent);
    expect((await sdk.messages.list({ message_ids: [sent.id] })).items).toEqual([sent]);
    const events = await sdk.messages.listEvents(sent.id);
    expect(events.items.map(({ type }) => type)).toContain('message.delivered');
    const activities = await sdk.messages.listActivities(sent.id);
    expect(activities.items).toMatchObject([{ recipient: { id: 'eva' }, data: { text: 'Hello' } }]);
    const object = { id: 'wall', collection: 'projects' };
    await sdk.workflows.trigger('comment', { recipients: [object], data: { text: 'Wall' } });
    const items = await waitFor('the message of the object', async () => {
      const page = await sdk.objects.listMessages('projects', 'wall');
      return page.items.length > 0 ? page.items : undefined;
    });
    expect(items[0]?.recipient).toEqual(object);
  });

  test('messages of every channel type say what was sent', async () => {
    const { sdk, message, channels } = world();
    await sdk.users.update('fay', {
      name: 'Fay',
      email: 'fay@example.com',
      phone_number: '+15550100',
    });
    await sdk.users.setChannelData('fay', channels.push ?? '', { data: { tokens: ['t1'] } });
    await sdk.users.setChannelData('fay', channels.chat ?? '', {
      data: { connections: [{ incoming_webhook: { url: 'https://chat.example/hook' } }] },
    });
    const ids: string[] = [];
    for (const workflow of ['comment', 'letter', 'text', 'knock', 'chat']) {
      const { id } = await message(workflow, 'fay', { text: 'Hello' });
      const content = await sdk.messages.getContent(id);
      expect(content.message_id).toBe(id);
      ids.push(id);
    }
    const contents = await sdk.messages.batch.getContent({ message_ids: ids });
    expect(contents.map(({ data }) => data.__typename)).toEqual([
      'MessageInAppFeedContent',
      'MessageEmailContent',
      'MessageSmsContent',
      'MessagePushContent',
      'MessageChatContent',
    ]);
    const logs = await waitFor('the delivery of the e-mail', async () => {
      const page = await sdk.messages.listDeliveryLogs(ids[1] ?? '');
      return page.items.length > 0 ? page.items : undefined;
    });
    expect(logs[0]?.__typename).toBe('MessageDeliveryLog');
  });

  test('what a recipient does with a message is recorded and taken back', async () => {
    const { sdk, message, call } = world();
    const { id } = await message('comment', 'gus', { text: 'Hello' });
    const has = (one: { engagement_statuses: readonly string[] }, status: string) =>
      one.engagement_statuses.includes(status);
    expect(has(await sdk.messages.markAsSeen(id), 'seen')).toBe(true);
    expect(has(await sdk.messages.markAsUnseen(id), 'seen')).toBe(false);
    expect(has(await sdk.messages.markAsRead(id), 'read')).toBe(true);
    expect(has(await sdk.messages.markAsUnread(id), 'read')).toBe(false);
    expect(has(await sdk.messages.archive(id), 'archived')).toBe(true);
    expect(has(await sdk.messages.unarchive(id), 'archived')).toBe(false);
    const metadata = { button: 'primary' };
    expect(has(await sdk.messages.markAsInteracted(id, { metadata }), 'interacted')).toBe(true);
    for (const alias of ['unseen', 'unread', 'unarchived']) {
      expect(await call('DELETE', `/v1/messages/${id}/${alias}`)).toMatchObject({ id });
    }
    expect((await sdk.messages.get(id)).read_at).toBeNull();
  });

  test('what recipients do with several messages is recorded at once', async () => {
    const { sdk, message } = world();
    const { batch } = sdk.messages;
    const message_ids = [
      (await message('comment', 'hal', { text: 'One' })).id,
      (await message('comment', 'hal', { text: 'Two' })).id,
    ];
    expect(await sdk.messages.batch.markAsSeen({ message_ids })).toHaveLength(2);
    expect((await batch.markAsUnseen({ message_ids })).map(({ seen_at }) => seen_at)).toEqual([
      null,
      null,
    ]);
    expect(await sdk.messages.batch.markAsRead({ message_ids })).toHaveLength(2);
    expect((await batch.markAsUnread({ message_ids })).map(({ read_at }) => read_at)).toEqual([
      null,
      null,
    ]);
    expect(await sdk.messages.batch.archive({ message_ids })).toHaveLength(2);
    expect((await batch.unarchive({ message_ids })).map(({ archived_at }) => archived_at)).toEqual([
      null,
      null,
    ]);
    const interacted = await batch.markAsInteracted({ message_ids, metadata: { button: 'a' } });
    expect(interacted.map(({ id }) => id)).toEqual(message_ids);
  });

  test('a feed has the items, their counts and its settings, and the whole of it changes at once', async () => {
    const { sdk, message, channels } = world();
    const feed = channels['in-app'] ?? '';
    await message('comment', 'ira', { text: 'One' });
    const { entries } = await sdk.users.feeds.listItems('ira', feed);
    expect(entries).toMatchObject([
      { __typename: 'FeedItem', read_at: null, data: { text: 'One' } },
    ]);
    await sdk.users.feeds.listItems('ira', feed, { mode: 'compact' });
    expect(await sdk.users.feeds.getSettings('ira', feed)).toMatchObject({ features: {} });
    await sdk.channels.bulk.updateMessageStatus(feed, 'read', { recipient_ids: ['ira'] });
    await waitFor('the item to be read', async () => {
      const page = await sdk.users.feeds.listItems('ira', feed, { status: 'read' });
      return page.entries.length === 1 ? true : undefined;
    });
  });
}
