import { afterAll, expect, onTestFinished, test } from 'vitest';
import { createTestDatabase } from '../support/database.ts';
import { feedStep } from '../support/engine-world.ts';
import { openSocket } from '../support/phoenix-socket.ts';
import { waitFor } from '../support/wait.ts';
import { removeDataDirs, startWholeServer } from '../support/whole-server.ts';

afterAll(removeDataDirs);

test('a watched feed is counted in sessions of its own, and goes on when they are ended', async () => {
  const { db, url, drop } = await createTestDatabase();
  onTestFinished(drop);
  const whole = await startWholeServer({ databaseUrl: url });
  onTestFinished(whole.stop);
  await whole.push('note', [feedStep('Hi')]);
  const keys = whole.server.credentials?.environments.development;
  const socket = await openSocket(`${whole.server.url.replace('http', 'ws')}/ws/v1/websocket`, {
    api_key: keys?.public_key ?? '',
    user_token: '',
  });
  onTestFinished(() => socket.socket.close());
  socket.send('1', '1', `feeds:${keys?.channels['in-app']}:ada`, 'phx_join', { badge: {} });
  expect((await socket.reply('1'))[4]).toMatchObject({ status: 'ok' });

  const rings = async (total: number): Promise<void> => {
    await whole.trigger('note', { recipients: ['ada'] });
    await waitFor(`${total} in the badge`, () =>
      socket.frames.find(
        ([, , , event, { metadata }]) =>
          event === 'new-message' &&
          (metadata as { readonly total_count?: number })?.total_count === total,
      ),
    );
  };
  await rings(1);
  const counting = (what: string) =>
    db.query<{ counted: boolean }>(
      `select ${what} as counted
       from pg_stat_activity
       where datname = current_database()
         and application_name = 'belfry feeds'`,
    );
  expect(await counting(`query like 'select asked.nth%'`)).toEqual([{ counted: true }]);
  expect(await counting('pg_terminate_backend(pid)')).toEqual([{ counted: true }]);
  await rings(2);
});
