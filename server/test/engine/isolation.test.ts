import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { serveHttp } from '../channels/support.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { webhookStep } from '../support/engine-world.ts';
import { waitFor } from '../support/wait.ts';
import { clientOf, removeDataDirs, startWholeServer } from '../support/whole-server.ts';

let test: TestDatabase;
const cleanups: (() => Promise<unknown>)[] = [];
beforeEach(async () => {
  test = await createTestDatabase();
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  await test.drop();
});
afterAll(removeDataDirs);

describe('an environment whose webhooks hang', () => {
  it('does not hold up the deliveries of another one', async () => {
    let hanging = 0;
    const releases: (() => void)[] = [];
    const slow = await serveHttp((_request, response) => {
      hanging += 1;
      releases.push(() => response.end());
    });
    const called: string[] = [];
    const quick = await serveHttp((request, response) => {
      called.push(String(request.headers['idempotency-key']));
      response.end();
    });
    const whole = await startWholeServer({ databaseUrl: test.url, executors: 1 });
    cleanups.push(whole.stop, slow.close, quick.close);
    const credentials = whole.server.credentials;
    const production = credentials && {
      ...credentials,
      environments: { development: credentials.environments.production ?? { secret_key: '' } },
    };
    await whole.push('hook', [webhookStep()]);
    const { trigger } = clientOf(whole.server.url, () => production as typeof credentials);
    await test.db.query(
      `insert into workflow_version (environment_id, key, number, content, sha)
       select e.id, v.key, 1, v.content, v.sha
       from workflow_version v, environment e
       where v.key = 'hook'
         and e.slug = 'production'`,
    );
    await test.db.query(
      `insert into workflow (environment_id, key, published_version_id)
       select environment_id, key, id
       from workflow_version
       where key = 'hook'
         and environment_id = (select id from environment where slug = 'production')`,
    );
    for (let i = 0; i < 3; i++) {
      await whole.trigger('hook', {
        recipients: Array.from({ length: 1_000 }, (_, n) => `hanging-${i}-${n}`),
        data: { url: slow.url },
      });
    }
    await waitFor('hanging calls', () => (hanging >= 16 ? true : undefined));
    await waitFor('a backlog', async () =>
      (await whole.metric('belfry_deliveries_queued')) > 0 ? true : undefined,
    );
    await trigger('hook', { recipients: ['quiet'], data: { url: quick.url } });
    await waitFor(
      'the other environment’s call',
      () => (called.length > 0 ? true : undefined),
      8_000,
    );
    expect(called).toHaveLength(1);
    for (const release of releases) release();
  });
});
