import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { pino } from 'pino';
import { createPriority } from '../lib/priority.ts';
import type { Counters } from './stand-ins/counters.ts';
import { type Faults, NO_FAULTS } from './stand-ins/faults.ts';
import type { TableCounts } from './stand-ins/log-store.ts';
import type { Arrival } from './stand-ins/mail-sink.ts';
import type {
  FromStandIn,
  StandInAnswer,
  StandInRequest,
  ToStandIn,
} from './stand-ins/protocol.ts';

const ENTRY = fileURLToPath(new URL('./stand-ins/main.ts', import.meta.url));

/** A process that plays an object store, a log store or a mail server. */
export type StandIn = {
  /** Its origin. */
  readonly url: string;
  readonly pid: number | undefined;
  readonly setFaults: (faults: Partial<Faults>) => Promise<void>;
  readonly heal: () => Promise<void>;
  readonly counters: () => Promise<Counters>;
  /** Of a log store. */
  readonly tables: () => Promise<Readonly<Record<string, TableCounts>>>;
  /** Of a log store: how many of these ids never came to a table. */
  readonly missing: (table: string, ids: readonly string[]) => Promise<number>;
  /** Of a mail sink. */
  readonly arrivals: () => Promise<readonly Arrival[]>;
  readonly end: () => void;
};

/** Resolves when it listens. It ends with this process. */
export async function startStandIn(
  opening: Extract<StandInRequest, { readonly type: 'object-store' | 'log-store' | 'mail-sink' }>,
): Promise<StandIn> {
  const child = fork(ENTRY, [], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    detached: true,
  });
  // A store is another machine; here it shares the processors, so the server comes first. A mail server is in the way of
  // every mail, and costs next to nothing.
  if (child.pid !== undefined && opening.type !== 'mail-sink') {
    await createPriority('low', pino({ level: 'silent' })).lower(child.pid);
  }
  const ask = createAsking(child);
  const { url } = await ask(opening, 'open');
  const setFaults = async (faults: Partial<Faults>): Promise<void> => {
    await ask({ type: 'faults', faults }, 'done');
  };
  return {
    url,
    pid: child.pid,
    setFaults,
    heal: () => setFaults(NO_FAULTS),
    counters: async () => (await ask({ type: 'counters' }, 'counters')).counters,
    tables: async () => (await ask({ type: 'tables' }, 'tables')).tables,
    missing: async (table, ids) => (await ask({ type: 'missing', table, ids }, 'missing')).missing,
    arrivals: async () => (await ask({ type: 'arrivals' }, 'arrivals')).arrivals,
    end: () => {
      child.kill('SIGKILL');
    },
  };
}

type Ask = <Type extends StandInAnswer['type']>(
  request: StandInRequest,
  expected: Type,
) => Promise<Extract<StandInAnswer, { readonly type: Type }>>;

/** Rejects when it fails or has ended. */
function createAsking(child: ChildProcess): Ask {
  const waiting = new Map<
    number,
    { readonly resolve: (answer: StandInAnswer) => void; readonly reject: (error: Error) => void }
  >();
  let number = 0;
  child.on('message', (message: FromStandIn) => {
    waiting.get(message.number)?.resolve(message.answer);
    waiting.delete(message.number);
  });
  child.once('exit', () => {
    for (const { reject } of waiting.values()) reject(new Error('a stand-in ended'));
    waiting.clear();
  });
  return async (request, expected) => {
    const answer = await new Promise<StandInAnswer>((resolve, reject) => {
      number += 1;
      waiting.set(number, { resolve, reject });
      child.send({ number, request } satisfies ToStandIn, (error) => error && reject(error));
    });
    if (answer.type === 'failed') throw new Error(`a stand-in failed: ${answer.reason}`);
    if (answer.type !== expected) throw new Error(`a stand-in answered ${answer.type}`);
    return answer as Extract<StandInAnswer, { readonly type: typeof expected }>;
  };
}
