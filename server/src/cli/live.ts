import type { ReadStream, WriteStream } from 'node:tty';
import { CliError } from './result.ts';

const REFRESH_MS = 1_000;

const CONTROL_C = '\u0003';
const ENTER_SCREEN = '\u001b[?1049h\u001b[?25l';
const LEAVE_SCREEN = '\u001b[?25h\u001b[?1049l';
const HOME = '\u001b[H';
const CLEAR_LINE = '\u001b[K';
const CLEAR_BELOW = '\u001b[J';

type Live<Value> = {
  readonly stdin: ReadStream;
  readonly stdout: WriteStream;
  readonly first: Value;
  readonly refreshMs?: number;
  readonly read: () => Promise<Value>;
  /** At most `rows` lines. */
  readonly view: (value: Value, size: { columns: number; rows: number }) => readonly string[];
};

/**
 * Fills the terminal with a view of what is read every second, until q. What cannot be read is told in the
 * last line, above it the last view stays. The terminal is left as it was.
 */
export async function showLive<Value>(live: Live<Value>): Promise<void> {
  const { stdin, stdout, refreshMs = REFRESH_MS } = live;
  let value = live.first;
  let failure: string | undefined;

  const draw = (): void => {
    const { columns, rows } = stdout;
    const last = (failure ?? 'q quits').slice(0, columns - 1);
    const lines = live.view(value, { columns, rows: rows - 1 });
    const gap = Array<string>(Math.max(0, rows - 1 - lines.length)).fill('');
    const screen = [...lines, ...gap, last].map((line) => line + CLEAR_LINE);
    stdout.write(HOME + screen.join('\r\n') + CLEAR_BELOW);
  };

  let quit = (): void => {};
  const quitting = new Promise<void>((resolve) => {
    quit = resolve;
  });
  const onKey = (data: Buffer): void => {
    const text = data.toString();
    if (text.includes('q') || text.includes('Q') || text.includes(CONTROL_C)) quit();
  };

  stdin.setRawMode(true);
  stdin.on('data', onKey);
  stdin.once('end', quit);
  stdout.on('resize', draw);
  process.once('SIGTERM', quit);
  stdout.write(ENTER_SCREEN);
  try {
    let isOver = false;
    quitting.then(() => {
      isOver = true;
    });
    while (!isOver) {
      draw();
      await Promise.race([quitting, pause(refreshMs)]);
      const next = live.read().then(
        (answer) => {
          value = answer;
          failure = undefined;
        },
        (error) => {
          if (!(error instanceof CliError)) throw error;
          failure = error.message;
        },
      );
      await Promise.race([quitting, next]);
    }
  } finally {
    stdout.off('resize', draw);
    stdin.off('data', onKey);
    stdin.off('end', quit);
    process.off('SIGTERM', quit);
    stdin.setRawMode(false);
    stdin.pause();
    stdout.write(LEAVE_SCREEN);
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms).unref();
  });
}
