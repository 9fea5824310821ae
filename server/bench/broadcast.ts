import { broadcastRounds } from '../test/support/broadcast-rounds.ts';
import type { BenchResult } from './support/bench.ts';

/** A broadcast through kills of executors, server and database; then everybody's messages are counted. */
export async function broadcast(
  say: (line: string) => void,
  options: ReadonlyMap<string, string>,
): Promise<BenchResult> {
  const recipients = Number(options.get('recipients') ?? 1_000_000);
  const kills = Number(options.get('kills') ?? 50);
  const result = await broadcastRounds({ recipients, kills, say });
  return {
    unit: 'recipients',
    ...result,
    failed: result.duplicates > 0 || result.missing > 0 || result.state !== 'finished',
  };
}
