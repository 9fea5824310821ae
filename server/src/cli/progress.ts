import type { WriteStream } from 'node:tty';

const REDRAW_MS = 500;
const BAR_CHARACTERS = 30;
const CLEAR_LINE = '\r\u001b[K';

/** A bar with what goes on beside it, on a terminal; nothing elsewhere. */
export type Progress = {
  readonly show: (what: string) => void;
  readonly end: () => void;
};

/** Counts against the time that the work is expected to take. */
export function startProgress(
  stream: Pick<WriteStream, 'write' | 'isTTY' | 'columns'>,
  expectedMs: number,
): Progress {
  if (!stream.isTTY) return { show: () => {}, end: () => {} };
  const startedMs = performance.now();
  let what = '';
  const draw = (): void => {
    const elapsedMs = performance.now() - startedMs;
    const full = Math.round(Math.min(elapsedMs / expectedMs, 0.99) * BAR_CHARACTERS);
    const bar = `${'█'.repeat(full)}${'░'.repeat(BAR_CHARACTERS - full)}`;
    const seconds = (ms: number): string => `${Math.round(ms / 1_000)} s`;
    const line = `${bar} ${seconds(elapsedMs)} of about ${seconds(expectedMs)}  ${what}`;
    stream.write(`${CLEAR_LINE}${line.slice(0, stream.columns - 1)}`);
  };
  const timer = setInterval(draw, REDRAW_MS);
  return {
    show: (text) => {
      what = text;
      draw();
    },
    end: () => {
      clearInterval(timer);
      stream.write(CLEAR_LINE);
    },
  };
}
