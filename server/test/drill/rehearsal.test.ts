import { readdir } from 'node:fs/promises';
import { beforeAll, expect, test } from 'vitest';
import type { DrillReport } from '../../src/drill/noisy-neighbour.ts';
import { belfry, temporaryDirectory } from '../cli/belfry.ts';

const REHEARSAL_MS = 180_000;
/** What a full disk and a log store that is cut off are tried with; bodies take half a minute to reach an object store. */
const FLAGS = ['--rehearsal', '--log-store', '--json'];

let report: DrillReport;
let exitCode: number | null;
let left: readonly string[];

beforeAll(async () => {
  const scratch = await temporaryDirectory();
  try {
    const { stdout, code } = await belfry(['drill', 'noisy-neighbour', ...FLAGS], {
      TMPDIR: scratch.path,
    });
    report = JSON.parse(stdout);
    exitCode = code;
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

test('the culprit is named with its key and workflow', () => {
  expect(report.figures.culprit_named_s).not.toBeNull();
  const seen = report.timeline.map((event) => event.operator_sees).join('\n');
  expect(seen).toMatch(/account culprit \(production\), key \.\.\.[\w-]{4}, workflow digest: /);
});

test('nothing starts after the answer to a hold', () => {
  const { figures, details } = report;
  expect(figures.started_after_hold).toBe(0);
  expect(details.discarded_runs).toBeGreaterThan(1_000);
});

test('a broadcast goes on through all of it, to everybody once', () => {
  expect(report.figures).toMatchObject({ broadcast_duplicates: 0, broadcast_missing: 0 });
  const states = report.timeline.map((event) => event.operator_sees);
  expect(states).toContain('broadcast: finished, 1,500 of 1,500');
});

test('the exit code says whether a goal was missed', () => {
  expect(exitCode).toBe(report.missed.length === 0 ? 0 : 1);
  // How long an answer took says something of the machine.
  const times = ['culprit_named_s', 'hold_answer_s', 'disk_accepting_again_s'];
  expect(report.missed.filter((name) => !times.includes(name))).toEqual([]);
});

test('everything breaks as announced, and comes back by itself', () => {
  expect(report.details.executor_back_s).toBeGreaterThan(0);
  expect(report.details.database_back_s).toBeGreaterThan(0);
  const happened = report.timeline.map(({ what }) => what).join('\n');
  expect(happened).toMatch(/executor process \d+ is killed/);
  expect(happened).toContain('the database is stopped at once');
});

test('a log store that was cut off has everything again, and nothing waits for it', () => {
  const { figures, timeline } = report;
  expect(figures.log_gap).toBe(0);
  const happened = timeline.map(({ what }) => what);
  expect(happened).toContain('the log store is cut off: every connection breaks');
  expect(happened.some((what) => what.startsWith('the log store has caught up'))).toBe(true);
});

test('a full disk refuses for a while and loses nothing, where a disk can be made', () => {
  const { figures, details, timeline } = report;
  const happened = timeline.map(({ what }) => what);
  if (happened.includes('no disk will be filled up')) {
    expect(figures.disk_accepting_again_s).toBeNull();
    return;
  }
  expect(figures.disk_accepting_again_s).toBeGreaterThan(0);
  expect(happened).toContain('nothing new is accepted, what was accepted goes on');
  const phase = details.phases['the disk 98 % full'];
  expect(phase?.refused_because).toEqual({ '503 storage_full': phase?.refused });
});

test('it says of each phase when the machine stood still, and how much of the flood was really sent', () => {
  const { phases, flood_sent: sent } = report.details;
  for (const phase of Object.values(phases)) {
    expect(typeof phase.machine_stalls).toBe(process.platform === 'linux' ? 'number' : 'object');
    expect(phase.awake_triggers ?? 0).toBeLessThanOrEqual(phase.triggers);
  }
  expect(Object.keys(sent)).toHaveLength(4);
  for (const { due, sent: reallySent, share } of Object.values(sent)) {
    expect(reallySent).toBeLessThanOrEqual(due);
    expect(share).toBeGreaterThan(0);
  }
  expect(report.timeline.map(({ what }) => what).join('\n')).toContain('the machine itself');
});

test('the drill leaves nothing behind', () => {
  expect(left.filter((name) => name.startsWith('belfry-drill-'))).toEqual([]);
});
