import { crashRounds } from '../test/support/crash-rounds.ts';
import type { BenchResult } from './support/bench.ts';

/** kill -9 of everything under load, again and again; then every acknowledged trigger is counted. */
export async function crash(
  say: (line: string) => void,
  options: ReadonlyMap<string, string>,
): Promise<BenchResult> {
  const rounds = Number(options.get('rounds') ?? 50);
  const result = await crashRounds({ rounds, say });
  return {
    unit: 'recipient runs of acknowledged triggers',
    ...result,
    failed: result.duplicates > 0 || result.lost > 0 || result.done !== result.acknowledged,
  };
}
