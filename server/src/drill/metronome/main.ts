/** The metronome in a process of its own, which `startMetronome` asks for the stalls it saw. */
import { openSync, readSync, writeFileSync } from 'node:fs';
import { setPriority } from 'node:os';
import { wallClockMs } from '../wall-clock.ts';
import { createStallWatch, type Stall, stolenMs, TICK_MS } from './stall-watch.ts';

/** The first line of /proc/stat, which sums all processors. */
const FIRST_LINE_BYTES = 256;
const HIGHEST_PRIORITY = -20;

process.on('disconnect', () => process.exit(0));
// Whoever started it may be gone before this line.
if (!process.connected) process.exit(0);

// At most one in 25 ms, so the length of the drill bounds them.
const stalls: Stall[] = [];
if (process.platform === 'linux') {
  const stat = openSync('/proc/stat', 'r');
  const buffer = Buffer.alloc(FIRST_LINE_BYTES);
  const tick = createStallWatch({
    isFirst: goBeforeAllOthers(),
    noted: (stall) => stalls.push(stall),
  });
  setInterval(() => {
    const atMs = wallClockMs();
    const bytes = readSync(stat, buffer, 0, FIRST_LINE_BYTES, 0);
    tick(atMs, stolenMs(buffer.toString('latin1', 0, bytes)));
  }, TICK_MS);
}

process.on('message', () => process.send?.(process.platform === 'linux' ? stalls : null));

/** False where the system does not let us: only an administrator may. */
function goBeforeAllOthers(): boolean {
  try {
    setPriority(HIGHEST_PRIORITY);
    writeFileSync('/proc/self/autogroup', String(HIGHEST_PRIORITY));
    return true;
  } catch (error) {
    // No such file: a kernel that does not group processes by session.
    return (error as NodeJS.ErrnoException).code === 'ENOENT';
  }
}
