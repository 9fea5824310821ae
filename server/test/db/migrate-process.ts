// Started by tests: migrates a database and prints what it applied.
import { migrate } from '../../src/db/migrate.ts';
import { silentLog } from '../support/log.ts';

const [url, directory] = process.argv.slice(2);
const { applied } = await migrate(url ?? '', {
  log: silentLog,
  ...(directory && { directory }),
});
console.log(JSON.stringify({ applied }));
