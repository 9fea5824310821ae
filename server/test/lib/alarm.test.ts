import { expect, test } from 'vitest';
import { createAlarm } from '../../src/lib/alarm.ts';
import { waitFor } from '../support/wait.ts';

test('an alarm rings once for each time that it was set and was not set already', async () => {
  let rung = 0;
  const alarm = createAlarm(() => {
    rung += 1;
  });
  alarm.set(1);
  alarm.set(1);
  await waitFor('the first ring', () => (rung === 1 ? true : undefined));
  alarm.set(1);
  await waitFor('the second ring', () => (rung === 2 ? true : undefined));
});

test('an alarm that was cleared does not ring, and rings when it is set again', async () => {
  const rung: string[] = [];
  const alarm = createAlarm(() => rung.push('alarm'));
  alarm.set(1);
  alarm.clear();
  const other = createAlarm(() => rung.push('other'));
  other.set(20);
  await waitFor('what was set later', () => (rung.length > 0 ? true : undefined));
  expect(rung).toEqual(['other']);
  alarm.set(1);
  await waitFor('the alarm', () => (rung.length === 2 ? true : undefined));
  expect(rung).toEqual(['other', 'alarm']);
});
