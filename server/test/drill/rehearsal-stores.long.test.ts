import { readdir } from 'node:fs/promises';
import { expect, test } from 'vitest';
import type { DrillReport } from '../../src/drill/noisy-neighbour.ts';
import { belfry, temporaryDirectory } from '../cli/belfry.ts';

const REHEARSAL_MS = 300_000;

test(
  'an object store that is throttled and a log store that is cut off cost no neighbour anything',
  async () => {
    const scratch = await temporaryDirectory();
    try {
      const args = ['drill', 'noisy-neighbour', '--rehearsal', '--object-store', '--log-store'];
      const { stdout } = await belfry([...args, '--json'], { TMPDIR: scratch.path });
      const report: DrillReport = JSON.parse(stdout);
      expect(report.figures).toMatchObject({
        ...{ neighbours_lost: 0, acknowledged_lost: 0, bodies_unreadable: 0, log_gap: 0 },
        ...{ broadcast_duplicates: 0, broadcast_missing: 0 },
      });
      expect(report.details.stores?.mails).toMatchObject({ undelivered: 0 });
      expect(report.details.stores?.mails?.sent).toBeGreaterThan(100);
      expect(report.details.stores?.object_store).toMatchObject({
        methods: { PUT: expect.any(Number) },
      });
      expect(await readdir(scratch.path)).toEqual([]);
    } finally {
      await scratch.remove();
    }
  },
  REHEARSAL_MS,
);
