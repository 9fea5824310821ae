import { open, rm } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { CliError } from './result.ts';

const LINE_FEED = 10;
const PROGRESS_MS = 500;

type Written = { readonly lines: number; readonly bytes: number };

/**
 * Writes the lines to a new file, with progress on a terminal. An export that breaks off leaves no file,
 * because half of one looks like a whole one.
 */
export async function exportTo(
  file: string,
  body: AsyncIterable<Uint8Array>,
  expected: number,
  terminal: { readonly isTTY?: boolean; readonly write: (text: string) => unknown },
): Promise<Written> {
  let lines = 0;
  let bytes = 0;
  let shownMs = performance.now();
  const count = async function* (source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const piece of source) {
      for (const byte of piece) if (byte === LINE_FEED) lines += 1;
      bytes += piece.length;
      const nowMs = performance.now();
      if (terminal.isTTY && nowMs - shownMs >= PROGRESS_MS) {
        shownMs = nowMs;
        terminal.write(`\r${lines.toLocaleString('en')} of ${expected.toLocaleString('en')} runs`);
      }
      yield piece;
    }
  };
  const target = await open(file, 'wx', 0o600).catch((error: unknown) => {
    throw explain(error, file);
  });
  try {
    await pipeline(body, count, target.createWriteStream());
  } catch (error) {
    await rm(file, { force: true });
    throw explain(error, file);
  } finally {
    if (terminal.isTTY) terminal.write('\r\u001b[K');
  }
  return { lines, bytes };
}

function explain(error: unknown, file: string): unknown {
  if (!(error instanceof Error) || error instanceof CliError) return error;
  const code = 'code' in error ? String(error.code) : '';
  if (code === 'EEXIST') {
    return new CliError('file_exists', `${file} exists; name a file that does not exist yet.`);
  }
  if ('syscall' in error && /^(?:open|write)$/.test(String(error.syscall))) {
    return new CliError('file_unwritable', `${file} cannot be written: ${error.message}.`);
  }
  return new CliError(
    'export_broken',
    `The export broke off (${error.message}); ${file} was removed. Run the command again.`,
  );
}
