import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { waitFor } from '../support/wait.ts';
import { type StartedServer, startWholeServer } from './support/started-server.ts';

const root = join(import.meta.dirname, '..', '..', '..');
const run = promisify(execFile);
let server: StartedServer;
let directory = '';

beforeAll(async () => {
  server = await startWholeServer();
  // Inside the checkout, because that is where the README says to save the lines.
  directory = await mkdtemp(join(root, 'server', 'test', '.readme-'));
});
afterAll(async () => {
  await server.stop();
  await rm(directory, { recursive: true, force: true });
});

/** The README's words, with this server's address and data dir in the place of the default ones. */
async function readmeBlock(language: string, containing: string): Promise<string> {
  const text = await readFile(join(root, 'README.md'), 'utf8');
  const blocks = [...text.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\``, 'gms'))];
  const block = blocks.map((match) => match[1] ?? '').find((body) => body.includes(containing));
  if (block === undefined) throw new Error(`README.md has no ${language} block with ${containing}`);
  return block
    .replaceAll('http://127.0.0.1:4400', server.origin)
    .replaceAll('.belfry/credentials.json', join(server.dataDir, 'credentials.json'));
}

test('the lines of first use work as printed, and the bell has something to ring for', async () => {
  const file = join(directory, 'first.mjs');
  await writeFile(file, await readmeBlock('js', 'workflows.trigger'));
  const { stdout } = await run(process.execPath, [file], { cwd: root });
  expect(stdout).toMatch(/^workflow run [0-9a-f-]{36}$/m);
  await waitFor('the notification', async () => {
    const response = await fetch(
      `${server.origin}/v1/users/mara/feeds/${server.development.channels['in-app']}`,
      { headers: { authorization: `Bearer ${server.development.secret_key}` } },
    );
    const { entries } = (await response.json()) as { entries: unknown[] };
    return entries.length > 0 ? true : undefined;
  });
});

test('the commands for one’s own workflows work as printed', async () => {
  const block = await readmeBlock('sh', 'belfry push');
  for (const line of block.split('\n').filter((text) => text !== '')) {
    const command = line.replace(/^npx belfry/, `"${process.execPath}" server/bin/belfry.js`);
    const { stdout } = await run('sh', ['-c', command], {
      cwd: root,
      env: { ...process.env, BELFRY_URL: server.origin, BELFRY_DATA_DIR: server.dataDir },
    });
    expect(stdout, line).not.toBe('');
  }
});
