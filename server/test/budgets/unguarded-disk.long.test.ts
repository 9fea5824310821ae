import { setTimeout as wait } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { makeScratchDisk, type ScratchDisk } from '../../src/drill/scratch-disk.ts';
import { feedStep } from '../support/engine-world.ts';
import { waitFor } from '../support/wait.ts';
import { startWholeServer, type WholeServer } from '../support/whole-server.ts';

const DISK_MB = 1_000;
const LEFT_MB = 20;
const RECIPIENTS = 200;
const CLIENTS = 8;
const TRY_AGAIN_MS = 100;

let server: WholeServer | undefined;
let disk: ScratchDisk | undefined;

afterEach(async () => {
  await server?.stop();
  await disk?.remove();
});

/** Needs root, to mount a file system. */
test('a database that ended because its disk was full comes back with the room, and nothing acknowledged is lost', async () => {
  disk = await makeScratchDisk({ megabytes: DISK_MB, isWritten: false });
  server = await startWholeServer({ dataDir: disk.path, diskFloorBytes: 0 });
  const { trigger, metric, push, server: running } = server;
  await push('both', [feedStep('Hi')]);
  await disk.fill(1 - LEFT_MB / DISK_MB);

  let number = 0;
  let acknowledged = 0;
  let isOver = false;
  const client = async (): Promise<void> => {
    while (!isOver) {
      number += 1;
      const recipients = Array.from({ length: RECIPIENTS }, (_, i) => `user-${number}-${i}`);
      const body = { recipients, data: { text: 'x'.repeat(500) } };
      await trigger('both', body).then(
        () => {
          acknowledged += RECIPIENTS;
        },
        () => wait(TRY_AGAIN_MS),
      );
    }
  };
  const clients = Promise.all(Array.from({ length: CLIENTS }, client));
  const isReady = async (): Promise<boolean> => (await fetch(`${running.url}/readyz`)).ok;
  const toBe = (ready: boolean) =>
    waitFor(
      ready ? 'the server to be ready' : 'the database to end',
      async () => ((await isReady()) === ready ? true : undefined),
      60_000,
    );
  await toBe(false);
  await disk.empty();
  await toBe(true);
  isOver = true;
  await clients;
  const executed = await waitFor(
    'all runs',
    async () => {
      const response = await fetch(`${running.url}/ops/v1/ledger?minutes=60`, {
        headers: { authorization: `Bearer ${running.credentials?.operator_token}` },
      });
      const { entries, gap_runs: gap } = (await response.json()) as {
        readonly entries: readonly { readonly done: number; readonly pending: number }[];
        readonly gap_runs: number;
      };
      const done = entries.reduce((sum, entry) => sum + entry.done, 0);
      return gap === 0 && done >= acknowledged && entries.every(({ pending }) => pending === 0)
        ? done
        : undefined;
    },
    60_000,
  );
  // One whose answer was lost may have been accepted too.
  expect(executed - acknowledged).toBeLessThanOrEqual(CLIENTS * RECIPIENTS);
  expect(await metric('belfry_ledger_gap_runs')).toBe(0);
}, 240_000);
