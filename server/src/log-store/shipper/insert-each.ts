import type { Logger } from '../../lib/log.ts';
import type { LogBatch, LogSink } from '../log-store.ts';
import { splitLines } from './split-lines.ts';

/** Rows that are left out of a batch at the most: more, and it is not the rows. */
const MOST_REFUSED = 20;

/**
 * Inserts a batch; where the store refuses to read it, in halves, down to the rows that it refuses, which are left out. Returns how
 * many these were. What is one row's fault must not hold up all others for ever.
 */
export async function insertEach(
  sink: LogSink,
  batch: LogBatch,
  token: string,
  log: Logger,
): Promise<number> {
  let refused = 0;
  const insert = async (lines: readonly Buffer[], own: string): Promise<void> => {
    try {
      await sink.insert({ ...batch, lines: Buffer.concat(lines), rows: lines.length }, own);
    } catch (error) {
      if (sink.refusalCode(error) === undefined || refused >= MOST_REFUSED) throw error;
      if (lines.length > 1) {
        const half = lines.length >> 1;
        await insert(lines.slice(0, half), `${own}-1`);
        await insert(lines.slice(half), `${own}-2`);
        return;
      }
      refused += 1;
      const [id] = /[0-9a-f-]{36}/.exec(String(lines[0])) ?? [];
      log.error({ source: batch.source, id }, 'the log store cannot read a row: it is left out');
    }
  };
  try {
    await sink.insert(batch, token);
  } catch (error) {
    if (sink.refusalCode(error) === undefined) throw error;
    await insert(splitLines(batch.lines), `${token}-each`);
  }
  return refused;
}
