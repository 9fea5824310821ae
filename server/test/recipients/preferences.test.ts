import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { updateEnvironment } from '../../src/accounts/environments.ts';
import type { EnvironmentContext } from '../../src/context.ts';
import type { JsonObject } from '../../src/lib/json.ts';
import { tenantAnswer } from '../../src/recipients/answer.ts';
import { identify } from '../../src/recipients/identify.ts';
import { parsePreferences } from '../../src/recipients/preference-set.ts';
import {
  getPreferences,
  listPreferences,
  preferencesOf,
  setPreferences,
  unsetPreferences,
} from '../../src/recipients/preferences.ts';
import { TENANTS, USERS } from '../../src/recipients/reference.ts';
import { startTestApi, type TestApi } from '../api/api-server.ts';

let api: TestApi;
let ctx: EnvironmentContext;
const ada = { collection: USERS, id: 'ada' };
const set = { ...ada, setId: 'default' };

beforeAll(async () => {
  api = await startTestApi();
});
afterAll(() => api.close());
beforeEach(async () => {
  ctx = (await api.account()).environment;
});

test('a user that nobody knows has the empty set', async () => {
  expect(await getPreferences(ctx, set)).toEqual({
    id: 'default',
    categories: {},
    workflows: {},
    channel_types: {},
    channels: {},
    commercial_subscribed: null,
  });
  expect((await listPreferences(ctx, ada)).map(({ id }) => id)).toEqual(['default']);
});

test('setting replaces the whole set; merging keeps what it does not name', async () => {
  await setPreferences(ctx, {
    ...set,
    preferences: { workflows: { a: false, b: { channel_types: { email: false } } } },
    strategy: 'replace',
  });
  const merged = await setPreferences(ctx, {
    ...set,
    preferences: { workflows: { b: { channel_types: { sms: false } }, c: true } },
    strategy: 'merge',
  });
  expect(merged.workflows).toEqual({
    a: false,
    b: { channel_types: { email: false, sms: false } },
    c: true,
  });
  const replaced = await setPreferences(ctx, {
    ...set,
    preferences: { channel_types: { email: false } },
    strategy: 'replace',
  });
  expect(replaced).toMatchObject({ workflows: {}, channel_types: { email: false } });
});

test('a set is read over the default of the environment, and over its tenant', async () => {
  const environment = await updateEnvironment(ctx, {
    reference: ctx.environment.publicId,
    settings: { preferences: { workflows: { a: false, b: false }, channel_types: { sms: false } } },
  });
  const own = { ...ctx, environment };
  await identify(own, {
    collection: TENANTS,
    id: 'acme',
    properties: { settings: { preference_set: { workflows: { b: true } } } },
  });
  await setPreferences(own, {
    ...set,
    preferences: { workflows: { a: true } },
    strategy: 'replace',
  });
  expect((await getPreferences(own, set)).workflows).toEqual({ a: true, b: false });
  expect((await getPreferences(own, { ...ada, setId: 'acme' })).workflows).toEqual({
    a: false,
    b: true,
  });
  expect((await getPreferences(own, { ...set, tenant: 'acme' })).workflows).toEqual({
    a: true,
    b: true,
  });
  await unsetPreferences(own, set);
  expect((await getPreferences(own, set)).workflows).toEqual({ a: false, b: false });
});

describe('what is no preference is refused by name', () => {
  const condition = { variable: 'data.a', operator: 'equal_to', argument: '1' };
  test.each([
    [[], 'body'],
    [{ workflows: [] }, 'workflows'],
    [{ workflows: { a: 'no' } }, 'workflows.a'],
    [{ workflows: { a: { channel_types: { letter: true } } } }, 'workflows.a.channel_types.letter'],
    [{ channel_types: { email: 1 } }, 'channel_types.email'],
    [{ channel_types: { email: { conditions: {} } } }, 'channel_types.email.conditions'],
    [
      { channels: { x: { conditions: [condition, { operator: 'empty' }] } } },
      'channels.x.conditions[1].variable',
    ],
    [{ commercial_subscribed: 'yes' }, 'commercial_subscribed'],
  ])('%j', (value, field) => {
    expect(() => parsePreferences(value, '')).toThrowError(
      expect.objectContaining({
        code: 'invalid_params',
        fields: [expect.objectContaining({ field })],
      }),
    );
  });

  test('null says nothing, and other keys are left out', () => {
    expect(
      parsePreferences(
        {
          id: 'default',
          workflows: null,
          categories: { a: null },
          __persistence_strategy__: 'merge',
        },
        '',
      ),
    ).toEqual({ categories: { a: null } });
  });
});

test('merging never makes a set larger than 256 kB, whichever way it is merged', async () => {
  const part = (name: string) => ({
    workflows: Object.fromEntries(
      Array.from({ length: 4_000 }, (_, index) => [`${name}-${'x'.repeat(20)}-${index}`, false]),
    ),
  });
  const merge = (name: string) =>
    setPreferences(ctx, { ...set, preferences: part(name), strategy: 'merge' });
  await merge('a');
  // The same again does not grow it.
  await merge('a');
  const refusal = { code: 'invalid_params', message: 'preferences are larger than 256 kB' };
  await expect(merge('b')).rejects.toMatchObject(refusal);
  const inline = { ...ada, properties: {}, preferences: { default: part('b') } };
  await expect(identify(ctx, inline)).rejects.toMatchObject(refusal);
  expect(Object.keys((await getPreferences(ctx, set)).workflows)).toHaveLength(4_000);
});

describe('with a tenant [preferences.per_tenant]', () => {
  const acme = { ...ada, setId: 'acme' };
  const tenant = (preference_set: JsonObject) =>
    identify(ctx, {
      collection: TENANTS,
      id: 'acme',
      properties: { settings: { preference_set } },
    });

  test('a set is the recipient’s for it, over the tenant’s', async () => {
    await tenant({ workflows: { a: false, b: false } });
    await setPreferences(ctx, {
      ...acme,
      preferences: { workflows: { a: true } },
      strategy: 'replace',
    });
    await setPreferences(ctx, {
      ...set,
      preferences: { workflows: { c: false }, commercial_subscribed: false },
      strategy: 'replace',
    });
    // The default set has no part in it, but for the commercial subscription, which is of default sets.
    const expected = { workflows: { a: true, b: false }, commercial_subscribed: false };
    expect(await getPreferences(ctx, acme)).toMatchObject(expected);
    expect((await listPreferences(ctx, ada)).find(({ id }) => id === 'acme')).toMatchObject(
      expected,
    );
    expect((await preferencesOf(ctx, USERS, ['ada'])).get('ada')?.acme).toMatchObject(expected);
  });

  test('of which nobody has a set, the default one decides', async () => {
    await setPreferences(ctx, {
      ...set,
      preferences: { workflows: { c: false } },
      strategy: 'replace',
    });
    expect((await getPreferences(ctx, acme)).workflows).toEqual({ c: false });
  });

  test('an entry of the tenant that replaces is seen, and its strategy is not [preferences.__strategy__]', async () => {
    await tenant({
      categories: { news: { __strategy__: 'replace', channel_types: { email: false } } },
    });
    await setPreferences(ctx, {
      ...acme,
      preferences: { categories: { news: true } },
      strategy: 'replace',
    });
    expect((await getPreferences(ctx, acme)).categories).toEqual({
      news: { channel_types: { email: false } },
    });
  });
});

test('a tenant is shown over the environment’s default on request', async () => {
  const row = await identify(ctx, {
    collection: TENANTS,
    id: 'acme',
    properties: { settings: { preference_set: { workflows: { b: true } } } },
  });
  const defaults = { workflows: { a: false, b: false } };
  expect(tenantAnswer(row)).toMatchObject({
    settings: { preference_set: { workflows: { b: true } } },
  });
  expect(tenantAnswer(row, defaults).settings).toMatchObject({
    preference_set: { id: 'default', workflows: { a: false, b: true } },
  });
});
