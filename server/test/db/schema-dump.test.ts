import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { dumpSchema } from '../../src/db/schema-dump.ts';
import { createTestDatabase } from '../support/database.ts';

test('schema.sql is what the migrations make (else run `npm run generate`)', async () => {
  const { db, drop } = await createTestDatabase();
  onTestFinished(drop);
  const committed = await readFile(join(import.meta.dirname, '../../schema.sql'), 'utf8');
  expect(await dumpSchema(db)).toBe(committed);
});
