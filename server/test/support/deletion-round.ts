import type { FaultPoint } from '../../src/lib/fault-point.ts';
import { feedStep } from './engine-world.ts';
import type { FaultServer } from './fault-server.ts';
import { waitFor } from './wait.ts';

/** A user is merged into another and a third is deleted: messages move once, and nobody else loses any. */
async function inDeletion(server: FaultServer, point: FaultPoint): Promise<void> {
  const workflow = point.replaceAll('.', '-');
  // Whoever died at the point before may do so late.
  await server.ensureRunning();
  await server.push(workflow, [feedStep('Hi')]);
  const [stays = '', merged = '', gone = '', other = ''] = ['a', 'b', 'c', 'd'].map(
    (name) => `${workflow}-${name}`,
  );
  const recipients = [stays, merged, gone, other].map((id) => ({ id, name: id }));
  await server.trigger(workflow, { recipients });
  const owners = async () => {
    await server.ensureRunning();
    const rows = await server.test.db.query<{ owner: string }>(
      `select recipient_id as owner
       from message
       where workflow_key = $1
       order by 1`,
      [workflow],
    );
    return rows.map(({ owner }) => owner);
  };
  await waitFor('the messages', async () => ((await owners()).length === 4 ? true : undefined));
  await server.arm(point);
  await server.call('POST', `/v1/users/${stays}/merge`, { from_user_id: merged });
  // It may die before it answers; the answer has no body.
  await server.call('DELETE', `/v1/users/${gone}`).catch(() => undefined);
  await waitFor(point, async () => ((await server.isReached(point)) ? true : undefined), 20_000);
  await server.ensureRunning();
  await server.call('DELETE', `/v1/users/${gone}`).catch(() => undefined);
  await waitFor('the deletion', async () => ((await owners()).length === 3 ? true : undefined));
  const expected = [other, stays, stays].sort();
  await waitFor('the merge', async () =>
    (await owners()).join() === expected.join() ? true : undefined,
  );
  await server.loadSome();
}

/** All of them are tried in the same way. */
export function deletionDrivers(server: () => FaultServer) {
  const drive = (point: FaultPoint): Promise<void> => inDeletion(server(), point);
  return {
    'deletion.before-page': drive,
    'deletion.before-commit': drive,
    'deletion.after-messages': drive,
    'deletion.after-page': drive,
    'deletion.after-record': drive,
  } as const;
}
