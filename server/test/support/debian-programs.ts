import { execFile } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { withSystemPath } from '../../src/lib/system-path.ts';

/**
 * Makes sure that this machine has the programs; installs the Debian packages where root may. Throws a sentence with the
 * command where they are missing.
 */
export async function ensurePrograms(
  programs: readonly string[],
  packages: readonly string[],
): Promise<void> {
  const env = { ...withSystemPath(process.env), DEBIAN_FRONTEND: 'noninteractive' };
  const run = (program: string, ...args: readonly string[]) =>
    promisify(execFile)(program, args, { env, maxBuffer: 100_000_000 });
  const found = programs.map((program) => `command -v ${program}`).join(' && ');
  const areThere = run('sh', '-c', found).then(
    () => true,
    () => false,
  );
  if (await areThere) return;
  const names = packages.join(' ');
  if (process.getuid?.() !== 0) {
    throw new Error(`This test needs other programs; run: sudo apt-get install -y ${names}`);
  }
  // Test files run side by side, and apt only once at a time.
  const lock = join(tmpdir(), 'belfry-apt.lock');
  const install = `(${found}) || (apt-get update -q && apt-get install -y -q --no-install-recommends ${names})`;
  await run('flock', lock, 'sh', '-c', install);
  await run('sh', '-c', found);
}
