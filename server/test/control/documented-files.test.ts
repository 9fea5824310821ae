import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { publish } from '../../src/control/publish.ts';
import { locateProblem, readDirectory } from '../../src/control/read-directory.ts';
import { BelfryError } from '../../src/lib/errors.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { environmentContext } from './support.ts';

/** What docs/workflows/files.md shows. */

let database: TestDatabase;
let root: string;
let page: string;

beforeAll(async () => {
  database = await createTestDatabase();
  root = await mkdtemp(join(tmpdir(), 'belfry-documented-'));
  page = await readFile(new URL('../../../docs/workflows/files.md', import.meta.url), 'utf8');
});
afterAll(async () => {
  await rm(root, { recursive: true, force: true });
  await database.drop();
});

async function push(markdown: string) {
  const [, example = ''] = /```json\n([\s\S]*?)```/.exec(page) ?? [];
  const directory = join(root, 'workflows', 'comment');
  await mkdir(join(directory, 'in_app_feed_1'), { recursive: true });
  await writeFile(join(directory, 'workflow.json'), example);
  await writeFile(join(directory, 'in_app_feed_1', 'markdown_body.md'), markdown);
  const read = await readDirectory(root);
  const ctx = await environmentContext(database.db, markdown);
  return { read, published: await publish(ctx, read).catch((error: unknown) => error) };
}

test('the documented workflow can be pushed as it is', async () => {
  const { read, published } = await push('{{ comment }}');
  expect(read.problems).toEqual([]);
  expect(published).toMatchObject({ workflows: [{ key: 'comment', changed: true }], warnings: [] });
});

test('a problem of a template reads as documented', async () => {
  const { read, published } = await push('Hello\n\n{{ "hi" | nonsense }}');
  const [workflow] = read.workflows;
  const [problem] = published instanceof BelfryError ? (published.fields ?? []) : [];
  if (!workflow || !problem) throw new Error('it was published');
  const path = problem.field.replace(/^comment: /, '');
  const located = locateProblem(workflow, path, problem.message);
  expect(page).toContain(`  ${located.file}: ${located.path}: ${located.reason}\n`);
});
