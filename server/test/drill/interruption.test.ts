import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { spawnBelfry, temporaryDirectory } from '../cli/belfry.ts';
import { waitFor } from '../support/wait.ts';

const STARTED_MS = 60_000;

test('a drill that is interrupted ends its server and removes its data', async () => {
  const scratch = await temporaryDirectory();
  try {
    const drill = spawnBelfry(['drill', 'noisy-neighbour', '--rehearsal', '--json'], {
      TMPDIR: scratch.path,
    });
    const calm = await waitFor(
      'the drill to be under way',
      () => (/ calm: /.test(drill.stderr()) ? drill.stderr() : undefined),
      STARTED_MS,
    );
    expect(calm).toContain('the drill begins');
    const [dataDir = ''] = await readdir(scratch.path);
    expect(await readdir(join(scratch.path, dataDir))).toContain('credentials.json');
    drill.process.kill('SIGINT');
    const ended = await drill.finished;
    expect(ended, drill.stderr()).toMatchObject({ code: 130 });
    expect(await readdir(scratch.path)).toEqual([]);
  } finally {
    await scratch.remove();
  }
}, 120_000);
