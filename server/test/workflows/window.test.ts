import { describe, expect, test } from 'vitest';
import { resolveWindow } from '../../src/workflows/window.ts';
import { execute, nowMs, scopeWith } from './support.ts';

const BERLIN = 'Europe/Berlin';

/** The end of a window in UTC, or why there is none; it is Sunday noon in UTC. */
function end(value: unknown, more: object = {}): string {
  const resolved = resolveWindow(value, { nowMs, timezone: BERLIN, ...more });
  return 'reason' in resolved ? resolved.reason : new Date(resolved.untilMs).toISOString();
}

describe('the end of a window', () => {
  test('is a timestamp, a duration from now, or the next time of a rule in its zone', () => {
    expect(end('2026-03-02T00:00:00Z')).toBe('2026-03-02T00:00:00.000Z');
    expect(end({ unit: 'hours', value: 2 })).toBe('2026-03-01T14:00:00.000Z');
    expect(end({ unit: 'months', value: 1 })).toBe('2026-04-01T12:00:00.000Z');
    const rule = { frequency: 'weekly', days: ['mon'], hours: 9, minutes: 30 };
    expect(end(rule)).toBe('2026-03-02T08:30:00.000Z');
    expect(end({ ...rule, days: 'weekdays', hours: '10' })).toBe('2026-03-02T09:30:00.000Z');
  });

  test('is moved by an offset, and has to be in the future with it', () => {
    const hour = (value: number) => ({ offset: { unit: 'hours', value } });
    expect(end('2026-03-01T18:00:00Z', hour(-2))).toBe('2026-03-01T16:00:00.000Z');
    expect(end('2026-03-01T11:00:00Z', hour(2))).toBe('2026-03-01T13:00:00.000Z');
    expect(end('2026-03-01T13:00:00Z', hour(-2))).toContain('has passed');
  });

  test.each([
    [undefined, 'there is no value'],
    [null, 'there is no value'],
    ['', 'there is no value'],
    ['tomorrow', '"tomorrow" is no timestamp'],
    [5, '5 is no timestamp, duration or window rule'],
    [[1], '[1] is no timestamp, duration or window rule'],
    [{ unit: 'years', value: 1 }, '{"unit":"years","value":1} is no timestamp'],
    ['2026-03-01T12:00:00Z', 'the time to wait for has passed: 2026-03-01T12:00:00.000Z'],
    [{ unit: 'hours', value: -1 }, 'the time to wait for has passed'],
    [{ unit: 'weeks', value: 1e300 }, 'that time is out of range'],
    [{ unit: 'months', value: 1e300 }, 'that time is out of range'],
    [{ frequency: 'daily', hours: 24 }, 'the window rule is wrong: "hours" must be'],
  ])('of %j is unknown: %s', (value, reason) => {
    expect(end(value)).toContain(reason);
  });

  test('says what the value was without all of it', () => {
    expect(end('x'.repeat(1e6)).length).toBeLessThan(120);
  });
});

describe('a delay step', () => {
  const delay = { type: 'delay', ref: 'd', settings: { delay_until_field_path: 'recipient.at' } };
  const rule = { frequency: 'daily', hours: 9 };

  test('waits for the next time of a window rule on the recipient’s clocks, and says on whose [delay.delay_until_field_path]', () => {
    const recipient = { at: rule, timezone: BERLIN };
    expect(execute(delay, scopeWith({}, recipient))).toEqual({
      kind: 'wait',
      untilMs: Date.parse('2026-03-02T08:00:00Z'),
      reason: 'until 2026-03-02T08:00:00.000Z by the clocks of Europe/Berlin',
    });
  });

  test('follows UTC for a recipient whose time zone is none, and says so [delay.delay_until_field_path]', () => {
    const recipient = { at: rule, timezone: 'Mars/Olympus' };
    expect(execute(delay, scopeWith({}, recipient))).toMatchObject({
      untilMs: Date.parse('2026-03-02T09:00:00Z'),
      reason: expect.stringContaining('as "Mars/Olympus" is no time zone'),
    });
  });

  test('adds its duration to a time of the path, which may have passed [delay.delay_for] [delay.delay_until_field_path]', () => {
    const after = {
      ...delay,
      settings: { ...delay.settings, delay_for: { unit: 'days', value: 7 } },
    };
    expect(execute(after, scopeWith({}, { at: '2026-02-25T12:00:00Z' }))).toMatchObject({
      kind: 'wait',
      untilMs: Date.parse('2026-03-04T12:00:00Z'),
    });
  });

  test('goes on at once with the path and the reason in the trace [delay.delay_until_field_path]', () => {
    for (const at of [null, 'soon', '2020-01-01', { frequency: 'never' }]) {
      expect(execute(delay, scopeWith({}, { at }))).toMatchObject({
        kind: 'continue',
        reason: expect.stringMatching(/^"recipient.at": ./),
      });
    }
  });

  test('waits for up to 365 days, and one more when a leap day is among them [delay.delay_for]', () => {
    const settings = { delay_for: { unit: 'days', value: 365 } };
    const untilMs = nowMs + 365 * 86_400_000;
    expect(execute({ ...delay, settings })).toMatchObject({ kind: 'wait', untilMs });
    expect(execute(delay, scopeWith({}, { at: '2027-03-02T12:00:00Z' }))).toMatchObject({
      kind: 'wait',
    });
    expect(execute(delay, scopeWith({}, { at: '2027-03-02T12:00:01Z' }))).toMatchObject({
      kind: 'continue',
      reason: 'the delay is longer than 365 days',
    });
  });
});
