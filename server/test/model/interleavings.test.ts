import { describe, expect, it } from 'vitest';
import { explore, type Model, type Process, prove, refute } from '../support/interleavings.ts';

type Counter = { readonly value: number; readonly read: Readonly<Record<string, number>> };

/** Adds one: by reading and writing, or in one step. */
function adder(name: string, atomic: boolean): Process<Counter> {
  const write = (s: Counter, from: number): Counter => ({ ...s, value: from + 1 });
  return {
    name,
    starts: 'idle',
    steps: atomic
      ? [{ from: 'idle', to: 'done', does: 'adds', change: (s) => write(s, s.value) }]
      : [
          {
            from: 'idle',
            to: 'read',
            does: 'reads',
            change: (s) => ({ ...s, read: { ...s.read, [name]: s.value } }),
          },
          {
            from: 'read',
            to: 'done',
            does: 'writes',
            change: (s) => write(s, s.read[name] ?? 0),
          },
        ],
  };
}

function counting(processes: readonly Process<Counter>[]): Model<Counter> {
  return {
    state: { value: 0, read: { a: 0, b: 0 } },
    processes,
    always: { 'it is at most two': ({ value }) => value <= 2 },
    inTheEnd: { 'it is two': ({ value }) => value === 2 },
  };
}

describe('a checked model', () => {
  it('has each of its states visited once, in every order of its steps', () => {
    expect(prove(counting([adder('a', true), adder('b', true)]))).toBe(4);
  });

  it('that fails is told with a shortest trace', () => {
    const { broken, trace } = refute(counting([adder('a', false), adder('b', false)]));
    expect(broken).toBe('it is two');
    expect(trace.split('\n').slice(0, -1)).toEqual(['  1. a reads', '  2. b reads']);
  });

  it('fails in the state in which a promise does not hold', () => {
    const three = ['a', 'b', 'c'].map((name) => adder(name, true));
    const { broken, trace } = refute(counting(three));
    expect(broken).toBe('it is at most two');
    expect(trace).toContain('"value":3');
  });

  it('can have its processes die anywhere, and must get on without another crash', () => {
    const mortal = { ...adder('b', true), crash: { times: 1, to: 'dead' } };
    expect(refute(counting([adder('a', true), mortal])).trace).toContain('b dies');
    const reborn = { ...adder('b', true), crash: { times: 1, to: 'idle' } };
    expect(refute(counting([adder('a', true), reborn])).broken).toBe('it is at most two');
  });

  it('does not depend on luck', () => {
    const lucky = adder('b', true);
    const steps = lucky.steps.map((step) => ({ ...step, luck: true }));
    expect(refute(counting([adder('a', true), { ...lucky, steps }])).broken).toBe('it is two');
  });

  it('names the steps that never happen', () => {
    const idle = { from: 'nowhere', to: 'done', does: 'nothing' };
    const a = adder('a', true);
    const model = counting([{ ...a, steps: [...a.steps, idle] }, adder('b', true)]);
    expect(explore(model).never).toEqual(['a nothing']);
    expect(() => prove(model)).toThrow('never happens: a nothing');
  });
});
