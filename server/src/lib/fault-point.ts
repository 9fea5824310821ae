import { existsSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Every place where a test may stop a process: between two statements that matter. Each is the name of one
 * call of `faultPoint`, and is killed at and recovered from by a test.
 */
export const faultPoints = [
  // Triggers become durable and are answered.
  'appender.before-insert',
  'appender.after-insert',
  'appender.before-answer',
  // Runs and their receipt.
  'executor.before-write',
  'executor.after-write',
  // A transaction around the results is about to be committed.
  'executor.before-commit',
  // Runs join a batch: rows locked, then windows and activities written; one closes: deleted, then read.
  'batch.after-lock',
  'batch.after-join',
  'batch.after-seal',
  'batch.after-read',
  'batch.after-park',
  'batch.after-wake',
  // A message goes to its provider, and the outcome is recorded.
  'delivery.before-call',
  'delivery.after-call',
  'delivery.after-record',
  // A step asks somebody outside, and the run goes on with the answer.
  'call.before-request',
  'call.after-request',
  'call.after-record',
  // A slot is given back: proof, fold, truncation and commit.
  'truncation.before-fold',
  'truncation.before-truncate',
  'truncation.before-commit',
  'truncation.after-commit',
  // Far timers come near; a near one falls due and leaves the heap.
  'timers.before-move',
  'timers.after-move',
  'timers.due',
  // The ledger settles minutes.
  'ledger.before-settle',
  'ledger.before-commit',
  'ledger.after-commit',
  // A page of an object's subscribers: those it met before are known, their runs and the rest are written.
  'fan-out.after-remember',
  'fan-out.before-write',
  'fan-out.before-commit',
  'fan-out.after-commit',
  // A bulk operation becomes durable; a turn does items and moves its cursor, then gets its receipt.
  'operation.before-append',
  'operation.after-append',
  'operation.before-commit',
  'operation.after-commit',
  'operation.after-receipt',
  // An audience is frozen into pages, handed over in parts, and what is done is recorded.
  'broadcast.before-page',
  'broadcast.after-page',
  'broadcast.before-part',
  'broadcast.after-part',
  'broadcast.before-done',
  'broadcast.after-done',
  // Schedules that are due move on and their triggers are in the log: one statement.
  'schedule.before-append',
  'schedule.after-append',
  // An event goes to a webhook, and what was answered is recorded.
  'webhook.before-request',
  'webhook.after-request',
  'webhook.after-record',
  // Events wake the runs that wait for them.
  'signals.before-append',
  'signals.after-append',
  // An order is given or ended; what it set aside comes back; what is done of that is taken away.
  'order.before-commit',
  'order.after-commit',
  'order.after-release',
  'order.before-clear-commit',
  'order.after-clear',
  // What deleted recipients left behind goes, a page of each; then it is said when to look again.
  'deletion.before-page',
  'deletion.before-commit',
  'deletion.after-messages',
  'deletion.after-page',
  'deletion.after-record',
  // An old partition is detached, then dropped.
  'retention.before-detach',
  'retention.before-commit',
  'retention.after-detach',
  // Bodies go to the object store: the intent, the object, the record; what is still to be delivered comes back; a slot is
  // given back.
  'bodies.after-intent',
  'bodies.after-put',
  'bodies.before-record-commit',
  'bodies.after-record',
  'bodies.after-keep',
  'bodies.before-truncate-commit',
  'bodies.after-truncate',
  // What was deleted is blanked in the ring and in its object; objects go with their month, or as nobody recorded them.
  'bodies.after-blank',
  'bodies.after-rewrite',
  'bodies.after-delete',
  'bodies.after-clear',
  // A server takes over.
  'owner.after-lock',
  'owner.after-fence',
  'recovery.after-read',
] as const;

export type FaultPoint = (typeof faultPoints)[number];

/** What happens there: the process dies, an error is thrown, or it freezes until `POINT.go` exists. */
export type FaultAction = 'exit' | 'throw' | 'pause';

export const FAULT_VARIABLE = 'BELFRY_FAULT_DIR';

// Not the configuration's business: no operator sets it, and only a constant costs nothing when it is off.
const directory = process.env[FAULT_VARIABLE];
const isTest = process.env.NODE_ENV === 'test';

/** The variable is set and this is no test: nobody may start a server like that. */
export const mustNotStart = directory !== undefined && !isTest;

/**
 * A place where a test may stop this process. Does nothing unless a test set the variable to a directory and
 * made a file there with the point's name and an action in it. Whoever renames that file to
 * `POINT.reached` does what it says, so of several processes one does, once.
 */
export const faultPoint: (point: FaultPoint) => void =
  directory !== undefined && isTest ? (point) => reach(directory, point) : () => undefined;

const PAUSE_MS = 5;

function reach(from: string, point: FaultPoint): void {
  const file = join(from, point);
  if (!existsSync(file)) return;
  const reached = `${file}.reached`;
  try {
    renameSync(file, reached);
  } catch {
    return;
  }
  const action = readFileSync(reached, 'utf8') as FaultAction;
  switch (action) {
    case 'exit':
      process.kill(process.pid, 'SIGKILL');
      freeze(() => false);
      break;
    case 'throw':
      throw new Error(`a test made ${point} fail`);
    case 'pause':
      freeze(() => existsSync(`${file}.go`));
      break;
  }
}

/** Holds the whole process, as if the system had stopped it. */
function freeze(isOver: () => boolean): void {
  const nothing = new Int32Array(new SharedArrayBuffer(4));
  while (!isOver()) Atomics.wait(nothing, 0, 0, PAUSE_MS);
}
