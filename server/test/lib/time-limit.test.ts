import { getEventListeners } from 'node:events';
import { setTimeout as wait } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { limitTime } from '../../src/lib/time-limit.ts';

describe('a time limit', () => {
  it('aborts when the time is over', async () => {
    const limit = limitTime(10);
    expect(limit.signal.aborted).toBe(false);
    await wait(50);
    expect(limit.signal.aborted).toBe(true);
    expect(limit.isOver()).toBe(true);
    expect((limit.signal.reason as Error).name).toBe('TimeoutError');
  });

  it('aborts with the other signal, before or after it began, and says that its time was not over', async () => {
    const stop = new AbortController();
    const limit = limitTime(10, stop.signal);
    stop.abort(new Error('stopped'));
    expect(limit.signal.reason).toEqual(new Error('stopped'));
    expect(limitTime(10, stop.signal).signal.aborted).toBe(true);
    await wait(50);
    expect(limit.isOver()).toBe(false);
  });

  it('lets go of the other signal when it ends, and aborts nothing any more', async () => {
    const stop = new AbortController();
    const limit = limitTime(10, stop.signal);
    expect(getEventListeners(stop.signal, 'abort')).toHaveLength(1);
    limit.end();
    expect(getEventListeners(stop.signal, 'abort')).toHaveLength(0);
    stop.abort();
    await wait(50);
    expect(limit.signal.aborted).toBe(false);
    expect(limit.isOver()).toBe(false);
  });
});
