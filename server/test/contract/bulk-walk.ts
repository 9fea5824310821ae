import type KnockNode from '@knocklabs/node';
import { expect, test } from 'vitest';
import { waitFor } from '../support/wait.ts';
import type { WalkWorld } from './walk-world.ts';

/** Changes of many things at once. */
export function walkBulk(worldOf: () => WalkWorld): void {
  const over = (begun: KnockNode.BulkOperation): Promise<KnockNode.BulkOperation> =>
    waitFor(`the end of ${begun.name}`, async () => {
      const operation = await worldOf().sdk.bulkOperations.get(begun.id);
      return operation.status === 'completed' ? operation : undefined;
    });

  test('users are identified, get preferences and are deleted in bulk', async () => {
    const { bulk } = worldOf().sdk.users;
    const users = [{ id: 'bulk-1', name: 'One' }, { id: 'bulk-2' }];
    expect(await over(await bulk.identify({ users }))).toMatchObject({ success_count: 2 });
    const user_ids = users.map(({ id }) => id);
    const preferences = { workflows: { comment: false } };
    const set = await over(await bulk.setPreferences({ user_ids, preferences }));
    expect(set).toMatchObject({ success_count: 2, error_items: [] });
    const gone = await over(await bulk.delete({ user_ids }));
    expect(gone).toMatchObject({ processed_rows: 2, success_count: 2 });
  });

  test('objects are set and deleted in bulk', async () => {
    const { bulk } = worldOf().sdk.objects;
    const objects = [{ id: 'bulk-1', size: 1 }, { id: 'bulk-2' }];
    const set = await over(await bulk.set('boxes', { objects }));
    expect(set).toMatchObject({ success_count: 2 });
    const object_ids = objects.map(({ id }) => id);
    expect(await over(await bulk.delete('boxes', { object_ids }))).toMatchObject({
      success_count: 2,
    });
  });

  test('tenants are set and deleted in bulk', async () => {
    const { bulk } = worldOf().sdk.tenants;
    const set = await over(await bulk.set({ tenants: ['bulk-1', { id: 'bulk-2', name: 'Two' }] }));
    expect(set).toMatchObject({ success_count: 2 });
    const gone = await over(await bulk.delete({ tenant_ids: ['bulk-1', 'bulk-2'] }));
    expect(gone).toMatchObject({ success_count: 2 });
  });
}
