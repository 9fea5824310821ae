import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, test } from 'vitest';

const ENTRY = join(import.meta.dirname, 'control-group-process.ts');

test('a drill has a control group of its own where it has none and may make one, and leaves none behind', async () => {
  const child = spawn(process.execPath, [ENTRY], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = await once(createInterface(child.stdout), 'line');
  await once(child, 'exit');
  const { is, before, inside, after, directory, mayMakeOne } = JSON.parse(line);
  expect(after).toBe(before);
  if (mayMakeOne) expect(is).toBe('own');
  if (is === 'own') expect(inside).toContain(`/belfry-drill-${child.pid}`);
  else expect(inside).toBe(before);
  if (is !== 'own') expect(directory).toBeNull();
  if (directory !== null) await expect(stat(directory)).rejects.toThrow('ENOENT');
});
