// Started by tests: a process that owns an embedded PostgreSQL until it is killed.
import { startEmbeddedPostgres } from '../../src/db/embedded.ts';
import { silentLog } from '../support/log.ts';

const [dataDir] = process.argv.slice(2);
try {
  const postgres = await startEmbeddedPostgres({
    dataDir: dataDir ?? '',
    log: silentLog,
    fsync: false,
  });
  console.log(JSON.stringify({ url: postgres.url, pid: postgres.pid }));
  process.stdin.resume();
  process.stdin.once('end', () => void postgres.stop());
} catch (error) {
  console.log(JSON.stringify({ error: error instanceof Error ? error.message : String(error) }));
}
