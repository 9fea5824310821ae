import { expect, test } from 'vitest';
import { gathering } from '../../src/lib/gather.ts';

type Item = { readonly name: string; readonly value: number };

/** Batches are answered when the test says so. */
function world(options: { maxItems?: number; maxUnderWay?: number } = {}) {
  const batches: {
    items: readonly Item[];
    answer: (results: (number | Error)[]) => void;
    fail: (error: Error) => void;
  }[] = [];
  const gather = gathering<Item, number>({
    run: (items) =>
      new Promise((answer, fail) => {
        batches.push({ items, answer, fail });
      }),
    maxItems: options.maxItems ?? 10,
    maxUnderWay: options.maxUnderWay ?? 1,
    nameOf: ({ name }) => name,
    isRefusal: (error) => error instanceof RangeError,
  });
  const owner = {};
  const ask = (name: string, value: number, group = 'a') => gather(owner, group, { name, value });
  return { batches, ask };
}

const turn = () => new Promise<void>((resolve) => setTimeout(resolve, 0));
const double = (items: readonly Item[]) => items.map(({ value }) => 2 * value);

test('what comes in one turn is one batch, and each gets its own result', async () => {
  const { batches, ask } = world();
  const results = Promise.all([ask('x', 1), ask('y', 2), ask('z', 3)]);
  await turn();
  expect(batches).toHaveLength(1);
  batches[0]?.answer(double(batches[0].items));
  expect(await results).toEqual([2, 4, 6]);
});

test('while enough are under way the rest waits, and goes together, in order and bounded', async () => {
  const { batches, ask } = world({ maxItems: 2 });
  const results = [ask('a', 1)];
  await turn();
  results.push(ask('b', 2), ask('c', 3), ask('d', 4));
  await turn();
  expect(batches).toHaveLength(1);
  for (let i = 0; i < 3; i++) {
    batches[i]?.answer(double(batches[i]?.items ?? []));
    await turn();
  }
  expect(batches.map(({ items }) => items.map(({ name }) => name))).toEqual([
    ['a'],
    ['b', 'c'],
    ['d'],
  ]);
  expect(await Promise.all(results)).toEqual([2, 4, 6, 8]);
});

test('two of one name are never in one batch, and keep their order', async () => {
  const { batches, ask } = world();
  const results = [ask('a', 1), ask('a', 2), ask('b', 3), ask('a', 4)];
  for (let i = 0; i < 3; i++) {
    await turn();
    batches[i]?.answer(double(batches[i]?.items ?? []));
  }
  expect(batches.map(({ items }) => items.map(({ value }) => value))).toEqual([[1, 3], [2], [4]]);
  expect(await Promise.all(results)).toEqual([2, 4, 6, 8]);
});

test('groups do not wait for each other', async () => {
  const { batches, ask } = world();
  void ask('a', 1, 'one');
  const other = ask('a', 2, 'two');
  await turn();
  expect(batches).toHaveLength(2);
  batches[1]?.answer([4]);
  expect(await other).toBe(4);
});

test('an error of one item is its own', async () => {
  const { batches, ask } = world();
  const results = Promise.allSettled([ask('a', 1), ask('b', 2)]);
  await turn();
  batches[0]?.answer([new Error('no'), 4]);
  expect(await results).toMatchObject([{ status: 'rejected' }, { status: 'fulfilled', value: 4 }]);
});

test('a batch that is refused is tried one by one: who caused it is told alone', async () => {
  const { batches, ask } = world();
  const results = Promise.allSettled([ask('bad', 1), ask('good', 2)]);
  await turn();
  batches[0]?.fail(new RangeError('refused'));
  await turn();
  batches[1]?.fail(new RangeError('refused'));
  await turn();
  batches[2]?.answer([4]);
  expect(await results).toMatchObject([{ status: 'rejected' }, { status: 'fulfilled', value: 4 }]);
});

test('a batch of which nobody knows what became is not repeated, and what comes later goes on', async () => {
  const { batches, ask } = world();
  const results = Promise.allSettled([ask('a', 1), ask('b', 2)]);
  await turn();
  batches[0]?.fail(new Error('connection lost'));
  expect((await results).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  const later = ask('c', 3);
  await turn();
  expect(batches).toHaveLength(2);
  batches[1]?.answer([6]);
  expect(await later).toBe(6);
});
