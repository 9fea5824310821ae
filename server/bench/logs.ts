import type { Bench, BenchResult } from './support/bench.ts';
import { cutLogStore } from './support/log-cut.ts';
import { searchLogs } from './support/log-search.ts';
import { shipLogs } from './support/log-ship.ts';

const PARTS: { readonly [name: string]: Bench } = {
  ship: shipLogs,
  cut: cutLogStore,
  search: searchLogs,
};

/**
 * The log store: rows shipped a second; a store that is cut off at 2,000 runs/s (`--minutes`, 10), what that delays and what is
 * missing afterwards; searches over `--events` (50 million) in PostgreSQL and ClickHouse. `--part=ship,cut,search` does some of it.
 */
export async function logs(
  say: (line: string) => void,
  options: ReadonlyMap<string, string>,
): Promise<BenchResult> {
  const wanted = options.get('part')?.split(',') ?? Object.keys(PARTS);
  let result: BenchResult = { unit: 'log store' };
  let failed = false;
  for (const name of wanted) {
    const part = PARTS[name];
    if (!part) throw new Error(`there is no part ${name}; use ${Object.keys(PARTS).join(', ')}`);
    const found = await part(say, options);
    failed ||= found.failed === true;
    result = { ...result, ...found };
  }
  return { ...result, failed };
}
