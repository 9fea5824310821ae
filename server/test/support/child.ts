import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';

export type Child = {
  readonly process: ChildProcess;
  /** The first line that it prints, parsed. */
  readonly answer: Promise<unknown>;
  /** Kills it and waits until it is gone. */
  readonly kill: (signal: NodeJS.Signals) => Promise<void>;
  /** Ends its input and waits until it is gone. */
  readonly end: () => Promise<void>;
};

/** Runs a program of ours in a process of its own, which prints one line of JSON. */
export function startChild(
  file: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Child {
  const child = spawn(process.execPath, [file, ...args], {
    env: { ...process.env, ...env },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const gone = once(child, 'exit');
  const answer = firstLine(child.stdout).then((line) => {
    if (line === undefined) throw new Error(`${file} ended and printed nothing`);
    return JSON.parse(line) as unknown;
  });
  return {
    process: child,
    answer,
    kill: async (signal) => {
      child.kill(signal);
      await gone;
    },
    end: async () => {
      child.stdin.end();
      await gone;
    },
  };
}

async function firstLine(output: Readable): Promise<string | undefined> {
  for await (const line of createInterface(output)) return line;
  return undefined;
}
