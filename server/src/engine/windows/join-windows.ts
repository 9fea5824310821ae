import { addDuration, type Duration } from '../../workflows/timestamps.ts';

/** The window that is open for a key. */
export type OpenWindow = {
  readonly id: number;
  readonly openedMs: number;
  readonly closesMs: number;
  /** Activities in it. */
  readonly joined: number;
};

/** What a run that joins says of its batch step. */
export type Join = {
  readonly closesMs: number;
  readonly extension?: Duration;
  readonly limit?: number;
  readonly isLeadingFlushed: boolean;
};

/** What became of a run that joined. */
export type Joined =
  /** It carries the window: it waits, and may be woken before. */
  | {
      readonly kind: 'carries';
      readonly window: number;
      readonly untilMs: number;
      readonly isDone: boolean;
    }
  | { readonly kind: 'joined'; readonly window: number }
  /** It opened a window without being in it, and goes on. */
  | { readonly kind: 'leads' };

/** A window whose parked carrier goes on earlier than it would. */
export type Wake = { readonly window: number; readonly dueMs: number; readonly by: number };

export type JoinedWindow = {
  /** Undefined: no window is open any more. */
  readonly after: OpenWindow | undefined;
  /** For each join. */
  readonly answers: readonly Joined[];
  readonly wakes: readonly Wake[];
};

/**
 * Lets runs join the window of their key, one after the other. `nextId` gives numbers for windows that are opened.
 * Carriers of windows that were opened here and are full already are not parked first: `isDone`.
 */
export function joinWindow(
  before: OpenWindow | undefined,
  joins: readonly Join[],
  nowMs: number,
  nextId: () => number,
): JoinedWindow {
  let open = before;
  const answers: Joined[] = [];
  /** Who carries windows that were opened here: position of the answer. */
  const carriers = new Map<number, number>();
  const wakes = new Map<number, Wake>();
  const wake = (window: number, dueMs: number, by: number): void => {
    const carrier = carriers.get(window);
    const answer = carrier === undefined ? undefined : answers[carrier];
    if (carrier !== undefined && answer?.kind === 'carries') {
      answers[carrier] = { ...answer, untilMs: dueMs, isDone: answer.isDone || dueMs <= nowMs };
    } else wakes.set(window, { window, dueMs, by });
  };
  joins.forEach((join, position) => {
    if (!open || open.closesMs <= nowMs) {
      open = { id: nextId(), openedMs: nowMs, closesMs: join.closesMs, joined: 0 };
      if (join.isLeadingFlushed) {
        answers.push({ kind: 'leads' });
        return;
      }
    } else if (join.extension) {
      const latestMs = addDuration(open.openedMs, join.extension);
      const closesMs = Math.min(join.closesMs, latestMs);
      if (closesMs < open.closesMs && open.joined > 0)
        wake(open.id, Math.max(closesMs, nowMs), position);
      open = { ...open, closesMs };
    }
    open = { ...open, joined: open.joined + 1 };
    const { id, closesMs, joined } = open;
    if (joined === 1) {
      carriers.set(id, position);
      answers.push({ kind: 'carries', window: id, untilMs: closesMs, isDone: false });
    } else answers.push({ kind: 'joined', window: id });
    if (join.limit !== undefined && joined >= join.limit) {
      wake(id, nowMs, position);
      open = undefined;
    }
  });
  return { after: open, answers, wakes: [...wakes.values()] };
}
