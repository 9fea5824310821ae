// `npm test`: every check of the project, two at a time, then the tests. Each runs even when one before it
// failed; the last line counts them.
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';

type Outcome = { readonly passed: number; readonly failed: number };

/** What it said is shown when it has ended, so that two of them do not speak at once. */
type Check = {
  readonly title: string;
  readonly run: () => Promise<Outcome & { readonly output: string }>;
};

const AT_ONCE = 2;

const root = join(import.meta.dirname, '..');
const binaries = join(root, 'node_modules', '.bin');
/** Arguments choose test files, as vitest takes them, and leave the other checks out. */
const filters = process.argv.slice(2);

const checks: Check[] = [
  step('Types of the server', 'tsc', '-p', 'server'),
  step('Format and lint', 'biome', 'check', '.'),
  step('Types of the pages', 'tsc', '-p', 'web'),
  step('Unused files, exports and dependencies', 'knip'),
  step('Generated files', 'node', 'scripts/generate.ts', '--check'),
  step('Pages', 'node', 'scripts/build-web.mjs'),
  step('A browser for the tests', 'node', 'scripts/ensure-chromium.ts'),
];

const failures: string[] = [];
let passed = 0;
let failed = 0;
if (filters.length === 0) await Promise.all(Array.from({ length: AT_ONCE }, runChecks));
process.stdout.write(headingOf('Tests'));
count('Tests', await runVitest());
if (failures.length > 0) console.log(`\nFailed: ${failures.join(', ')}`);
if (passed + failed === 0) console.log('\nNo test ran.');
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
console.log(`${passed} passed, ${failed} failed`);

async function runChecks(): Promise<void> {
  for (let check = checks.shift(); check; check = checks.shift()) {
    const outcome = await check.run();
    console.log(`${headingOf(check.title)}${outcome.output}`);
    count(check.title, outcome);
  }
}

function headingOf(title: string): string {
  return `\n── ${title} ${'─'.repeat(Math.max(0, 76 - title.length))}\n\n`;
}

function count(title: string, outcome: Outcome): void {
  passed += outcome.passed;
  failed += outcome.failed;
  if (outcome.failed > 0) failures.push(title);
}

function step(title: string, command: string, ...args: readonly string[]): Check {
  return {
    title,
    run: async () => {
      const said: Buffer[] = [];
      const code = await runProgram(command, args, (data) => said.push(data));
      const output = Buffer.concat(said).toString();
      return code === 0
        ? { passed: 1, failed: 0, output: `${output}ok` }
        : { passed: 0, failed: 1, output };
    },
  };
}

/** The exit code. What the program says goes to `hear`, or where ours goes. */
function runProgram(
  command: string,
  args: readonly string[],
  hear?: (data: Buffer) => void,
): Promise<number> {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: root,
      stdio: ['ignore', hear ? 'pipe' : 'inherit', hear ? 'pipe' : 'inherit'],
      env: { ...process.env, PATH: `${binaries}${delimiter}${process.env.PATH ?? ''}` },
    });
    if (hear) {
      child.stdout?.on('data', hear);
      child.stderr?.on('data', hear);
    }
    child.on('error', (error) => {
      console.error(`${command} cannot be started: ${error.message}`);
      resolve(1);
    });
    child.on('close', (code) => resolve(code ?? 1));
  });
}

async function runVitest(): Promise<Outcome> {
  const folder = await mkdtemp(join(tmpdir(), 'belfry-report-'));
  const report = join(folder, 'report.json');
  try {
    const code = await runProgram('vitest', [
      'run',
      '--reporter=default',
      '--reporter=json',
      `--outputFile.json=${report}`,
      ...filters,
    ]);
    const outcome = await readReport(report);
    // A file that cannot be loaded, or an error outside of any test, fails no test.
    return code !== 0 && outcome.failed === 0 ? { ...outcome, failed: 1 } : outcome;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function readReport(path: string): Promise<Outcome> {
  try {
    const report = JSON.parse(await readFile(path, 'utf8')) as {
      readonly numPassedTests: number;
      readonly numFailedTests: number;
    };
    return { passed: report.numPassedTests, failed: report.numFailedTests };
  } catch {
    return { passed: 0, failed: 1 };
  }
}
