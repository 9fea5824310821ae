import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { promisify } from 'node:util';

/** Process ids of the children of a process whose command line has this text. */
export async function childProcesses(parent: number, text: string): Promise<number[]> {
  const all = process.platform === 'linux' ? await fromProc() : await fromPs();
  return all
    .filter((entry) => entry.parent === parent && entry.command.includes(text))
    .map((entry) => entry.pid);
}

type Entry = { readonly pid: number; readonly parent: number; readonly command: string };

async function fromProc(): Promise<Entry[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const entries = await Promise.all(
    pids.map(async (pid) => {
      try {
        const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
        const command = await readFile(`/proc/${pid}/cmdline`, 'utf8');
        // The second field is the program's name in parentheses, which may hold anything.
        const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
        return [{ pid, parent: Number(fields[1]), command: command.replaceAll('\0', ' ') }];
      } catch {
        return [];
      }
    }),
  );
  return entries.flat();
}

async function fromPs(): Promise<Entry[]> {
  const { stdout } = await promisify(execFile)('ps', ['-axo', 'pid=,ppid=,command=']);
  return stdout.split('\n').flatMap((line) => {
    const [, pid, parent, command] = /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(line) ?? [];
    return command === undefined ? [] : [{ pid: Number(pid), parent: Number(parent), command }];
  });
}
