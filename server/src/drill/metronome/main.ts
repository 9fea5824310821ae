/** The metronome in a process of its own, which `startMetronome` asks for the stalls it saw. */
import { openSync, readSync } from 'node:fs';
import { wallClockMs } from '../wall-clock.ts';
import { createStallWatch, type Stall, stolenMs, TICK_MS } from './stall-watch.ts';

/** The first line of /proc/stat, which sums all processors. */
const FIRST_LINE_BYTES = 256;

process.on('disconnect', () => process.exit(0));
// Whoever started it may be gone before this line.
if (!process.connected) process.exit(0);

// At most one in 25 ms, so the length of the drill bounds them.
const stalls: Stall[] = [];
if (process.platform === 'linux') {
  const stat = openSync('/proc/stat', 'r');
  const buffer = Buffer.alloc(FIRST_LINE_BYTES);
  const tick = createStallWatch((stall) => stalls.push(stall));
  setInterval(() => {
    const atMs = wallClockMs();
    const bytes = readSync(stat, buffer, 0, FIRST_LINE_BYTES, 0);
    tick(atMs, stolenMs(buffer.toString('latin1', 0, bytes)));
  }, TICK_MS);
}

process.on('message', () => process.send?.(process.platform === 'linux' ? stalls : null));
