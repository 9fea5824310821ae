import { type ChildProcess, fork } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { type FileHandle, open, unlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { NODE_FLAGS } from '../lib/node-flags.ts';
import type {
  FromLoad,
  LoadOptions,
  LoadPhase,
  LoadSummary,
  RecordLine,
  SampleRow,
  ToLoad,
} from './load/protocol.ts';

const ENTRY = fileURLToPath(new URL('./load/main.ts', import.meta.url));

/** A process that plays accounts. One thing at a time: a phase ends before the next begins. */
export type LoadGenerator = {
  /** Of a process that leads a session of its own; undefined when it could not be started. */
  readonly pid: number | undefined;
  readonly run: (phase: LoadPhase) => Promise<LoadSummary>;
  readonly stop: () => void;
  /** What was sent and what became of it, in the order of sending; once, when no more is to be sent. */
  readonly samples: () => Promise<SampleRow[]>;
  readonly end: () => void;
};

/**
 * Resolves when its sockets, if it watches feeds, have joined. The process has a session of its own, as other
 * people's machines have, and ends with this one.
 */
export async function startLoad(options: LoadOptions): Promise<LoadGenerator> {
  const record = await openNameless();
  const child = fork(ENTRY, [], {
    // Other people's machines collect their memory on cores of their own: here with as little of ours as can be.
    execArgv: [...NODE_FLAGS],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc', record.fd],
    detached: true,
  });
  const ask = async (message: ToLoad): Promise<FromLoad> => {
    const told = await answerTo(child, message);
    if (told.type === 'failed') throw new Error(`a load generator failed: ${told.reason}`);
    return told;
  };
  await ask({ type: 'open', options });
  return {
    pid: child.pid,
    run: async (phase) => {
      const answer = await ask({ type: 'run', phase });
      if (answer.type !== 'ran') throw new Error(`a load generator answered ${answer.type}`);
      return answer.summary;
    },
    // One that has ended has stopped. Without a callback that would be an error nobody catches.
    stop: () => child.send({ type: 'stop' } satisfies ToLoad, () => undefined),
    samples: async () => {
      await ask({ type: 'end record' });
      return await readSamples(record);
    },
    end: () => {
      child.kill('SIGKILL');
      void record.close();
    },
  };
}

function answerTo(child: ChildProcess, message: ToLoad): Promise<FromLoad> {
  return new Promise((resolve, reject) => {
    const settle = (act: () => void): void => {
      child.off('exit', onExit);
      child.off('message', onMessage);
      act();
    };
    const ended = (cause?: Error): void =>
      settle(() => reject(new Error('a load generator ended', { cause })));
    const onExit = (): void => ended();
    const onMessage = (answer: FromLoad): void => settle(() => resolve(answer));
    child.once('exit', onExit);
    child.once('message', onMessage);
    child.send(message, (error) => error && ended(error));
  });
}

/** A file that is gone when nobody has it open any more. */
async function openNameless(): Promise<FileHandle> {
  const path = join(tmpdir(), `belfry-load-${randomUUID()}.ndjson`);
  const file = await open(path, 'wx+', 0o600);
  await unlink(path);
  return file;
}

async function readSamples(file: FileHandle): Promise<SampleRow[]> {
  const rows: SampleRow[] = [];
  for await (const line of file.readLines({ start: 0, autoClose: false })) {
    const [number, row] = JSON.parse(line) as RecordLine;
    rows[number] = row;
  }
  return rows;
}
