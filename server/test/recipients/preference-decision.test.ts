import { describe, expect, test } from 'vitest';
import type { Json, JsonObject } from '../../src/lib/json.ts';
import { preferenceRefusal } from '../../src/recipients/preference-decision.ts';
import {
  effectivePreferences,
  type StoredPreferences,
} from '../../src/recipients/preference-layers.ts';

const CHANNEL = '7a0ae1a2-1b0c-4a0e-9f6d-1d3f5d2f4c11';

function refusal(
  stored: StoredPreferences,
  options: {
    categories?: readonly string[];
    isCommercial?: boolean;
    falseCondition?: (conditions: readonly Json[]) => string | undefined;
  } = {},
) {
  return preferenceRefusal({
    preferences: effectivePreferences(stored),
    tenant: 'acme',
    workflowKey: 'new-comment',
    categories: options.categories ?? [],
    channelType: 'email',
    channelId: CHANNEL,
    isCommercial: options.isCommercial ?? false,
    falseCondition: options.falseCondition ?? (() => undefined),
  });
}

const conditions = [{ variable: 'data.a', operator: 'equal_to', argument: '1' }];
const holds = () => undefined;
const fails = () => 'data.a equal_to 1 was false';

test('what nobody set is a yes', () => {
  expect(refusal({})).toBeUndefined();
  expect(refusal({ recipient: {} })).toBeUndefined();
  const others = { workflows: { other: false }, channel_types: { sms: false } };
  expect(refusal({ recipient: others })).toBeUndefined();
});

describe('everything that is set must say yes [preferences.workflows] [preferences.categories] [preferences.channel_types] [preferences.channels]', () => {
  test.each<[string, JsonObject, string | undefined]>([
    ['a workflow', { workflows: { 'new-comment': false } }, 'workflow new-comment is off'],
    ['a category', { categories: { b: false } }, 'category b is off'],
    ['a channel type', { channel_types: { email: false } }, 'channel type email is off'],
    ['a channel', { channels: { [CHANNEL]: false } }, `channel ${CHANNEL} is off`],
    [
      'a channel type of the workflow',
      { workflows: { 'new-comment': { channel_types: { email: false } } } },
      'channel type email of workflow new-comment is off',
    ],
    [
      'a channel of a category',
      { categories: { b: { channels: { [CHANNEL]: false } } } },
      `channel ${CHANNEL} of category b is off`,
    ],
    [
      'another channel type of the workflow does not matter',
      { workflows: { 'new-comment': { channel_types: { push: false } } } },
      undefined,
    ],
    [
      'a workflow that is off stays off when its channel is on',
      { workflows: { 'new-comment': false }, channels: { [CHANNEL]: true } },
      'workflow new-comment is off',
    ],
    [
      'a workflow that is on does not help against a channel type that is off',
      { workflows: { 'new-comment': true }, channel_types: { email: false } },
      'channel type email is off',
    ],
    [
      'a channel decides over its type at the same level',
      { channels: { [CHANNEL]: true }, channel_types: { email: false } },
      undefined,
    ],
    [
      'and not at another level',
      {
        channels: { [CHANNEL]: true },
        workflows: { 'new-comment': { channel_types: { email: false } } },
      },
      'channel type email of workflow new-comment is off',
    ],
    ['null is nothing', { workflows: { 'new-comment': null }, channels: null }, undefined],
  ])('%s', (_name, set, reason) => {
    const expected = reason && `the recipient's default set: ${reason}`;
    expect(refusal({ recipient: set }, { categories: ['a', 'b'] })).toBe(expected);
  });
});

describe('conditions that do not hold are a no [preferences.conditions]', () => {
  test.each<[JsonObject, string]>([
    [{ workflows: { 'new-comment': { conditions } } }, 'workflow new-comment'],
    [{ channel_types: { email: { conditions } } }, 'channel type email'],
    [{ channels: { [CHANNEL]: { conditions } } }, `channel ${CHANNEL}`],
    [
      { categories: { a: { channel_types: { email: { conditions } } } } },
      'channel type email of category a',
    ],
  ])('%j', (set, entry) => {
    const asked = { categories: ['a'] };
    expect(refusal({ recipient: set }, { ...asked, falseCondition: holds })).toBeUndefined();
    expect(refusal({ recipient: set }, { ...asked, falseCondition: fails })).toBe(
      `the recipient's default set: ${entry}: data.a equal_to 1 was false`,
    );
  });

  test('no conditions always hold', () => {
    const set = { channel_types: { email: { conditions: [] } } };
    expect(refusal({ recipient: set }, { falseCondition: fails })).toBeUndefined();
  });
});

describe('of several sets the most particular decides', () => {
  test.each<[JsonObject, JsonObject, boolean]>([
    [{ workflows: { 'new-comment': true } }, { workflows: { 'new-comment': false } }, true],
    [{ workflows: { 'new-comment': false } }, { workflows: { 'new-comment': true } }, false],
    [{}, { channel_types: { email: false } }, false],
    [{ channel_types: { sms: true } }, { channel_types: { email: false } }, false],
    [{ channel_types: { email: null } }, { channel_types: { email: false } }, false],
    [
      { workflows: { 'new-comment': { channel_types: { sms: true } } } },
      { workflows: { 'new-comment': { channel_types: { email: false } } } },
      false,
    ],
  ])('%j over %j', (own, base, send) => {
    expect(refusal({ recipient: own, environment: base }) === undefined).toBe(send);
    expect(refusal({ recipientForTenant: own, tenant: base }) === undefined).toBe(send);
    expect(refusal({ tenant: own, environment: base }) === undefined).toBe(send);
  });
});

describe('which set decided is said [preferences.per_tenant]', () => {
  const off = { categories: { marketing: false } };
  const on = { categories: { marketing: true } };
  test.each<[StoredPreferences, string | undefined]>([
    [{ environment: off }, "the environment's default set"],
    [{ environment: off, recipient: {} }, "the environment's default set"],
    [{ environment: on, recipient: off }, "the recipient's default set"],
    [{ environment: on, tenant: off }, 'the default set of the tenant acme'],
    [{ tenant: on, recipientForTenant: off }, "the recipient's set for the tenant acme"],
    [{ tenant: off, recipientForTenant: on }, undefined],
    // With a tenant that has a set, the recipient's default one is not asked.
    [{ tenant: on, recipient: off }, undefined],
    [{ recipientForTenant: {}, recipient: off }, undefined],
    // Neither the tenant nor the recipient for it has one: as without a tenant.
    [{ environment: on, recipient: off }, "the recipient's default set"],
  ])('%j', (stored, set) => {
    expect(refusal(stored, { categories: ['marketing'] })).toBe(
      set && `${set}: category marketing is off`,
    );
  });

  test("a tenant's entry that replaces stands over the recipient's [preferences.__strategy__]", () => {
    const tenant = {
      workflows: { 'new-comment': { __strategy__: 'replace', channel_types: { email: false } } },
    };
    const recipientForTenant = { workflows: { 'new-comment': { channel_types: { email: true } } } };
    expect(refusal({ tenant, recipientForTenant })).toBe(
      'the default set of the tenant acme: channel type email of workflow new-comment is off',
    );
    // A recipient's own set cannot do that.
    expect(refusal({ environment: recipientForTenant, recipient: tenant })).toMatch(
      /^the recipient's default set: /,
    );
  });
});

describe('only a commercial workflow asks for commercial_subscribed [preferences.commercial_subscribed]', () => {
  const off = { commercial_subscribed: false };
  test.each<[StoredPreferences, string | undefined]>([
    [{ recipient: off }, "the recipient's default set: commercial messages are off"],
    [{ environment: off }, "the environment's default set: commercial messages are off"],
    [{ environment: off, recipient: { commercial_subscribed: true } }, undefined],
    // It belongs to default sets, with a tenant or without.
    [{ tenant: {}, recipient: off }, "the recipient's default set: commercial messages are off"],
    [{ recipientForTenant: off }, undefined],
  ])('%j', (stored, reason) => {
    expect(refusal(stored)).toBeUndefined();
    expect(refusal(stored, { isCommercial: true })).toBe(reason);
  });
});

test('a workflow may be called like a method of objects', () => {
  const question = {
    preferences: effectivePreferences({ recipient: { workflows: {}, categories: {} } }),
    tenant: null,
    workflowKey: 'constructor',
    categories: ['toString'],
    channelType: 'email',
    channelId: CHANNEL,
    isCommercial: false,
    falseCondition: fails,
  };
  expect(preferenceRefusal(question)).toBeUndefined();
});
