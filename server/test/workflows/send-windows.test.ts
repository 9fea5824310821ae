import { describe, expect, test } from 'vitest';
import {
  nextOpening,
  parseSendWindows,
  type SendWindows,
  sendWindowProblems,
} from '../../src/workflows/send-windows.ts';

const days = ['monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday'];

type Entry = { type: string; from?: string; until?: string };

const entries = (of: (day: string) => Entry) => days.map((day) => ({ day, ...of(day) }));

function windows(of: (day: string) => Entry): SendWindows {
  const parsed = parseSendWindows(entries(of));
  if (!parsed) throw new Error('no windows');
  return parsed;
}

const opening = (given: SendWindows, now: string, timezone: string) => {
  const ms = nextOpening(given, Date.parse(now), timezone);
  return ms === undefined ? undefined : new Date(ms).toISOString();
};

const office = windows((day) =>
  day.startsWith('s') ? { type: 'do_not_send' } : { type: 'send', from: '09:00', until: '17:00' },
);

describe('the next opening of send windows [channel/email.send_windows]', () => {
  test('is now inside of a window, of which the end is no part', () => {
    expect(opening(office, '2026-03-02T09:00:00Z', 'Etc/UTC')).toBe('2026-03-02T09:00:00.000Z');
    expect(opening(office, '2026-03-02T16:59:59.999Z', 'Etc/UTC')).toBe('2026-03-02T16:59:59.999Z');
    expect(opening(office, '2026-03-02T17:00:00Z', 'Etc/UTC')).toBe('2026-03-03T09:00:00.000Z');
  });

  test('is where the recipient is', () => {
    expect(opening(office, '2026-03-02T12:00:00Z', 'Asia/Tokyo')).toBe('2026-03-03T00:00:00.000Z');
    expect(opening(office, '2026-03-02T12:00:00Z', 'America/New_York')).toBe(
      '2026-03-02T14:00:00.000Z',
    );
  });

  test('is after days that are closed whole', () => {
    expect(opening(office, '2026-03-06T17:00:00Z', 'Etc/UTC')).toBe('2026-03-09T09:00:00.000Z');
  });

  test('is midnight where a day is open from its beginning', () => {
    const tuesdays = windows((day) => ({ type: day === 'tuesday' ? 'send' : 'do_not_send' }));
    expect(opening(tuesdays, '2026-03-02T23:59:59Z', 'Etc/UTC')).toBe('2026-03-03T00:00:00.000Z');
    expect(opening(tuesdays, '2026-03-03T23:59:59Z', 'Etc/UTC')).toBe('2026-03-03T23:59:59.000Z');
    expect(opening(tuesdays, '2026-03-04T00:00:00Z', 'Etc/UTC')).toBe('2026-03-10T00:00:00.000Z');
  });

  test('is outside of the times of a day at which nothing is to be sent', () => {
    const lunch = windows(() => ({ type: 'do_not_send', from: '12:00', until: '13:00' }));
    expect(opening(lunch, '2026-03-02T12:30:00Z', 'Etc/UTC')).toBe('2026-03-02T13:00:00.000Z');
    expect(opening(lunch, '2026-03-02T11:30:00Z', 'Etc/UTC')).toBe('2026-03-02T11:30:00.000Z');
  });

  // In Berlin 02:00 to 03:00 does not exist on 2026-03-29, and comes twice on 2026-10-25.
  test('is the end of the hour that daylight saving skips, where a window begins in it', () => {
    const night = windows(() => ({ type: 'send', from: '02:30', until: '05:00' }));
    expect(opening(night, '2026-03-29T00:30:00Z', 'Europe/Berlin')).toBe(
      '2026-03-29T01:00:00.000Z',
    );
  });

  test('is on another day, where a window is wholly in the hour that is skipped', () => {
    const gap = windows(() => ({ type: 'send', from: '02:15', until: '02:45' }));
    expect(opening(gap, '2026-03-29T00:30:00Z', 'Europe/Berlin')).toBe('2026-03-30T00:15:00.000Z');
    const sundays = windows((day) =>
      day === 'sunday' ? { type: 'send', from: '02:15', until: '02:45' } : { type: 'do_not_send' },
    );
    expect(opening(sundays, '2026-03-28T12:00:00Z', 'Europe/Berlin')).toBe(
      '2026-04-05T00:15:00.000Z',
    );
  });

  test('is both times in an hour that comes twice', () => {
    const half = windows(() => ({ type: 'send', from: '02:00', until: '02:30' }));
    const open = (now: string) => opening(half, now, 'Europe/Berlin');
    expect(open('2026-10-25T00:10:00Z')).toBe('2026-10-25T00:10:00.000Z');
    expect(open('2026-10-25T00:30:00Z')).toBe('2026-10-25T01:00:00.000Z');
    expect(open('2026-10-25T01:30:00Z')).toBe('2026-10-26T01:00:00.000Z');
  });

  test('keeps to the clock on the wall through the week in which clocks change', () => {
    expect(opening(office, '2026-03-27T16:30:00Z', 'Europe/Berlin')).toBe(
      '2026-03-30T07:00:00.000Z',
    );
  });

  test('is there in zones of odd offsets, on a leap day and after 2038', () => {
    expect(opening(office, '2026-03-02T12:00:00Z', 'Asia/Kathmandu')).toBe(
      '2026-03-03T03:15:00.000Z',
    );
    expect(opening(office, '2028-02-28T20:00:00Z', 'Etc/UTC')).toBe('2028-02-29T09:00:00.000Z');
    expect(opening(office, '2040-01-01T00:00:00Z', 'Etc/UTC')).toBe('2040-01-02T09:00:00.000Z');
  });
});

describe('send windows are refused', () => {
  const reasons = (value: Entry[] | object[]) =>
    sendWindowProblems(JSON.parse(JSON.stringify(value)), '$').map(
      ({ path, reason }) => `${path} ${reason}`,
    );

  test('when they are never open', () => {
    expect(reasons(entries(() => ({ type: 'do_not_send' })))).toEqual([
      '$ is closed all week, so nothing would ever be sent',
    ]);
  });

  test('when a day is missing or there twice', () => {
    const week = entries(() => ({ type: 'send' }));
    expect(reasons(week)).toEqual([]);
    expect(reasons(week.slice(1))).toEqual(['$ lacks monday']);
    expect(reasons([...week.slice(1), { day: 'sunday', type: 'send' }])).toEqual([
      '$ lacks monday',
      '$ has sunday twice',
    ]);
  });

  test('when a time is none, or ends before it begins', () => {
    const with2 = (entry: Omit<Entry, 'type'>) =>
      reasons(entries((day) => ({ type: 'send', ...(day === 'tuesday' ? entry : {}) })));
    expect(with2({ from: '9 am' })).toEqual(['$[1].from must be a time of day such as "09:00"']);
    expect(with2({ from: '24:30' })).toEqual(['$[1].from must be a time of day such as "09:00"']);
    expect(with2({ from: '22:00', until: '02:00' })[0]).toContain(
      '$[1].until must be after "from"',
    );
    expect(with2({ from: '22:00', until: '00:00' })).toEqual([]);
  });
});
