import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { getPriority } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createSender } from '../../src/drill/load/sender.ts';
import { startLoad } from '../../src/drill/load-generator.ts';
import { startMetronome } from '../../src/drill/metronome.ts';
import { descendants } from '../cli/belfry.ts';
import { policyOf, SCHED_IDLE } from '../support/policy.ts';
import { waitFor } from '../support/wait.ts';

const player = spawn(process.execPath, [join(import.meta.dirname, 'players-process.ts')], {
  stdio: ['ignore', 'pipe', 'inherit'],
});
const caller = {
  ...{ secretKey: 'sk_test', publicKey: 'pk_test', channelId: '', workflowKey: 'digest' },
  ...{ recipientPrefix: 'user', users: 1 },
};
const nobody = { url: 'http://127.0.0.1:1', careful: false, connections: 1, maxUnderWay: 1 };
let told: { readonly flood: number; readonly stalls: readonly unknown[] | null };

beforeAll(async () => {
  const [line] = await once(createInterface(player.stdout), 'line');
  told = JSON.parse(line);
}, 30_000);

afterAll(() => {
  player.kill('SIGKILL');
});

test('the flood’s generator comes after the server, also where the system groups processes by session', async () => {
  expect(getPriority(told.flood)).toBe(10);
  if (process.platform === 'linux') expect(await policyOf(told.flood)).toBe(SCHED_IDLE);
  const group = await readFile(`/proc/${told.flood}/autogroup`, 'utf8').catch(() => 'nice 10\n');
  expect(group).toMatch(/nice 10\n$/);
});

test('the metronome tells stalls on Linux, and nowhere else', () => {
  expect(Array.isArray(told.stalls)).toBe(process.platform === 'linux');
});

test('generators and metronome lead sessions of their own, and end with a drill that is killed', async () => {
  const children = await descendants(player.pid);
  expect(children).toHaveLength(2);
  expect(children).toContain(told.flood);
  for (const pid of children) expect(await sessionOf(pid)).toBe(pid);
  player.kill('SIGKILL');
  await waitFor('the children to end', async () => {
    const sessions = await Promise.all(children.map(sessionOf));
    return sessions.every((session) => session === undefined) ? true : undefined;
  });
});

test('who is asked after the end of a drill says that it has ended', async () => {
  const load = await startLoad({ ...nobody, callers: [caller] });
  const metronome = startMetronome();
  const phase = { name: 'flood', perSecond: 20, runs: 1, seconds: undefined, seed: 1 };
  const playing = load.run(phase);
  load.end();
  metronome.end();
  await expect(playing).rejects.toThrow('a load generator ended');
  await expect(load.run(phase)).rejects.toThrow('a load generator ended');
  await expect(metronome.stalls()).rejects.toThrow('the metronome ended');
  load.stop();
  await expect(load.samples()).rejects.toThrow('a load generator ended');
});

test('what was due and never came to be sent counts as unsent', async () => {
  const sender = createSender(
    { ...nobody, callers: [caller] },
    { sending: () => sender.stop(), accepted: () => {}, givenUp: () => {} },
  );
  const perSecond = 10_000_000;
  const phase = { name: 'flood', perSecond, runs: 1, seconds: undefined, seed: 1 };
  const { sent, unsent, startedMs, endedMs } = await sender.run(phase);
  await sender.close();
  expect(sent).toBe(1);
  expect(sent + unsent).toBe(Math.floor(((endedMs - startedMs) * perSecond) / 1_000));
});

/** Undefined when there is no such process; one that has ended and is still listed counts as gone. */
async function sessionOf(pid: number): Promise<number | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  const [state, , , session] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return stat === '' || state === 'Z' ? undefined : Number(session);
}
