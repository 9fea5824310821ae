import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Logger } from '../lib/log.ts';
import { NODE_FLAGS } from '../lib/node-flags.ts';
import { createPriority } from '../lib/priority.ts';
import type { FeedChange, PreviewAnswer, PreviewRequest } from './engine.ts';
import { type ChunkRef, type QueueKind, RUNS } from './log/chunk.ts';
import type { ExecutorOptions, FromExecutor, ToExecutor } from './protocol.ts';
import type { Assignment } from './scheduler/state.ts';

/** An executor that does not answer for this long is stuck and is killed. */
const SILENT_MS = 8_000;
/** And one that starts, which takes a core that others may be using for long. */
const STARTING_MS = 60_000;
const PING_MS = 2_000;
/** How long work under way may take to finish when the server stops. */
const DRAIN_MS = 20_000;
/** How long an executor may take to hear of orders: longer than any evaluation, shorter than patience. */
const GOVERN_MS = 2_000;
const FIRST_RESTART_MS = 50;
const MAX_RESTART_MS = 5_000;
/** A run that was being evaluated when its executor died, this often, in careful work, is poisoned. */
const POISON_DEATHS = 2;
/** The executor for noisy lanes: its sessions. */
const NOISY_SESSIONS = 2;
const NOISY_POSITION = -1;
/** An executor that stands by starts when the server has started: it takes a core for half a second. */
const STANDBY_AFTER_MS = 10_000;
const ENTRY = fileURLToPath(new URL('./executor/main.ts', import.meta.url));

export type PoisonedRun = {
  readonly stream: number;
  readonly sequence: number;
  readonly index: number;
};

/** Node looks names up in these threads, and one that does not answer holds one for seconds. */
const LOOKUP_THREADS = '32';

export type ExecutorPoolEvents = {
  readonly finished: (kind: QueueKind, assignmentId: number, serviceMs: number) => void;
  readonly returned: (
    kind: QueueKind,
    assignmentId: number,
    careful: boolean,
    poisoned: PoisonedRun | undefined,
  ) => void;
  readonly appended: (refs: readonly ChunkRef[]) => void;
  readonly feedsChanged: (feeds: readonly FeedChange[]) => void;
  /** An executor died: what it committed last may not have been reported. */
  readonly lost: () => void;
};

export type ExecutorPoolStats = {
  readonly executors: number;
  readonly runs: number;
  readonly messages: number;
  readonly restarts: number;
  readonly cpuMs: number;
  readonly rssBytes: number;
  /** Contents that stayed in their messages because the ring of bodies was full, since the start. */
  readonly keptBodies: number;
};

export type ExecutorPool = {
  /** Resolves when the first executor takes work. */
  readonly started: Promise<void>;
  /** Executors that can take work of any kind. */
  readonly readyCount: () => number;
  readonly assign: (kind: QueueKind, assignment: Assignment) => void;
  /**
   * Called again and again: noisy lanes have an executor of their own while there are any, and for a while after. Where it
   * stands by, it is there before the first.
   */
  readonly setNoisy: (isNoisy: boolean) => void;
  /** Resolves when every executor reports changes of these feeds. */
  readonly watch: (add: readonly string[], remove: readonly string[]) => Promise<void>;
  /**
   * Resolves when no executor begins anything any more under the orders from before: they have heard that there are
   * others, which they do not need the database for, or are dead.
   */
  readonly govern: () => Promise<void>;
  /** Undefined: there was no executor, or it died of it. */
  readonly preview: (request: PreviewRequest) => Promise<PreviewAnswer | undefined>;
  readonly stats: () => ExecutorPoolStats;
  readonly processIds: () => number[];
  /** Lets work under way finish, then ends the processes. */
  readonly drain: () => Promise<void>;
};

export type ExecutorPoolOptions = {
  readonly count: number;
  readonly executor: Omit<ExecutorOptions, 'name'>;
  /** The database's processes are ours: those of the executor for noisy lanes get a lower priority too. */
  readonly ownsDatabase: boolean;
  /** How long the executor for noisy lanes is kept after the last of them; infinite: it stands by. */
  readonly noisyKeepMs: number;
  readonly log: Logger;
  readonly events: ExecutorPoolEvents;
};

type Executor = {
  readonly name: string;
  readonly child: ChildProcess;
  readonly isForNoisy: boolean;
  ready: boolean;
  /** Told to finish what it has. */
  leaving: boolean;
  heardAtMs: number;
  readonly work: Map<string, { kind: QueueKind; assignment: Assignment }>;
  /** Messages that it answers, by id. */
  readonly questions: Map<number, (answer?: PreviewAnswer) => void>;
  evaluating: PoisonedRun | undefined;
  cpuMs: number;
  rssBytes: number;
  keptBodies: number;
};

/** Keeps executor processes alive and hands them work. */
export function startExecutorPool(options: ExecutorPoolOptions): ExecutorPool {
  const { log, events } = options;
  const executors = new Map<number, Executor>();
  const restarting = new Set<number>();
  const watched = new Set<string>();
  const deaths = new Map<string, number>();
  const priority = createPriority('low', log);
  let draining = false;
  let noisyUntilMs = Number.NEGATIVE_INFINITY;
  let nextQuestionId = 1;
  let runs = 0;
  let messages = 0;
  let restarts = 0;
  /** Of executors that are gone. */
  let keptBefore = 0;
  const firstReady = Promise.withResolvers<void>();

  for (let position = 0; position < options.count; position++) start(position, FIRST_RESTART_MS);
  const pings = setInterval(ping, PING_MS);
  const standby = setTimeout(() => {
    if (options.noisyKeepMs === Number.POSITIVE_INFINITY) wantNoisy();
  }, STANDBY_AFTER_MS);

  function start(position: number, restartMs: number): void {
    const isForNoisy = position === NOISY_POSITION;
    const name = isForNoisy ? 'executor-noisy' : `executor-${position + 1}`;
    const child = fork(ENTRY, [], {
      execArgv: [...process.execArgv, ...NODE_FLAGS],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      // A session of its own, which Linux may give a priority of its own.
      detached: true,
      env: { UV_THREADPOOL_SIZE: LOOKUP_THREADS, ...process.env },
    });
    // From its birth: starting takes a core for half a second, and others are busy by then.
    if (isForNoisy && child.pid !== undefined) void priority.lower(child.pid);
    const startedMs = Date.now();
    const executor: Executor = {
      name,
      child,
      isForNoisy,
      ready: false,
      leaving: false,
      heardAtMs: startedMs,
      work: new Map(),
      questions: new Map(),
      evaluating: undefined,
      cpuMs: 0,
      rssBytes: 0,
      keptBodies: 0,
    };
    executors.set(position, executor);
    // Not in its arguments, which every user of the machine can read.
    const particular = isForNoisy
      ? {
          concurrency: NOISY_SESSIONS,
          background: { lowersSessionsTo: options.ownsDatabase ? ('low' as const) : undefined },
        }
      : {};
    post(executor, { type: 'start', options: { ...options.executor, name, ...particular } });
    child.on('message', (message: FromExecutor) => {
      executor.heardAtMs = Date.now();
      hear(executor, message);
    });
    child.on('error', (error) => log.error({ err: error, executor: name }, 'executor error'));
    const onEnd = (code: number | null, signal: NodeJS.Signals | null): void => {
      if (executors.get(position) !== executor) return;
      executors.delete(position);
      keptBefore += executor.keptBodies;
      for (const resolve of executor.questions.values()) resolve();
      if (draining || (executor.leaving && executor.work.size === 0)) return;
      const livedMs = Date.now() - startedMs;
      const delayMs = livedMs > MAX_RESTART_MS ? FIRST_RESTART_MS : restartMs;
      log.error({ executor: name, code, signal, delayMs }, 'executor died; starting another');
      restarts += 1;
      bury(executor);
      restarting.add(position);
      setTimeout(() => {
        restarting.delete(position);
        if (draining || (isForNoisy && !isNoisyWanted())) return;
        start(position, Math.min(delayMs * 2, MAX_RESTART_MS));
      }, delayMs);
    };
    child.once('exit', onEnd);
    // A process that could not be started says nothing else.
    child.once('error', () => {
      if (child.pid === undefined) onEnd(null, null);
    });
  }

  function hear(executor: Executor, message: FromExecutor): void {
    switch (message.type) {
      case 'ready':
        executor.ready = true;
        firstReady.resolve();
        if (watched.size > 0)
          post(executor, { type: 'watch', id: 0, add: [...watched], remove: [] });
        events.lost();
        break;
      case 'done':
        executor.work.delete(`${message.kind} ${message.id}`);
        runs += message.runs;
        messages += message.messages;
        if (message.appended.length > 0) events.appended(message.appended);
        if (message.feeds.length > 0) events.feedsChanged(message.feeds);
        events.finished(message.kind, message.id, message.serviceMs);
        break;
      case 'returned':
        executor.work.delete(`${message.kind} ${message.id}`);
        events.returned(message.kind, message.id, false, undefined);
        break;
      case 'previewed':
        executor.questions.get(message.id)?.(message.answer);
        executor.questions.delete(message.id);
        break;
      case 'answered':
        executor.questions.get(message.id)?.();
        executor.questions.delete(message.id);
        break;
      case 'pong':
        executor.cpuMs = message.cpuMs;
        executor.rssBytes = message.rssBytes;
        executor.keptBodies = message.keptBodies ?? 0;
        break;
      case 'evaluating':
        executor.evaluating =
          message.index < 0
            ? undefined
            : { stream: message.stream, sequence: message.sequence, index: message.index };
        break;
    }
  }

  /** Everything that the dead executor had goes back; its last words say what to be careful with. */
  function bury(executor: Executor): void {
    let poisoned: PoisonedRun | undefined;
    if (executor.evaluating) {
      const { stream, sequence, index } = executor.evaluating;
      const key = `${stream} ${sequence} ${index}`;
      const count = (deaths.get(key) ?? 0) + 1;
      deaths.set(key, count);
      if (count >= POISON_DEATHS) {
        poisoned = executor.evaluating;
        deaths.delete(key);
        log.error({ poisoned }, 'a run killed its executor repeatedly and is recorded as failed');
      }
    }
    for (const { kind, assignment } of executor.work.values()) {
      events.returned(kind, assignment.id, kind === RUNS, poisoned);
    }
    events.lost();
  }

  function ping(): void {
    for (const executor of executors.values()) {
      const patienceMs = executor.ready ? SILENT_MS : STARTING_MS;
      if (Date.now() - executor.heardAtMs > patienceMs) {
        log.error(
          { executor: executor.name },
          `executor silent for ${patienceMs / 1000} s; killing it`,
        );
        executor.child.kill('SIGKILL');
      } else {
        post(executor, { type: 'ping', id: 0 });
      }
    }
  }

  function post(executor: Executor, message: ToExecutor): void {
    if (executor.child.connected) executor.child.send(message, () => undefined);
  }

  /** Undefined: a question that is only acknowledged, or the executor died. */
  function ask(
    executor: Executor,
    message: (id: number) => ToExecutor,
  ): Promise<PreviewAnswer | undefined> {
    return new Promise((resolve) => {
      const id = nextQuestionId++;
      executor.questions.set(id, resolve);
      post(executor, message(id));
    });
  }

  function wantNoisy(): void {
    noisyUntilMs = Date.now() + options.noisyKeepMs;
    if (executors.has(NOISY_POSITION) || restarting.has(NOISY_POSITION) || draining) return;
    start(NOISY_POSITION, FIRST_RESTART_MS);
  }

  const isNoisyWanted = (): boolean => Date.now() < noisyUntilMs;
  const ready = (): Executor[] => [...executors.values()].filter((executor) => executor.ready);
  const ordinary = (): Executor[] => ready().filter((executor) => !executor.isForNoisy);

  /** Noisy work to its own process while that has a session for it, or will have one next. */
  function executorFor(kind: QueueKind, { level }: Assignment): Executor | undefined {
    const own = executors.get(NOISY_POSITION);
    if (kind === RUNS && level === 'noisy' && own?.ready && !own.leaving) {
      if (own.work.size <= NOISY_SESSIONS) return own;
    }
    const [first, ...others] = ordinary();
    return first && others.reduce((a, b) => (b.work.size < a.work.size ? b : a), first);
  }

  return {
    started: firstReady.promise,
    readyCount: () => ordinary().length,
    assign: (kind, assignment) => {
      const executor = executorFor(kind, assignment);
      if (!executor) {
        setTimeout(() => events.returned(kind, assignment.id, false, undefined), FIRST_RESTART_MS);
        return;
      }
      executor.work.set(`${kind} ${assignment.id}`, { kind, assignment });
      post(executor, {
        type: 'work',
        id: assignment.id,
        kind,
        slot: assignment.slot,
        careful: assignment.careful,
        slices: assignment.slices.map(({ ref, slice, skip }) => ({
          stream: ref.stream,
          sequence: ref.sequence,
          laneId: ref.laneId,
          slice,
          skip,
        })),
      });
    },
    setNoisy: (isNoisy) => {
      if (isNoisy) wantNoisy();
      const own = executors.get(NOISY_POSITION);
      if (!own?.ready || own.leaving || isNoisyWanted()) return;
      own.leaving = true;
      post(own, { type: 'drain' });
    },
    watch: async (add, remove) => {
      for (const topic of add) watched.add(topic);
      for (const topic of remove) watched.delete(topic);
      await Promise.all(
        ready().map((executor) => ask(executor, (id) => ({ type: 'watch', id, add, remove }))),
      );
    },
    preview: async (request) => {
      const [executor] = ordinary();
      if (!executor) return undefined;
      // One that a template keeps from answering is killed like every silent one, which answers this.
      return ask(executor, (id) => ({ type: 'preview', id, request }));
    },
    govern: async () => {
      await Promise.all(
        ready().map(async (executor) => {
          const impatience = setTimeout(() => {
            log.error({ executor: executor.name }, 'executor does not take orders; killing it');
            executor.child.kill('SIGKILL');
          }, GOVERN_MS);
          await ask(executor, (id) => ({ type: 'govern', id }));
          clearTimeout(impatience);
        }),
      );
    },
    stats: () => {
      const living = [...executors.values()];
      return {
        executors: ready().length,
        runs,
        messages,
        restarts,
        cpuMs: living.reduce((sum, executor) => sum + executor.cpuMs, 0),
        rssBytes: living.reduce((sum, executor) => sum + executor.rssBytes, 0),
        keptBodies: living.reduce((sum, executor) => sum + executor.keptBodies, keptBefore),
      };
    },
    processIds: () => [...executors.values()].flatMap((executor) => executor.child.pid ?? []),
    drain: async () => {
      draining = true;
      clearInterval(pings);
      clearTimeout(standby);
      await Promise.all(
        [...executors.values()].map(
          (executor) =>
            new Promise<void>((resolve) => {
              if (executor.child.exitCode !== null || executor.child.signalCode !== null) resolve();
              // What a stuck one leaves undone is done after the next start.
              const impatience = setTimeout(() => executor.child.kill('SIGKILL'), DRAIN_MS);
              executor.child.once('exit', () => {
                clearTimeout(impatience);
                resolve();
              });
              post(executor, { type: 'drain' });
            }),
        ),
      );
    },
  };
}
