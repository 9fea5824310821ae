import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Stall } from './metronome/stall-watch.ts';

const ENTRY = fileURLToPath(new URL('./metronome/main.ts', import.meta.url));

/** Notices when the machine itself stands still, as a virtual one does whose hypervisor serves others. */
export type Metronome = {
  /** The stalls so far, oldest first; null where the system does not tell (only Linux does). */
  readonly stalls: () => Promise<readonly Stall[] | null>;
  readonly end: () => void;
};

/** In a process and a session of its own, so that nothing of the drill delays it. It ends with this process. */
export function startMetronome(): Metronome {
  const child = fork(ENTRY, [], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    detached: true,
  });
  const exited = once(child, 'exit');
  // Its end matters only to whoever asks.
  exited.catch(() => {});
  return {
    stalls: async () => {
      const answer = once(child, 'message');
      // When it has ended, `exited` says so.
      child.send('stalls', () => undefined);
      const ended = exited.then(() => Promise.reject(new Error('the metronome ended')));
      const [stalls] = await Promise.race([answer, ended]);
      return stalls;
    },
    end: () => {
      child.kill('SIGKILL');
    },
  };
}
