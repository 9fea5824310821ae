import { existsSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { belfry } from '../cli/belfry.ts';
import { examplePages, root } from './support/documented-examples.ts';
import { sendExamples } from './support/send-examples.ts';
import { type StartedServer, startWholeServer } from './support/started-server.ts';

const pages = await examplePages();
const MAX_PICTURE_BYTES = 150_000;

let server: StartedServer;

beforeAll(async () => {
  server = await startWholeServer();
});
afterAll(() => server.stop());

describe.each(pages)('the page of the example $key', ({ key, text, blocks }) => {
  test('has commands that work and print what it shows', async () => {
    const env = { BELFRY_URL: server.origin, BELFRY_DATA_DIR: server.dataDir };
    for (const { commands, shown } of blocks) {
      let printed = '';
      for (const args of commands) {
        // The directory is named from the checkout's root.
        const words = args.map((word) => (word === 'examples' ? join(root, word) : word));
        const { code, stdout, stderr } = await belfry(words, env);
        expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
        printed += stdout;
      }
      expect(shown.filter((line) => !isIn(printed, line))).toEqual([]);
    }
    expect(blocks.flatMap(({ commands }) => commands).some((args) => args.includes(key))).toBe(
      true,
    );
  }, 60_000);

  test('has pictures that exist and are small', () => {
    const pictures = [...text.matchAll(/^!\[[^\]]+\]\(([^)]+)\)$/gm)].map(([, path = '']) =>
      join(root, 'docs', 'workflows', 'examples', path),
    );
    expect(pictures.length).toBeGreaterThan(0);
    expect(pictures.filter((path) => !existsSync(path))).toEqual([]);
    expect(pictures.filter((path) => statSync(path).size > MAX_PICTURE_BYTES)).toEqual([]);
  });
});

test('the table of examples links to each page', async () => {
  const table = await readFile(join(root, 'docs', 'workflows', 'examples.md'), 'utf8');
  for (const { key } of pages) expect(table).toContain(`[\`${key}\`](examples/${key}.md)`);
});

test('with its waits shortened, each example sends what its page shows, and nothing else', async () => {
  const sent = await sendExamples(server);
  const titles = sent.map(({ workflow, step, title }) => `${workflow} ${step}: ${title}`);
  expect(titles).toContain('comment-digest email_1: 3 comments on Spring timetable');
  expect(titles).toContain('weekly-summary email_1: Nordbahn: your week 47');
}, 120_000);

function isIn(printed: string, line: string): boolean {
  const parts = line.split('…').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(parts.join('.*')).test(printed.replaceAll('\u00a0', ' '));
}
