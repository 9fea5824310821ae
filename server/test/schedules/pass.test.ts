import { afterEach, beforeEach, expect, test } from 'vitest';
import { type DuePage, type Pass, readDue } from '../../src/schedules/due-schedules.ts';
import { fireSchedules } from '../../src/schedules/fire-schedules.ts';
import { createScheduleWorld, type ScheduleWorld } from './support.ts';

let schedules: ScheduleWorld;
let mine = 0;
let other = 0;
let stream: Awaited<ReturnType<ScheduleWorld['openStream']>>;

beforeEach(async () => {
  schedules = await createScheduleWorld();
  const { ctx, test: database } = schedules.world;
  mine = ctx.environment.id;
  const [row] = await database.db.query<{ id: number }>(
    `select id from environment where slug = 'production'`,
  );
  other = row?.id ?? 0;
  stream = await schedules.openStream();
});
afterEach(async () => {
  await stream.close();
  await schedules.close();
});

const now = () => schedules.world.clock.now();
const read = (pass?: Pass): Promise<DuePage> => readDue(schedules.world.test.db, now(), pass);

async function handOver(page: DuePage): Promise<void> {
  expect(await fireSchedules(stream, page.schedules, now())).toBe(true);
}

/** Hands over all that the pass comes to; returns how many of which environment each page had. */
async function handOverAll(first: DuePage): Promise<{ mine: number; other: number }[]> {
  const pages: { mine: number; other: number }[] = [];
  let page = first;
  for (;;) {
    if (page.schedules.length > 0) {
      await handOver(page);
      const others = page.schedules.filter((schedule) => schedule.environment_id === other).length;
      pages.push({ mine: page.schedules.length - others, other: others });
    }
    if (!page.pass) return pages;
    page = await read(page.pass);
  }
}

test('a pass over many of the same time comes to each once, also when one time is that of them all', async () => {
  await schedules.makeDue(mine, 1_700, new Date(now()));
  const pages = await handOverAll(await read());
  expect(pages.map((page) => page.mine)).toEqual([500, 500, 500, 200]);
  expect(await read()).toEqual({ schedules: [], pass: undefined });
});

test('a page begins behind what was handed over, so index entries of moved rows are not read again', async () => {
  await schedules.makeDue(mine, 1_200, new Date(now()));
  const first = await read();
  await handOver(first);
  const last =
    first.schedules
      .map(({ id }) => id)
      .sort()
      .at(-1) ?? '';
  const turn = first.pass?.turns.get(mine);
  expect(turn).toEqual({ afterMs: now(), afterId: last, isOver: false });
  const second = await read(first.pass);
  expect(second.schedules.every(({ id }) => id > last)).toBe(true);
});

test('a page that was not handed over is read again with the pass that it was read with', async () => {
  await schedules.makeDue(mine, 1_200, new Date(now()));
  const first = await read();
  await handOver(first);
  const ids = ({ schedules: page }: DuePage) => page.map(({ id }) => id);
  expect(ids(await read(first.pass))).toEqual(ids(await read(first.pass)));
});

test('whoever becomes due during a pass has a turn in its next page, also an environment that was over', async () => {
  await schedules.makeDue(mine, 2_000, new Date(now()));
  await schedules.makeDue(other, 1, new Date(now()));
  await schedules.makeDue(other, 2, new Date(now() + 1_000));
  const first = await read();
  await handOver(first);
  const second = await read(first.pass);
  await handOver(second);
  expect(second.pass?.turns.get(other)?.isOver).toBe(true);
  schedules.world.clock.move(1_000);
  const [next] = await handOverAll(await read(second.pass));
  expect(next?.other).toBe(2);
});

test('what was made due behind a pass is found by the next one', async () => {
  await schedules.makeDue(mine, 1_200, new Date(now()));
  const first = await read();
  await handOver(first);
  await schedules.makeDue(mine, 3, new Date(now() - 60_000));
  const pages = await handOverAll(await read(first.pass));
  expect(pages.reduce((sum, page) => sum + page.mine, 0)).toBe(700);
  expect((await read()).schedules).toHaveLength(3);
});
