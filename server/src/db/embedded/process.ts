import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { setTimeout as wait } from 'node:timers/promises';
import { promisify } from 'node:util';
import { systemErrorCode } from '../start-error.ts';

const POLL_MS = 10;

/**
 * What tells a process from a later one with the same id: when it started, and since which boot.
 * Undefined when there is no such process, or only its zombie.
 */
export async function processIdentity(pid: number): Promise<string | undefined> {
  if (process.platform === 'linux') {
    try {
      const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
      // The second field is the command in parentheses, which may hold spaces and parentheses.
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      const [state, startTicks] = [fields[0], fields[19]];
      if (state === 'Z' || state === 'X') return undefined;
      const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8');
      return `${boot.trim()} ${startTicks}`;
    } catch {
      return undefined;
    }
  }
  return await ask('ps', ['-o', 'lstart=', '-p', String(pid)]);
}

/** Trimmed output of a command, or undefined when it fails or says nothing. */
export async function ask(command: string, args: readonly string[]): Promise<string | undefined> {
  try {
    const { stdout } = await promisify(execFile)(command, [...args]);
    return stdout.trim() || undefined;
  } catch {
    return undefined;
  }
}

/** Sends each signal in turn until the process is gone. False when it outlives the last one. */
export async function stopProcess(
  pid: number,
  signals: readonly (readonly [signal: NodeJS.Signals, patienceMs: number])[],
): Promise<boolean> {
  const identity = await processIdentity(pid);
  if (identity === undefined) return true;
  for (const [signal, patienceMs] of signals) {
    try {
      process.kill(pid, signal);
    } catch (error) {
      if (systemErrorCode(error) === 'ESRCH') return true;
      throw error;
    }
    for (let waitedMs = 0; waitedMs < patienceMs; waitedMs += POLL_MS) {
      if ((await processIdentity(pid)) !== identity) return true;
      await wait(POLL_MS);
    }
  }
  return false;
}
