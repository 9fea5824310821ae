import { expect, test } from 'vitest';
import type { WalkWorld } from './walk-world.ts';

/** Guides: what a user sees of them and does with them. */
export function walkGuides(world: () => WalkWorld): void {
  test('guides are listed, seen, used, dismissed, taken back and reset', async () => {
    const { sdk, channels, call } = world();
    const { guides } = sdk.users;
    const channelId = channels['in-app-guide'] ?? '';
    const messages = async () => {
      const { entries } = await guides.getChannel('mara', channelId, { data: '{"a":1}' });
      return entries.flatMap(({ steps = [] }) => steps.map(({ message }) => message));
    };
    const step = {
      channel_id: channelId,
      guide_id: '7e9dc78c-b3b1-4127-a54e-71f1899b831a',
      guide_key: 'tour',
      guide_step_ref: 'step_1',
    };
    expect(await guides.markMessageAsSeen('mara', { ...step, content: {} })).toEqual({
      status: 'ok',
    });
    await guides.markMessageAsInteracted('mara', { ...step, metadata: { button: 'primary' } });
    expect(await messages()).toMatchObject([
      { seen_at: expect.any(String), interacted_at: expect.any(String), archived_at: null },
    ]);
    await guides.markMessageAsArchived('mara', { ...step, unthrottled: true });
    const { entries, ineligible_guides } = await guides.getChannel('mara', channelId);
    expect(entries).toEqual([]);
    expect(ineligible_guides).toMatchObject([{ key: 'tour', reason: 'marked_as_archived' }]);
    await guides.unarchiveGuideMessage('mara', { guide_key: 'tour' });
    expect(await messages()).toMatchObject([{ archived_at: null }]);
    await guides.resetGuideEngagements('mara', { guide_key: 'tour' });
    expect(await messages()).toMatchObject([{ id: null, seen_at: null }]);
    for (const kind of ['seen', 'interacted', 'archived']) {
      const path = `/v1/users/mara/guides/messages/33hjnKRKNx9ISRlixVBjhpkh28J/${kind}`;
      expect(await call('PUT', path, { ...step, content: {} })).toEqual({ status: 'ok' });
    }
  });
}
