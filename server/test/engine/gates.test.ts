import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TriggerRequest } from '../../src/engine/engine.ts';
import type { JsonObject } from '../../src/lib/json.ts';
import * as rows from '../support/engine-rows.ts';
import { createEngineWorld, type EngineWorld, feedStep } from '../support/engine-world.ts';
import { users } from '../support/triggers.ts';

let world: EngineWorld;
beforeAll(async () => {
  world = await createEngineWorld();
});
afterAll(() => world.close());

type Of = { readonly workflowKey: string; readonly versionId: number };

const throttled = (settings: JsonObject = {}): Promise<Of> => {
  const throttle_window = { unit: 'minutes', value: 10 };
  const step = { ref: 'throttle_1', type: 'throttle', settings: { throttle_window, ...settings } };
  return world.workflow({ steps: [step, feedStep('Hi')] });
};

/** How many messages these triggers make. */
async function messages(of: Of, ...requests: Partial<TriggerRequest>[]): Promise<number> {
  const { refs, runIds } = await world.accept(...requests.map((it) => ({ ...of, ...it })));
  await world.execute(refs);
  const found = await Promise.all(runIds.map((id) => rows.messagesOf(world.test.db, id)));
  return found.flat().length;
}

describe('a throttle', () => {
  test('lets so many runs of a recipient pass until its window closes [throttle.throttle_window] [throttle.throttle_limit]', async () => {
    const one = await throttled();
    expect(await messages(one, {}, {}, {})).toBe(1);
    expect(await messages(one, {})).toBe(0);
    world.clock.move(600_000);
    expect(await messages(one, {}, {})).toBe(1);
    const three = await throttled({ throttle_limit: 3 });
    expect(await messages(three, {}, {})).toBe(2);
    expect(await messages(three, {}, {})).toBe(1);
    expect(await messages(three, {})).toBe(0);
  });

  test('counts each recipient and key for itself [throttle.throttle_key]', async () => {
    const of = await throttled({ throttle_key: 'alert' });
    const about = (alert: string): Partial<TriggerRequest> => ({ data: { alert } });
    expect(await messages(of, about('disk'), about('disk'), about('cpu'))).toBe(2);
    expect(await messages(of, { ...about('disk'), recipients: users(3) })).toBe(3);
    const liquid = await throttled({ throttle_key: '{{ data.alert | slice: 0 }}' });
    expect(await messages(liquid, about('disk'), about('db'), about('cpu'))).toBe(2);
  });

  test('has a window that data gives, and is skipped without one [throttle.throttle_window_field_path]', async () => {
    const of = await throttled({ throttle_window: null, throttle_window_field_path: 'data.until' });
    const until = new Date(world.clock.now() + 5_000).toISOString();
    expect(await messages(of, { data: { until } }, { data: { until } })).toBe(1);
    world.clock.move(5_000);
    const window = { data: { until: { unit: 'days', value: 1 } } };
    expect(await messages(of, window, window)).toBe(1);
    expect(await messages(of, { data: {} }, { data: {} })).toBe(2);
    expect(await messages(of, { data: { until: { unit: 'days', value: 32 } } })).toBe(1);
  });

  test('ends the run that it stops, and says until when', async () => {
    const of = await throttled();
    const { refs, runIds } = await world.accept({ ...of }, { ...of });
    await world.execute(refs);
    const [run] = await rows.runsOf(world.test.db, runIds[1] ?? '');
    const until = new Date(world.clock.now() + 600_000).toISOString();
    expect(run?.steps).toMatchObject([
      { outcome: 'halted', reason: `throttled: more than 1 until ${until}` },
    ]);
  });

  test('lets as many pass as it says when many sessions ask at the same moment', async () => {
    const of = await throttled({ throttle_limit: 5 });
    const chunks = await Promise.all(Array.from({ length: 12 }, () => world.accept(of)));
    const streams = await Promise.all([1, 2, 3, 4].map(() => world.openStream()));
    const refs = chunks.flatMap((chunk) => chunk.refs);
    await Promise.all(
      streams.map((stream, i) =>
        world.execute(
          refs.filter((_, n) => n % streams.length === i),
          stream,
        ),
      ),
    );
    const found = await world.test.db.query('select from message where workflow_key = $1', [
      of.workflowKey,
    ]);
    expect(found).toHaveLength(5);
  });
});

describe('a workflow that runs once', () => {
  const once = (trigger_frequency: string, more: JsonObject = {}): Promise<Of> =>
    world.workflow({ trigger_frequency, steps: [feedStep('Welcome')], ...more });

  test('for each recipient drops all later triggers, of new versions too [workflow.trigger_frequency]', async () => {
    const of = await once('once_per_recipient');
    expect(await messages(of, {}, {})).toBe(1);
    expect(await messages(of, { recipients: users(3) }, { tenant: 'acme' })).toBe(3);
    world.clock.move(86_400_000);
    expect(await messages(of, {})).toBe(0);
    const versionId = await world.publish(of.workflowKey, {
      trigger_frequency: 'once_per_recipient',
      steps: [feedStep('Welcome again')],
    });
    expect(await messages({ ...of, versionId }, {})).toBe(0);
  });

  test('for each tenant counts them apart, and those without one', async () => {
    const of = await once('once_per_recipient_per_tenant');
    const tenants = ['a', 'b', 'a', null].map((tenant) => ({ tenant }));
    expect(await messages(of, ...tenants)).toBe(3);
    expect(await messages(of, ...tenants)).toBe(0);
  });

  test('is not used up by a trigger whose conditions are false, nor asked again by a run that waited', async () => {
    const of = await once('once_per_recipient', {
      conditions: { all: [{ variable: 'data.ready', operator: 'equal_to', argument: 'true' }] },
      steps: [
        { ref: 'delay_1', type: 'delay', settings: { delay_for: { unit: 'seconds', value: 5 } } },
        feedStep('Welcome'),
      ],
    });
    expect(await messages(of, { data: { ready: false } })).toBe(0);
    const { refs, runIds } = await world.accept({ ...of, data: { ready: true } });
    await world.executeAll(refs);
    expect(await rows.messagesOf(world.test.db, runIds[0] ?? '')).toHaveLength(1);
  });

  test('says in the run why nothing was sent', async () => {
    const of = await once('once_per_recipient');
    const { refs, runIds } = await world.accept({ ...of }, { ...of });
    await world.execute(refs);
    const [run] = await rows.runsOf(world.test.db, runIds[1] ?? '');
    expect(run?.steps).toMatchObject([
      {
        outcome: 'halted',
        reason: 'trigger_frequency once_per_recipient: the recipient had this workflow before',
      },
    ]);
  });
});
