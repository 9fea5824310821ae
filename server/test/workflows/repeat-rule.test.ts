import { describe, expect, test } from 'vitest';
import {
  frequencies,
  nextOccurrence,
  parseRepeatRule,
  type RepeatRule,
  weekdays,
} from '../../src/workflows/repeat-rule.ts';
import { chooseTimeZone, isTimeZone, localTime } from '../../src/workflows/time-zone.ts';
import { forSeeds, integer } from '../support/random.ts';

const NEW_YORK = 'America/New_York';

function rule(value: object): RepeatRule {
  const parsed = parseRepeatRule(value);
  if (typeof parsed === 'string') throw new Error(parsed);
  return parsed;
}

/** The next times of a rule after one, in UTC. */
function next(value: object, after: string, zone = 'Etc/UTC', start?: string, count = 1): string[] {
  const times: string[] = [];
  let timeMs: number | undefined = Date.parse(after);
  const startMs = start === undefined ? undefined : Date.parse(start);
  while (times.length < count) {
    timeMs = nextOccurrence(rule(value), timeMs, zone, startMs);
    if (timeMs === undefined) return [...times, 'never'];
    times.push(new Date(timeMs).toISOString().replace(':00.000Z', 'Z'));
  }
  return times;
}

describe('a repeat rule', () => {
  test.each([
    ['daily at nine', { frequency: 'daily', hours: 9 }, '2026-03-01T09:00Z', ['2026-03-02T09:00Z']],
    [
      'daily at midnight unless it says more',
      { frequency: 'daily' },
      '2026-03-01T09:00Z',
      ['2026-03-02T00:00Z'],
    ],
    [
      'on weekdays',
      { frequency: 'daily', days: 'weekdays', hours: 8, minutes: 30 },
      '2026-03-06T09:00Z',
      ['2026-03-09T08:30Z'],
    ],
    [
      'on weekends',
      { frequency: 'weekly', days: 'weekends' },
      '2026-03-02T00:00Z',
      ['2026-03-07T00:00Z', '2026-03-08T00:00Z'],
    ],
    [
      'on listed days',
      { frequency: 'weekly', days: ['fri', 'mon'], hours: 1 },
      '2026-03-02T01:00Z',
      ['2026-03-06T01:00Z', '2026-03-09T01:00Z'],
    ],
    [
      'weekly on Mondays unless it says more',
      { frequency: 'weekly' },
      '2026-03-01T00:00Z',
      ['2026-03-02T00:00Z'],
    ],
    [
      'monthly on the first unless it says more',
      { frequency: 'monthly', hours: 6 },
      '2026-03-01T06:00Z',
      ['2026-04-01T06:00Z'],
    ],
    [
      'hourly',
      { frequency: 'hourly', minutes: 15 },
      '2026-03-01T09:15Z',
      ['2026-03-01T10:15Z', '2026-03-01T11:15Z'],
    ],
    [
      'every six hours from midnight',
      { frequency: 'hourly', interval: 6 },
      '2026-03-01T13:00Z',
      ['2026-03-01T18:00Z', '2026-03-02T00:00Z'],
    ],
  ])('applies %s', (_, value, after, expected) => {
    expect(next(value, after, 'Etc/UTC', undefined, expected.length)).toEqual(expected);
  });

  test('of the 31st is on the last day of shorter months, on 29 February in leap years', () => {
    const value = { frequency: 'monthly', day_of_month: 31 };
    expect(next(value, '2027-12-31T12:00Z', 'Etc/UTC', undefined, 4)).toEqual([
      '2028-01-31T00:00Z',
      '2028-02-29T00:00Z',
      '2028-03-31T00:00Z',
      '2028-04-30T00:00Z',
    ]);
    expect(next({ frequency: 'monthly', day_of_month: 29 }, '2027-02-01T00:00Z')).toEqual([
      '2027-02-28T00:00Z',
    ]);
  });

  test('counts intervals from its start, weeks from their Monday', () => {
    const start = '2026-03-04T10:00Z';
    expect(
      next({ frequency: 'weekly', interval: 2, hours: 9 }, start, 'Etc/UTC', start, 2),
    ).toEqual(['2026-03-18T09:00Z', '2026-04-01T09:00Z']);
    const twice = { frequency: 'weekly', interval: 2, days: ['mon', 'fri'] };
    expect(next(twice, start, 'Etc/UTC', start, 3)).toEqual([
      '2026-03-06T00:00Z',
      '2026-03-16T00:00Z',
      '2026-03-20T00:00Z',
    ]);
    expect(next({ frequency: 'daily', interval: 3 }, start, 'Etc/UTC', start)).toEqual([
      '2026-03-07T00:00Z',
    ]);
    expect(next({ frequency: 'monthly', interval: 3 }, start, 'Etc/UTC', start)).toEqual([
      '2026-06-04T00:00Z',
    ]);
    expect(next({ frequency: 'hourly', interval: 5 }, start, 'Etc/UTC', start, 3)).toEqual([
      '2026-03-04T15:00Z',
      '2026-03-04T20:00Z',
      '2026-03-05T01:00Z',
    ]);
  });

  test('follows the clocks of its zone: at nine before and after they change', () => {
    const nine = { frequency: 'daily', hours: 9 };
    expect(next(nine, '2026-03-07T00:00Z', NEW_YORK, undefined, 2)).toEqual([
      '2026-03-07T14:00Z',
      '2026-03-08T13:00Z',
    ]);
    expect(next(nine, '2026-10-31T00:00Z', NEW_YORK, undefined, 2)).toEqual([
      '2026-10-31T13:00Z',
      '2026-11-01T14:00Z',
    ]);
  });

  test('at a time that clocks leave out applies at the first moment after it', () => {
    const value = { frequency: 'daily', hours: 2, minutes: 30 };
    expect(next(value, '2026-03-07T12:00Z', NEW_YORK, undefined, 2)).toEqual([
      '2026-03-08T07:00Z',
      '2026-03-09T06:30Z',
    ]);
    // Samoa had no 30 December 2011.
    expect(next({ frequency: 'daily', hours: 9 }, '2011-12-29T20:00Z', 'Pacific/Apia')).toEqual([
      '2011-12-30T10:00Z',
    ]);
  });

  test('at a time that clocks show twice applies once, at the first', () => {
    const value = { frequency: 'daily', hours: 1, minutes: 30 };
    expect(next(value, '2026-10-31T12:00Z', NEW_YORK, undefined, 2)).toEqual([
      '2026-11-01T05:30Z',
      '2026-11-02T06:30Z',
    ]);
  });

  test('of every hour applies in each hour that passes, whatever clocks do', () => {
    const value = { frequency: 'hourly', minutes: 30 };
    expect(next(value, '2026-11-01T05:00Z', NEW_YORK, undefined, 3)).toEqual([
      '2026-11-01T05:30Z',
      '2026-11-01T06:30Z',
      '2026-11-01T07:30Z',
    ]);
    expect(next(value, '2026-03-01T00:00Z', 'Asia/Kolkata')).toEqual(['2026-03-01T01:00Z']);
    // There they go forward by half an hour, at half past the hour of UTC.
    expect(next(value, '2026-10-03T14:00Z', 'Australia/Lord_Howe', undefined, 2)).toEqual([
      '2026-10-03T15:00Z',
      '2026-10-03T16:30Z',
    ]);
  });

  test('goes on past 2038-01-19, when 32 bits of seconds end', () => {
    const value = { frequency: 'hourly', minutes: 15 };
    expect(next(value, '2038-01-19T03:14:00Z', 'Etc/UTC', undefined, 2)).toEqual([
      '2038-01-19T03:15Z',
      '2038-01-19T04:15Z',
    ]);
    expect(next({ frequency: 'daily', hours: 9 }, '2038-01-19T03:14:07Z', NEW_YORK)).toEqual([
      '2038-01-19T14:00Z',
    ]);
  });

  test('that can never apply says so', () => {
    const start = '2026-03-03T00:00Z';
    const value = { frequency: 'daily', interval: 7, days: ['mon'] };
    expect(next(value, start, 'Etc/UTC', start)).toEqual(['never']);
  });

  test.each([
    [{}, 'frequency'],
    [{ frequency: 'yearly' }, 'frequency'],
    [{ frequency: 'daily', interval: 0 }, 'interval'],
    [{ frequency: 'daily', interval: 1.5 }, 'interval'],
    [{ frequency: 'daily', hours: 24 }, 'hours'],
    [{ frequency: 'daily', minutes: 7 }, 'minutes'],
    [{ frequency: 'daily', minutes: 60 }, 'minutes'],
    [{ frequency: 'daily', days: ['someday'] }, 'days'],
    [{ frequency: 'daily', days: 'mondays' }, 'days'],
    [{ frequency: 'daily', day_of_month: 1 }, 'day_of_month'],
    [{ frequency: 'monthly', day_of_month: 32 }, 'day_of_month'],
    [{ frequency: 'monthly', days: ['mon'] }, 'day_of_month'],
  ])('%j is refused, and the sentence names the field', (value, field) => {
    expect(parseRepeatRule(value)).toEqual(expect.stringContaining(field));
  });
});

describe('the next time of any rule', () => {
  const zones = [
    'Etc/UTC',
    NEW_YORK,
    'Europe/Berlin',
    'Australia/Lord_Howe',
    'Asia/Kolkata',
    'Pacific/Apia',
    'America/Sao_Paulo',
  ];
  const FIVE_MINUTES = 300_000;

  const anyRule = (random: () => number): RepeatRule => {
    const frequency = frequencies[integer(random, 0, 3)] ?? 'daily';
    const days = weekdays.filter(() => random() < 0.5);
    return rule({
      frequency,
      interval: integer(random, 1, frequency === 'hourly' ? 7 : 3),
      hours: integer(random, 0, 23),
      minutes: integer(random, 0, 11) * 5,
      ...(frequency === 'monthly' ? {} : { days }),
      ...(frequency === 'monthly' ? { day_of_month: integer(random, 1, 31) } : {}),
    });
  };
  const pick = (random: () => number) => ({
    rule: anyRule(random),
    zone: zones[integer(random, 0, zones.length - 1)] ?? 'Etc/UTC',
    afterMs: Date.UTC(2011, 0, 1) + integer(random, 0, 30 * 365 * 86_400) * 1000,
    ...(random() < 0.5
      ? {}
      : { startMs: Date.UTC(2010, integer(random, 0, 11), integer(random, 1, 28)) }),
  });

  test('is after now, and shows the rule’s minute, hour and day unless clocks leave that out', () => {
    forSeeds(2_000, (random) => {
      const {
        rule: { frequency, hours, minutes, days },
        ...picked
      } = pick(random);
      const given = { frequency, hours, minutes, interval: 1, ...(days ? { days } : {}) };
      const time = nextOccurrence(given, picked.afterMs, picked.zone, picked.startMs);
      if (time === undefined) throw new Error('never');
      expect(time).toBeGreaterThan(picked.afterMs);
      const { day, minute } = localTime(time, picked.zone);
      const before = localTime(time - 1, picked.zone);
      const isAfterGap = before.offsetMs !== localTime(time, picked.zone).offsetMs;
      if (isAfterGap) return;
      expect(minute % 60).toBe(minutes);
      if (frequency !== 'hourly') expect(minute).toBe(hours * 60 + minutes);
      if (days) expect(days).toContain(weekdays[(day + 3) % 7]);
    });
  });

  test('is the same from any moment before it: none lies in between', () => {
    forSeeds(1_000, (random) => {
      const { rule: any, zone, afterMs, startMs } = pick(random);
      const time = nextOccurrence(any, afterMs, zone, startMs);
      if (time === undefined) return;
      const between = afterMs + Math.floor(random() * (time - afterMs));
      expect(nextOccurrence(any, between, zone, startMs)).toBe(time);
      expect(nextOccurrence(any, time - 1, zone, startMs)).toBe(time);
      const later = nextOccurrence(any, time, zone, startMs);
      expect(later).toBeGreaterThan(time);
    });
  });

  test('is the first five minutes that anybody with a calendar would tick', () => {
    forSeeds(60, (random) => {
      const { zone, afterMs } = pick(random);
      const hours = integer(random, 0, 23);
      const days = weekdays.filter(() => random() < 0.6);
      const any = rule({ frequency: 'daily', hours, minutes: 30, days });
      const time = nextOccurrence(any, afterMs, zone);
      if (time === undefined) throw new Error('never');
      if (localTime(time, zone).minute !== hours * 60 + 30) return;
      for (
        let at = Math.floor(afterMs / FIVE_MINUTES) * FIVE_MINUTES + FIVE_MINUTES;
        at < time;
        at += FIVE_MINUTES
      ) {
        const { day, minute } = localTime(at, zone);
        const ticked =
          minute === hours * 60 + 30 &&
          (any.days?.includes(weekdays[(day + 3) % 7] ?? 'mon') ?? true);
        // What clocks show a second time was ticked the first time.
        const again =
          localTime(at - 3_600_000, zone).minute === minute ||
          localTime(at - 1_800_000, zone).minute === minute;
        expect(ticked && !again).toBe(false);
      }
    });
  });
});

describe('a time zone', () => {
  test('is the first name that is one; a name that is none is told', () => {
    expect(chooseTimeZone('Europe/Berlin', NEW_YORK)).toEqual({ timezone: 'Europe/Berlin' });
    expect(chooseTimeZone(null, undefined, '', NEW_YORK)).toEqual({ timezone: NEW_YORK });
    expect(chooseTimeZone('Mars/Olympus', NEW_YORK)).toEqual({
      timezone: NEW_YORK,
      unknown: 'Mars/Olympus',
    });
    expect(chooseTimeZone(5)).toEqual({ timezone: 'Etc/UTC', unknown: '5' });
    expect(chooseTimeZone()).toEqual({ timezone: 'Etc/UTC' });
  });

  test.each([
    '',
    '+05:00',
    'Mars/Olympus',
    'x'.repeat(1_000),
    null,
    5,
    {},
    '2026-01-01[Europe/Berlin]',
  ])('is not %j', (value) => {
    expect(isTimeZone(value)).toBe(false);
  });
});
