import { EventEmitter } from 'node:events';
import type { ReadStream, WriteStream } from 'node:tty';
import { expect, test } from 'vitest';
import { showLive } from '../../src/cli/live.ts';
import { CliError } from '../../src/cli/result.ts';
import { createStyle } from '../../src/cli/style.ts';
import { topView } from '../../src/cli/top-view.ts';
import type { JsonObject } from '../../src/lib/json.ts';
import { waitFor } from '../support/wait.ts';

const style = createStyle(false);

function entry(index: number, names: JsonObject): JsonObject {
  return {
    ...names,
    runs_per_s: 1_234_567 / (index + 1),
    refused_per_s: 1_000 * index,
    share: 0.83,
    factor: index % 2 ? null : 12_345.6,
    since: index % 3 ? null : '2026-05-01T04:00:20.123Z',
  };
}

function answer(count: number, name: string): JsonObject {
  const many = (names: (index: number) => JsonObject) =>
    Array.from({ length: count }, (_, index) => entry(index, names(index)));
  const account = { id: 1, name };
  return {
    at: '2026-05-01T04:00:31.000Z',
    window: '10s',
    observed_since: '2026-05-01T03:00:00.000Z',
    total: {
      runs_per_s: 1_234_567,
      triggers_per_s: 234_567,
      refused_per_s: 34_567,
      bytes_per_s: 4e8,
    },
    surges: many(() => ({})).map(
      () =>
        `account ${name}, key ...ab12, workflow ${name}: 61 times its normal, 83 % of the traffic`,
    ),
    callers: many(() => ({ account, key: { id: 'key_1', hint: 'ab12' }, workflow: name })),
    accounts: many(() => ({ account, refused_by: { 'fair share': 1_234_567, log: 1 } })),
    sources: many((index) => ({ source: `2001:db8:1234:5678:9abc:def0:1234:${index}` })),
  };
}

test('the view fits into 80 columns and 24 rows, whatever the names and numbers', () => {
  for (const name of ['a', 'a-rather-long-name'.repeat(5)]) {
    for (const count of [0, 1, 3, 20]) {
      const lines = topView(answer(count, name), { columns: 80, rows: 23, style });
      expect(lines.length).toBeLessThanOrEqual(23);
      for (const line of lines) expect([...line].length).toBeLessThanOrEqual(80);
      const text = lines.join('\n');
      for (const heading of ['WORKFLOW', 'ACCOUNT', 'ADDRESS']) expect(text).toContain(heading);
      if (count > 0) expect(text).toContain('Refused since the start: ');
    }
  }
});

test('a name cannot command the terminal', () => {
  const lines = topView(answer(1, 'evil\u001b[2J'), { columns: 80, rows: 23, style });
  expect(lines.join('\n')).not.toContain('\u001b');
});

/** A terminal of 80 x 24: what is written to it, and a keyboard. */
function terminal() {
  const written: string[] = [];
  const raw: boolean[] = [];
  const stdin = Object.assign(new EventEmitter(), {
    setRawMode: (on: boolean) => raw.push(on),
    pause: () => {},
  });
  const stdout = Object.assign(new EventEmitter(), {
    columns: 80,
    rows: 24,
    write: (text: string) => written.push(text),
  });
  return {
    written,
    raw,
    stdin: stdin as unknown as ReadStream,
    stdout: stdout as unknown as WriteStream,
  };
}

test('the live view refreshes, tells a failure, recovers from it, and leaves the terminal as it was at q', async () => {
  const { written, raw, stdin, stdout } = terminal();
  let reads = 0;
  const live = showLive({
    stdin,
    stdout,
    first: 0,
    refreshMs: 1,
    read: async () => {
      reads += 1;
      if (reads === 2) throw new CliError('server_unreachable', 'No server answers');
      return reads;
    },
    view: (value) => [`view ${value}`],
  });
  await waitFor('a third view', () => written.find((text) => text.includes('view 3')));
  expect(written.find((text) => text.includes('No server answers'))).toContain('view 1');
  expect(written.find((text) => text.includes('view 3'))).toContain('q quits');
  stdin.emit('data', Buffer.from('q'));
  await live;
  expect(raw).toEqual([true, false]);
  expect(written.at(-1)).toBe('\u001b[?25h\u001b[?1049l');
});
