/** How long something may take. */
export type TimeLimit = {
  readonly signal: AbortSignal;
  /** Whether the time is over: not, when another signal came first. */
  readonly isOver: () => boolean;
  /** Once the work is done, however it ended. The signal stays as it is from then on. */
  readonly end: () => void;
};

/**
 * Aborts its signal after `ms`, or with `other`. It has an end, which `AbortSignal.timeout` has not: that one's timer
 * and what listens live until the time is over, however early the work was done.
 */
export function limitTime(ms: number, other?: AbortSignal): TimeLimit {
  const controller = new AbortController();
  let isOver = false;
  const timer = setTimeout(() => {
    if (controller.signal.aborted) return;
    isOver = true;
    controller.abort(new DOMException(`not done within ${ms} ms`, 'TimeoutError'));
  }, ms);
  timer.unref();
  const follow = (): void => controller.abort(other?.reason);
  if (other?.aborted) follow();
  other?.addEventListener('abort', follow, { once: true });
  return {
    signal: controller.signal,
    isOver: () => isOver,
    end: () => {
      clearTimeout(timer);
      other?.removeEventListener('abort', follow);
    },
  };
}
