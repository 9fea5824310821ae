import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RUN_STATUS } from '../../src/engine/status.ts';
import { identifyMany } from '../../src/recipients/identify.ts';
import { subscribe } from '../../src/recipients/subscriptions.ts';
import * as rows from '../support/engine-rows.ts';
import { createEngineWorld, type EngineWorld, feedStep } from '../support/engine-world.ts';
import { users } from '../support/triggers.ts';
import { documentedTemplates } from '../templates/documented.ts';

let world: EngineWorld;
beforeAll(async () => {
  world = await createEngineWorld();
  await identifyMany(world.ctx, [
    { collection: '$users', id: 'boss', properties: { name: 'Bo', manager_id: 'chief' } },
    { collection: '$users', id: 'chief', properties: { name: 'Chi', manager_id: 'top' } },
    { collection: '$tenants', id: 'acme', properties: { name: 'Acme' } },
    { collection: 'projects', id: 'p1', properties: { name: 'One' } },
  ]);
});
afterAll(() => world.close());

/** What the runs of a trigger put into the feed, and how they ended. */
async function outcome(
  body: string,
  request: Parameters<EngineWorld['accept']>[0] = {},
): Promise<{ readonly bodies: unknown[]; readonly runs: readonly { readonly status: number }[] }> {
  const of = await world.workflow({ steps: [feedStep(body)] });
  const { refs, runIds } = await world.accept({ ...of, ...request });
  await world.executeAll(refs);
  const [runId = ''] = runIds;
  const messages = await rows.messagesOf(world.test.db, runId);
  return {
    bodies: messages.map(({ content }) => content.body).sort(),
    runs: [
      ...(await rows.runsOf(world.test.db, runId)),
      ...(await rows.segmentsOf(world.test.db, runId)),
    ],
  };
}

const documented = documentedTemplates('Somebody else');

test('the page of templates says how to find somebody', () => {
  expect(documented.length).toBeGreaterThan(4);
});

test.each(documented)('the documented template %s gives %s', async (source, expected) => {
  await identifyMany(world.ctx, [
    { collection: '$users', id: 'boss', properties: { name: 'Bo' } },
    { collection: 'projects', id: 'p1', properties: { name: 'One' } },
  ]);
  const object = { collection: 'projects', id: 'p1' };
  await subscribe(world.ctx, { object, recipients: ['boss'], properties: {} });
  expect((await outcome(source)).bodies).toEqual([expected]);
});

describe('templates of a run', () => {
  test('find users, objects and tenants by id, and nobody by an id of nobody [template.filter.user] [template.filter.object] [template.filter.tenant]', async () => {
    const body =
      '{% assign u = data.who | user %}{% assign p = "p1" | object: "projects" %}{% assign t = "acme" | tenant %}' +
      '{{ u.name }} {{ p.name }} {{ p.collection }} {{ t.name }} {{ u.updated_at | date: "%Y" | size }}' +
      '{% assign n = "nobody" | user %}[{{ n.name }}]';
    const { bodies } = await outcome(body, { data: { who: 'boss' } });
    expect(bodies).toEqual(['Bo One projects Acme 4[]']);
  });

  test('find one by another, for all runs of a trigger at once', async () => {
    const body =
      '{% assign a = "boss" | user %}{% assign b = a.manager_id | user %}{% assign c = b.manager_id | user %}' +
      '{{ recipient.id }}:{{ a.name }}{{ b.name }}{{ c.name }}';
    const { bodies } = await outcome(body, { recipients: users(100) });
    expect(bodies).toHaveLength(100);
    expect(bodies[0]).toBe('user-0:BoChi');
  });

  test('find what somebody is subscribed to, 25 at most [template.filter.subscriptions]', async () => {
    for (let i = 0; i < 30; i++) {
      await subscribe(world.ctx, {
        object: { collection: 'projects', id: `s${String(i).padStart(2, '0')}` },
        recipients: ['fan'],
        properties: { role: `r${i}` },
      });
    }
    const body =
      '{% assign subs = recipient.id | subscriptions %}{{ subs.size }} {{ subs[3].object.id }} {{ subs[3].properties.role }}';
    const { bodies } = await outcome(body, {
      recipients: [{ recipient: 'fan' }, { recipient: 'x' }],
    });
    expect(bodies).toEqual(['0  ', '25 s03 r3']);
  });

  test('may look up a hundred, and fail their own run with more', async () => {
    const body = '{% for i in (1..LAST) %}{% assign u = i | append: "x" | user %}{% endfor %}ok';
    expect((await outcome(body.replace('LAST', '100'))).bodies).toEqual(['ok']);
    const { bodies, runs } = await outcome(body.replace('LAST', '101'));
    expect(bodies).toEqual([]);
    expect(runs.at(-1)).toMatchObject({ status: RUN_STATUS.completed });
    expect(JSON.stringify(runs)).toContain('look up too many recipients');
  });

  test('may look up one by another five times', async () => {
    await identifyMany(
      world.ctx,
      Array.from({ length: 8 }, (_, i) => ({
        collection: '$users',
        id: `c${i}`,
        properties: { next: `c${i + 1}` },
      })),
    );
    const body =
      '{% assign u = "c0" | user %}{% for i in (2..TIMES) %}{% assign u = u.next | user %}{% endfor %}{{ u.id }}';
    expect((await outcome(body.replace('TIMES', '5'))).bodies).toEqual(['c4']);
    expect((await outcome(body.replace('TIMES', '6'))).bodies).toEqual([]);
  });

  test('may look somebody up in conditions, too', async () => {
    const of = await world.workflow({
      conditions: {
        all: [
          {
            variable: '{% assign u = "boss" | user %}{{ u.name }}',
            operator: 'equal_to',
            argument: 'Bo',
          },
        ],
      },
      steps: [feedStep('ok')],
    });
    const { refs, runIds } = await world.accept(of);
    await world.executeAll(refs);
    expect(await rows.messagesOf(world.test.db, runIds[0] ?? '')).toHaveLength(1);
  });
});
