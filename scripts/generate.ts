import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openApiDocument } from '../server/src/api/openapi.ts';
import { configDocument } from '../server/src/config-variables.ts';
import { openDatabase } from '../server/src/db/database.ts';
import { migrate } from '../server/src/db/migrate.ts';
import { dumpSchema } from '../server/src/db/schema-dump.ts';
import { errorDocument } from '../server/src/lib/errors.ts';
import { sdkCalls } from '../server/test/contract/sdk-methods.ts';
import { silentLog } from '../server/test/support/log.ts';
import { startScratchPostgres } from '../server/test/support/scratch-postgres.ts';
import { apiCoverageDocument } from './api-coverage.ts';
import { conformanceDocument } from './conformance.ts';

/** Files of the repository that are made from others. `--check` writes nothing and fails on a difference. */
const generated: readonly { readonly path: string; readonly make: () => Promise<string> }[] = [
  { path: 'server/schema.sql', make: makeSchema },
  { path: 'server/openapi.json', make: () => openApiDocument(sdkCalls()) },
  { path: 'docs/errors.md', make: async () => errorDocument() },
  { path: 'docs/configuration.md', make: async () => configDocument() },
  { path: 'docs/workflows.md', make: conformanceDocument },
  { path: 'docs/api-coverage.md', make: apiCoverageDocument },
];

const root = join(import.meta.dirname, '..');
const check = process.argv.includes('--check');
for (const { path, make } of generated) {
  const made = await make();
  const found = await readFile(join(root, path), 'utf8').catch(() => undefined);
  if (made === found) continue;
  if (check) {
    console.error(`${path} is not what its sources say; run \`npm run generate\` and commit it.`);
    process.exitCode = 1;
  } else {
    await writeFile(join(root, path), made);
    console.log(`wrote ${path}`);
  }
}

async function makeSchema(): Promise<string> {
  const postgres = await startScratchPostgres();
  try {
    const db = openDatabase({
      url: postgres.url,
      max: 1,
      applicationName: 'generate',
      log: silentLog,
    });
    await migrate(db, { log: silentLog });
    const text = await dumpSchema(db);
    await db.close();
    return text;
  } finally {
    await postgres.stop();
  }
}
