import { createWriteStream } from 'node:fs';
import type { RecordLine } from './protocol.ts';
import { type Sample, sampleRow } from './sender.ts';

/** An open file that whoever started this process gave it. */
const RECORD_FD = 4;
const LINES_A_WRITE = 500;

/**
 * Writes what became of each trigger, a `RecordLine` a line, once nothing more can become of it. A process that
 * kept all of it in memory would collect that garbage again and again, on the processors that it shares with what it measures.
 */
export type LoadRecord = {
  /** It is remembered until it is closed. */
  readonly open: (sample: Sample) => void;
  readonly close: (sample: Sample) => void;
  /** Writes the rest, also what is still open. */
  readonly end: () => Promise<void>;
};

export function createRecord(): LoadRecord {
  const file = createWriteStream('', { fd: RECORD_FD });
  const opened = new Set<Sample>();
  let lines: string[] = [];
  const write = (sample: Sample): void => {
    const line: RecordLine = [sample.number, sampleRow(sample)];
    lines.push(`${JSON.stringify(line)}\n`);
    if (lines.length < LINES_A_WRITE) return;
    file.write(lines.join(''));
    lines = [];
  };
  return {
    open: (sample) => opened.add(sample),
    close: (sample) => {
      if (opened.delete(sample)) write(sample);
    },
    end: () =>
      new Promise((resolve, reject) => {
        for (const sample of opened) write(sample);
        file.once('error', reject);
        file.end(lines.join(''), resolve);
      }),
  };
}
