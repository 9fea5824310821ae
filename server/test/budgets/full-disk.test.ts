import { statfs } from 'node:fs/promises';
import { afterEach, expect, test } from 'vitest';
import { makeScratchDisk, NoScratchDisk, type ScratchDisk } from '../../src/drill/scratch-disk.ts';
import { emailStep, feedStep } from '../support/engine-world.ts';
import { waitFor } from '../support/wait.ts';
import {
  newDataDir,
  removeDataDirs,
  startWholeServer,
  type WholeServer,
} from '../support/whole-server.ts';

const DISK_MB = 1_000;
const MIB = 1024 ** 2;

let server: WholeServer | undefined;
let disk: ScratchDisk | undefined;

afterEach(async () => {
  await server?.stop();
  await disk?.remove();
  await removeDataDirs();
});

const recipients = (n: number) => [{ id: `user-${n}`, email: `user-${n}@example.com` }];

async function ready(): Promise<{ readonly status: number; readonly text: string }> {
  const response = await fetch(`${server?.server.url}/readyz`);
  return { status: response.status, text: await response.text() };
}

/** Resolves with what was answered. */
function triggered(n: number): Promise<string> {
  return server
    ? server.trigger('both', { recipients: recipients(n) }).then(
        () => 'accepted',
        (error: Error) => error.message,
      )
    : Promise.resolve('no server');
}

async function messages(): Promise<number> {
  const key = server?.server.credentials?.environments.development?.secret_key;
  const response = await fetch(`${server?.server.url}/v1/messages?page_size=50`, {
    headers: { authorization: `Bearer ${key}` },
  });
  const { items } = (await response.json()) as { readonly items: readonly unknown[] };
  return items.length;
}

const allIsWell = () =>
  waitFor('the server to be ready', async () =>
    (await ready()).status === 200 ? true : undefined,
  );

test('a disk that fills up stops nothing but new work, which comes back with the room', async () => {
  // Without the right to mount, the floor rises instead of the disk filling up.
  disk = await makeScratchDisk({ megabytes: DISK_MB, isWritten: false }).catch((error) => {
    if (error instanceof NoScratchDisk) return undefined;
    throw error;
  });
  if (disk) server = await startWholeServer({ dataDir: disk.path });
  else server = await startWholeServer({ diskFloorBytes: await moreThanFree() });
  const started = server;
  if (disk) {
    await started.push('both', [feedStep('Hi'), emailStep()]);
    expect(await triggered(1)).toBe('accepted');
    await disk.fill(0.98);
  }
  const answer = await waitFor('a refusal', async () => {
    const text = await triggered(2);
    return text === 'accepted' ? undefined : text;
  });
  expect(answer).toMatch(/answered 503.*"code":"storage_full"/);
  expect(await ready()).toMatchObject({
    status: 503,
    text: expect.stringMatching(/"disk":\{"state":"down","reason":"\d+ MB are free, less than \d+/),
  });
  expect(await started.metric('belfry_disk_free_bytes')).toBeLessThan(
    await started.metric('belfry_disk_floor_bytes'),
  );
  // Reading goes on.
  const before = await messages();
  if (!disk) return;
  expect(before).toBeGreaterThan(0);
  await disk.empty();
  await allIsWell();
  expect(await triggered(3)).toBe('accepted');
  await waitFor('all messages', async () => ((await messages()) >= 4 ? true : undefined));
});

async function moreThanFree(): Promise<number> {
  const { bavail, bsize } = await statfs(await newDataDir());
  return bavail * bsize * 2 + MIB;
}

test('a disk that would take all the room of this machine is not written', async () => {
  const made = makeScratchDisk({ megabytes: 8_000_000, isWritten: true });
  await expect(made).rejects.toThrow(/MB are free in .*, less than 8002000; set TMPDIR/);
  await expect(made).rejects.toBeInstanceOf(NoScratchDisk);
});
