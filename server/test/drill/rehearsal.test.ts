import { readdir } from 'node:fs/promises';
import { beforeAll, expect, test } from 'vitest';
import type { DrillReport } from '../../src/drill/noisy-neighbour.ts';
import { belfry, temporaryDirectory } from '../cli/belfry.ts';

const REHEARSAL_MS = 180_000;

let report: DrillReport;
let left: readonly string[];

beforeAll(async () => {
  const scratch = await temporaryDirectory();
  try {
    const { stdout } = await belfry(['drill', 'noisy-neighbour', '--rehearsal', '--json'], {
      TMPDIR: scratch.path,
    });
    report = JSON.parse(stdout);
    left = await readdir(scratch.path);
  } finally {
    await scratch.remove();
  }
}, REHEARSAL_MS);

test('a flood, a killed executor and a crashed database cost no neighbour a trigger', () => {
  const { figures, details } = report;
  expect(details.neighbours.acknowledged).toBeGreaterThan(200);
  expect(figures.neighbours_lost).toBe(0);
  expect(details.neighbours).toMatchObject({ lost: 0, withoutMessage: 0, duplicates: 0 });
});

test('nothing of the culprit that was acknowledged is lost or done twice', () => {
  const { figures, details } = report;
  expect(details.culprit.acknowledged).toBeGreaterThan(5_000);
  expect(figures.acknowledged_lost).toBe(0);
  expect(details.culprit).toMatchObject({ lost: 0, withoutMessage: 0, duplicates: 0 });
});

test('the culprit is named within ten seconds', () => {
  expect(report.figures.culprit_named_s).toBeLessThan(10);
});

test('everything breaks as announced, and comes back by itself', () => {
  expect(report.details.executor_back_s).toBeGreaterThan(0);
  expect(report.details.database_back_s).toBeGreaterThan(0);
  const happened = report.timeline.map(({ what }) => what).join('\n');
  expect(happened).toMatch(/executor process \d+ is killed/);
  expect(happened).toContain('the database is stopped at once');
});

test('the drill leaves nothing behind', () => {
  expect(left.filter((name) => name.startsWith('belfry-drill-'))).toEqual([]);
});
