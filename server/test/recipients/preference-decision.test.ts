import { describe, expect, test } from 'vitest';
import type { Json, JsonObject } from '../../src/lib/json.ts';
import { decidePreference } from '../../src/recipients/preference-decision.ts';

const CHANNEL = '7a0ae1a2-1b0c-4a0e-9f6d-1d3f5d2f4c11';

function decide(
  sets: readonly JsonObject[],
  options: {
    categories?: readonly string[];
    isCommercial?: boolean;
    evaluate?: (conditions: readonly Json[]) => boolean;
  } = {},
) {
  return decidePreference({
    sets,
    workflowKey: 'new-comment',
    categories: options.categories ?? [],
    channelType: 'email',
    channelId: CHANNEL,
    isCommercial: options.isCommercial ?? false,
    evaluate: options.evaluate ?? (() => true),
  });
}

const conditions = [{ variable: 'data.a', operator: 'equal_to', argument: '1' }];
const holds = () => true;
const fails = () => false;

test('what nobody set is a yes', () => {
  expect(decide([])).toEqual({ send: true });
  expect(decide([{}])).toEqual({ send: true });
  expect(decide([{ workflows: { other: false }, channel_types: { sms: false } }])).toEqual({
    send: true,
  });
});

describe('everything that is set must say yes', () => {
  test.each<[string, JsonObject, string | undefined]>([
    ['a workflow', { workflows: { 'new-comment': false } }, 'workflows.new-comment'],
    ['a category', { categories: { b: false } }, 'categories.b'],
    ['a channel type', { channel_types: { email: false } }, 'channel_types.email'],
    ['a channel', { channels: { [CHANNEL]: false } }, `channels.${CHANNEL}`],
    [
      'a channel type of the workflow',
      { workflows: { 'new-comment': { channel_types: { email: false } } } },
      'workflows.new-comment.channel_types.email',
    ],
    [
      'a channel of a category',
      { categories: { b: { channels: { [CHANNEL]: false } } } },
      `categories.b.channels.${CHANNEL}`,
    ],
    [
      'another channel type of the workflow does not matter',
      { workflows: { 'new-comment': { channel_types: { push: false } } } },
      undefined,
    ],
    [
      'a workflow that is off stays off when its channel is on',
      { workflows: { 'new-comment': false }, channels: { [CHANNEL]: true } },
      'workflows.new-comment',
    ],
    [
      'a workflow that is on does not help against a channel type that is off',
      { workflows: { 'new-comment': true }, channel_types: { email: false } },
      'channel_types.email',
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
      'workflows.new-comment.channel_types.email',
    ],
    ['null is nothing', { workflows: { 'new-comment': null }, channels: null }, undefined],
  ])('%s', (_name, set, reason) => {
    const expected = reason === undefined ? { send: true } : { send: false, reason };
    expect(decide([set], { categories: ['a', 'b'] })).toEqual(expected);
  });
});

describe('conditions that do not hold are a no', () => {
  test.each<[JsonObject, string]>([
    [{ workflows: { 'new-comment': { conditions } } }, 'workflows.new-comment.conditions'],
    [{ channel_types: { email: { conditions } } }, 'channel_types.email'],
    [{ channels: { [CHANNEL]: { conditions } } }, `channels.${CHANNEL}`],
    [
      { categories: { a: { channel_types: { email: { conditions } } } } },
      'categories.a.channel_types.email',
    ],
  ])('%j', (set, reason) => {
    expect(decide([set], { categories: ['a'], evaluate: holds })).toEqual({ send: true });
    expect(decide([set], { categories: ['a'], evaluate: fails })).toEqual({ send: false, reason });
  });

  test('no conditions always hold', () => {
    const set = { channel_types: { email: { conditions: [] } } };
    expect(decide([set], { evaluate: fails })).toEqual({ send: true });
  });
});

describe('of several sets the most particular decides', () => {
  test.each<[JsonObject, JsonObject, boolean]>([
    [{ workflows: { 'new-comment': true } }, { workflows: { 'new-comment': false } }, true],
    [{ workflows: { 'new-comment': false } }, { workflows: { 'new-comment': true } }, false],
    [{}, { channel_types: { email: false } }, false],
    [{ channel_types: { sms: true } }, { channel_types: { email: false } }, false],
    [
      { workflows: { 'new-comment': { channel_types: { sms: true } } } },
      { workflows: { 'new-comment': { channel_types: { email: false } } } },
      false,
    ],
  ])('%j over %j', (own, base, send) => {
    expect(decide([own, base]).send).toBe(send);
  });
});

test('only a commercial workflow asks for commercial_subscribed', () => {
  const set = { commercial_subscribed: false };
  expect(decide([set])).toEqual({ send: true });
  expect(decide([set], { isCommercial: true })).toEqual({
    send: false,
    reason: 'commercial_subscribed',
  });
});

test('a workflow may be called like a method of objects', () => {
  const question = {
    sets: [{ workflows: {}, categories: {} }],
    workflowKey: 'constructor',
    categories: ['toString'],
    channelType: 'email',
    channelId: CHANNEL,
    evaluate: fails,
  };
  expect(decidePreference(question)).toEqual({ send: true });
});
