import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createEnvironmentsInUse } from '../../src/control/environments-in-use.ts';
import { publish } from '../../src/control/publish.ts';
import { setVariable, unsetVariable } from '../../src/control/variables.ts';
import { createSecretBox } from '../../src/lib/secret-box.ts';
import { messagesOf } from '../support/engine-rows.ts';
import { createEngineWorld, type EngineWorld } from '../support/engine-world.ts';
import { silentLog } from '../support/log.ts';
import { testSecrets } from '../support/secrets.ts';

/** What runs see of what their environment shares, and when. */

const STALE_MS = 2_001;

let world: EngineWorld;

beforeAll(async () => {
  world = await createEngineWorld();
});
afterAll(() => world.close());

function variables() {
  const { db } = world.test;
  return { db, clock: world.clock, log: silentLog, secrets: testSecrets };
}

/** The feed item of a run of this version. */
async function bodyOf(
  versionId: number,
  tenant: string | null = null,
): Promise<string | undefined> {
  const { refs, runIds } = await world.accept({ versionId, workflowKey: 'shown', tenant });
  await world.execute(refs);
  const [message] = await messagesOf(world.test.db, runIds[0] ?? '');
  return message?.content.body;
}

const feed = (markdown_body: string) => ({
  steps: [{ type: 'channel', ref: 'feed', channel_key: 'in-app', template: { markdown_body } }],
});

describe('a run', () => {
  test('sees public variables, its environment’s value before that of all', async () => {
    const { accountId } = world.ctx.environment;
    const environment = world.ctx.environment;
    const set = (key: string, value: string, more = {}) =>
      setVariable(variables(), { accountId, key, value, ...more });
    await set('greeting', 'Hello');
    await set('greeting', 'Hi', { environment });
    await set('limits', '{"daily": 5}');
    await set('version', '1.10');
    await set('off', 'false');
    const template =
      '{{ vars.greeting }} {{ vars.limits.daily }} {{ vars.version }} {% if vars.off %}on{% else %}off{% endif %} {{ vars.app_name }}';
    const { versionId } = await world.workflow(feed(template));
    expect(await bodyOf(versionId)).toBe('Hi 5 1.10 off acme');
  });

  test('sees a variable that changed when two seconds are over, and none that is gone', async () => {
    const { accountId } = world.ctx.environment;
    await setVariable(variables(), { accountId, key: 'word', value: 'one' });
    const { versionId } = await world.workflow(feed('[{{ vars.word }}]'));
    world.clock.move(STALE_MS);
    expect(await bodyOf(versionId)).toBe('[one]');
    await setVariable(variables(), { accountId, key: 'word', value: 'two' });
    world.clock.move(STALE_MS);
    expect(await bodyOf(versionId)).toBe('[two]');
    await unsetVariable(variables(), { accountId, key: 'word' });
    world.clock.move(STALE_MS);
    expect(await bodyOf(versionId)).toBe('[]');
  });

  test('sees its tenant’s branding over the account’s, field by field', async () => {
    const { db } = world.test;
    const { id, accountId } = world.ctx.environment;
    await db.query(
      `
      update account
      set branding = '{"primary_color": "#111111", "logo_url": "https://x.example/logo.png"}'
      where id = $1`,
      [accountId],
    );
    await db.query('update environment set revision = revision + 1 where id = $1', [id]);
    await db.query(
      `
      insert into recipient (environment_id, collection, id, properties)
      values ($1, '$tenants', 'wayne', '{"settings": {"branding": {"primary_color": "#222222", "logo_url": null}}}')`,
      [id],
    );
    world.clock.move(STALE_MS);
    const { versionId } = await world.workflow(
      feed('{{ vars.branding.primary_color }} {{ vars.branding.logo_url }}'),
    );
    expect(await bodyOf(versionId)).toBe('#111111 https://x.example/logo.png');
    expect(await bodyOf(versionId, 'wayne')).toBe('#222222 https://x.example/logo.png');
  });

  test('goes on as before when what it refers to is gone, and follows again when it is back', async () => {
    const { db } = world.test;
    const { id, accountId } = world.ctx.environment;
    const { versionId } = await world.workflow(feed('still here'));
    expect(await bodyOf(versionId)).toBe('still here');
    const known = world.services.workflows;
    const before = await known.get(versionId);
    const rename = async (from: string, to: string) => {
      await db.query('update channel set key = $3 where account_id = $1 and key = $2', [
        accountId,
        from,
        to,
      ]);
      await db.query('update environment set revision = revision + 1 where id = $1', [id]);
      world.clock.move(STALE_MS);
    };
    await rename('in-app', 'elsewhere');
    expect(await bodyOf(versionId)).toBe('still here');
    expect(await known.get(versionId)).toBe(before);
    await rename('elsewhere', 'in-app');
    expect(await bodyOf(versionId)).toBe('still here');
    expect(await known.get(versionId)).not.toBe(before);
  });
});

describe('an environment in use', () => {
  const inUse = (secrets = testSecrets) =>
    createEnvironmentsInUse({ db: world.test.db, clock: world.clock, log: silentLog, secrets });

  test('has what was pushed, and is compiled anew only when something compiled in changed', async () => {
    const { id, accountId } = world.ctx.environment;
    const environments = inUse();
    const first = await environments.get(id);
    await setVariable(variables(), { accountId, key: 'other', value: 'x' });
    world.clock.move(STALE_MS);
    const second = await environments.get(id);
    expect(second.vars.other).toBe('x');
    expect(second.compile).toBe(first.compile);
    const pushed = await publish(world.ctx, {
      workflows: [],
      resources: [
        {
          kind: 'layout',
          key: 'plain',
          content: {
            name: 'Plain',
            html_layout: '<p>{{ content }}</p>',
            text_layout: '{{ content }}',
            footer_links: [{ text: 'Help', url: 'https://x.example' }],
          },
        },
        { kind: 'partial', key: 'sign', content: { name: 'Sign', type: 'text', content: 'Bye' } },
        {
          kind: 'translation',
          key: 'pt-BR/app~wayne',
          content: { format: 'json', content: '{"hi": "Oi"}' },
        },
        {
          kind: 'channel_group',
          key: 'all-mail',
          content: {
            name: 'Mail',
            channel_type: 'email',
            channel_rules: [{ channel_key: 'email', rule_type: 'always' }],
          },
        },
      ],
    });
    expect(pushed.resources.map(({ changed }) => changed)).toEqual([true, true, true, true]);
    expect(await environments.get(id)).toBe(second);
    world.clock.move(STALE_MS);
    const { compile } = await environments.get(id);
    expect(compile).not.toBe(second.compile);
    expect(compile.layout('plain')).toEqual({
      html: '<p>{{ content }}</p>',
      text: '{{ content }}',
      isMjml: false,
      footerLinks: [{ text: 'Help', url: 'https://x.example' }],
    });
    expect(compile.templates.partial('sign')).toEqual({ type: 'text', content: 'Bye' });
    expect(compile.templates.translations).toEqual([
      { locale: 'pt-BR', namespace: 'app', tenant: 'wayne', content: { hi: 'Oi' } },
    ]);
    expect(compile.channelGroup('all-mail')).toEqual({
      type: 'email',
      operator: 'any',
      rules: [{ type: 'always', channelKey: 'email' }],
    });
  });

  test('shows no secret that another installation sealed, and keeps the rest', async () => {
    const { id, accountId } = world.ctx.environment;
    await setVariable(variables(), { accountId, key: 'pin', value: '1234x', type: 'secret' });
    await setVariable(variables(), { accountId, key: 'open', value: 'yes' });
    expect((await inUse().get(id)).secrets).toMatchObject({ pin: '1234x' });
    const { vars, secrets } = await inUse(createSecretBox('another secret')).get(id);
    expect(vars).toMatchObject({ open: 'yes' });
    expect(secrets).not.toHaveProperty('pin');
    expect(JSON.stringify([vars, secrets])).not.toContain('1234x');
  });

  test('asks the database once for all environments, and only when two seconds are over', async () => {
    const { id } = world.ctx.environment;
    const statements: unknown[] = [];
    const { db } = world.test;
    const counted = {
      ...db,
      query: <Row>(...[statement, values]: Parameters<typeof db.query>) => {
        statements.push(statement);
        return db.query<Row>(statement, values);
      },
    };
    const environments = createEnvironmentsInUse({
      db: counted,
      clock: world.clock,
      log: silentLog,
    });
    await environments.get(id);
    statements.length = 0;
    await environments.get(id);
    expect(environments.peek(id)).toBeDefined();
    expect(statements).toEqual([]);
    world.clock.move(STALE_MS);
    expect(environments.peek(id)).toBeUndefined();
    await Promise.all([environments.get(id), environments.get(id)]);
    expect(statements).toHaveLength(1);
  });
});
