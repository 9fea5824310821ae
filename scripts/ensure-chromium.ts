// The browser that the tests drive: found, or installed where that is allowed, or asked for.
import { spawnSync } from 'node:child_process';
import { accessSync, constants, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { pathToFileURL } from 'node:url';

const names = ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome', 'chrome'];
const elsewhere = [
  '/usr/bin',
  '/usr/local/bin',
  '/snap/bin',
  '/Applications/Chromium.app/Contents/MacOS',
  '/Applications/Google Chrome.app/Contents/MacOS',
];

/** The path of a Chromium or Chrome: `BELFRY_CHROMIUM`, or the first one on this machine. */
function findChromium(
  env: Readonly<Record<string, string | undefined>> = process.env,
): string | undefined {
  const wanted = env.BELFRY_CHROMIUM;
  if (wanted) {
    if (isExecutable(wanted)) return wanted;
    throw new Error(`BELFRY_CHROMIUM is ${wanted}, and there is no program of that name`);
  }
  const folders = [...(env.PATH ?? '').split(delimiter).filter(Boolean), ...elsewhere];
  const candidates = folders.flatMap((folder) =>
    [...names, 'Chromium', 'Google Chrome'].map((name) => join(folder, name)),
  );
  return candidates.find(isExecutable);
}

/** The same; installs Debian's Chromium where that can be done without asking. */
export function ensureChromium(): string {
  const found = findChromium();
  if (found) return found;
  if (!isDebian() || process.getuid?.() !== 0) {
    throw new Error(
      `The browser tests need Chromium, and there is none on this machine.\n${wayOut()}`,
    );
  }
  console.error('Installing Chromium for the browser tests (apt-get, about 113 MB)');
  run('apt-get', ['update', '-qq']);
  run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', 'chromium']);
  const installed = findChromium();
  if (installed) return installed;
  throw new Error(`apt-get installed chromium, but there is no chromium program.\n${wayOut()}`);
}

function run(command: string, args: readonly string[]): void {
  const { status, stderr, error } = spawnSync(command, args, {
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    stdio: ['ignore', 'ignore', 'pipe'],
    encoding: 'utf8',
    timeout: 10 * 60_000,
  });
  if (status === 0) return;
  const why = error?.message ?? stderr.trim().split('\n').slice(-5).join('\n');
  throw new Error(`${command} ${args.join(' ')} failed:\n${why}\n${wayOut()}`);
}

function wayOut(): string {
  if (process.platform === 'darwin') {
    return 'Install Google Chrome, or set BELFRY_CHROMIUM to the path of a Chromium.';
  }
  const install = isDebian()
    ? 'sudo apt-get update && sudo apt-get install -y --no-install-recommends chromium'
    : 'your package manager (Fedora: sudo dnf install chromium; Arch: sudo pacman -S chromium)';
  return `Install it with:\n\n  ${install}\n\nor set BELFRY_CHROMIUM to the path of a Chromium or Chrome.`;
}

function isDebian(): boolean {
  try {
    return /^ID=debian$/m.test(readFileSync('/etc/os-release', 'utf8'));
  } catch {
    return false;
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  try {
    console.log(ensureChromium());
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}
