import { describe, expect, test } from 'vitest';
import { compileConditions } from '../../src/workflows/conditions.ts';
import { type MessageState, messagesRef } from '../../src/workflows/message-status.ts';
import { runScope } from '../../src/workflows/scope.ts';

const fresh: MessageState = {
  delivery: 'queued',
  seen: false,
  read: false,
  interacted: false,
  linkClicked: false,
  archived: false,
};
const sent: MessageState = { ...fresh, delivery: 'sent' };
const delivered: MessageState = { ...fresh, delivery: 'delivered' };
const bounced: MessageState = { ...fresh, delivery: 'bounced' };
const seen: MessageState = { ...delivered, seen: true };
const read: MessageState = { ...seen, read: true };
const clicked: MessageState = { ...read, linkClicked: true };

function has(
  states: readonly (MessageState | undefined)[] | undefined,
  status: string,
  operator = 'equal_to',
  field = 'engagement_status',
): boolean {
  const scope = runScope({
    recipient: { id: 'u1' },
    actor: null,
    tenant: null,
    data: {},
    workflow: {},
    vars: {},
    timestamp: '2026-03-01T12:00:00.000Z',
    refs: states ? { email_1: messagesRef(states) } : {},
  });
  const condition = { variable: `refs.email_1.${field}`, operator, argument: `$message.${status}` };
  return compileConditions({ all: [condition] })(scope);
}

describe('the message of an earlier step [condition.message_status]', () => {
  test.each<[MessageState, readonly string[], readonly string[]]>([
    [fresh, ['queued'], ['sent', 'delivered', 'bounced', 'seen', 'skipped']],
    [sent, ['sent'], ['delivered', 'undelivered', 'seen']],
    [delivered, ['sent', 'delivered'], ['seen', 'read', 'seen_not_read']],
    [bounced, ['bounced'], ['sent', 'delivered', 'undelivered', 'skipped']],
    [{ ...fresh, delivery: 'undelivered' }, ['undelivered'], ['sent', 'bounced']],
    [seen, ['sent', 'delivered', 'seen', 'seen_not_read'], ['read', 'read_not_link_clicked']],
    [read, ['seen', 'read', 'read_not_link_clicked'], ['seen_not_read', 'link_clicked']],
    [clicked, ['read', 'interacted', 'link_clicked'], ['read_not_link_clicked', 'archived']],
    [{ ...delivered, archived: true }, ['archived', 'delivered'], ['seen', 'read']],
  ])('%j has %j, and not %j', (state, those, others) => {
    for (const status of those) {
      expect(has([state], status)).toBe(true);
      expect(has([state], status, 'not_equal_to')).toBe(false);
    }
    for (const status of others) {
      expect(has([state], status)).toBe(false);
      expect(has([state], status, 'not_equal_to')).toBe(true);
    }
  });

  test('is asked for by either name, with either pair of operators', () => {
    for (const field of ['delivery_status', 'engagement_status', 'status']) {
      expect(has([read], 'read', 'contains', field)).toBe(true);
      expect(has([read], 'read', 'not_contains', field)).toBe(false);
    }
  });

  test('counts as the one that is highest on the ladder when there are several', () => {
    expect(has([bounced, sent], 'sent')).toBe(true);
    expect(has([bounced, sent], 'bounced')).toBe(false);
    expect(has([delivered, read, seen], 'seen_not_read')).toBe(false);
    expect(has([fresh, { ...fresh, delivery: 'delivery_attempted' }], 'queued')).toBe(true);
    expect(has([undefined, sent], 'sent')).toBe(true);
  });

  test('is skipped when the step made none', () => {
    expect(has(undefined, 'skipped')).toBe(true);
    expect(has(undefined, 'skipped', 'not_equal_to')).toBe(false);
    expect(has(undefined, 'sent')).toBe(false);
    expect(has(undefined, 'sent', 'not_equal_to')).toBe(true);
  });

  test('makes every condition false when retention has removed it', () => {
    for (const status of ['skipped', 'sent', 'read']) {
      expect(has([undefined], status)).toBe(false);
      expect(has([undefined], status, 'not_equal_to')).toBe(false);
    }
  });
});
