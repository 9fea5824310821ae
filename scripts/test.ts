// `npm test`: every check of the project, in order. Each runs even when one before it failed; the
// last line counts them.
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';

type Outcome = { readonly passed: number; readonly failed: number };

type Step = {
  readonly title: string;
  readonly run: () => Promise<Outcome>;
};

const root = join(import.meta.dirname, '..');
const binaries = join(root, 'node_modules', '.bin');
/** Arguments choose test files, as vitest takes them, and leave the other checks out. */
const filters = process.argv.slice(2);

const checks: readonly Step[] = [
  step('Format and lint', 'biome', 'check', '.'),
  step('Types of the server', 'tsc', '-p', 'server'),
  step('Types of the pages', 'tsc', '-p', 'web'),
  step('Unused files, exports and dependencies', 'knip'),
  step('Generated files', 'node', 'scripts/generate.ts', '--check'),
  step('Pages', 'node', 'scripts/build-web.mjs'),
  step('A browser for the tests', 'node', 'scripts/ensure-chromium.ts'),
];
const tests: Step = { title: 'Tests', run: runVitest };

const failures: string[] = [];
let passed = 0;
let failed = 0;
for (const { title, run } of filters.length === 0 ? [...checks, tests] : [tests]) {
  console.log(`\n── ${title} ${'─'.repeat(Math.max(0, 76 - title.length))}\n`);
  const outcome = await run();
  passed += outcome.passed;
  failed += outcome.failed;
  if (outcome.failed > 0) failures.push(title);
}
if (failures.length > 0) console.log(`\nFailed: ${failures.join(', ')}`);
if (passed + failed === 0) console.log('\nNo test ran.');
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
console.log(`${passed} passed, ${failed} failed`);

function step(title: string, command: string, ...args: readonly string[]): Step {
  return {
    title,
    run: async () => {
      const code = await runProgram(command, args);
      if (code === 0) console.log('ok');
      return code === 0 ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 };
    },
  };
}

/** The exit code; what the program says goes where ours goes. */
function runProgram(command: string, args: readonly string[]): Promise<number> {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: root,
      stdio: ['ignore', 'inherit', 'inherit'],
      env: { ...process.env, PATH: `${binaries}${delimiter}${process.env.PATH ?? ''}` },
    });
    child.on('error', (error) => {
      console.error(`${command} cannot be started: ${error.message}`);
      resolve(1);
    });
    child.on('exit', (code) => resolve(code ?? 1));
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
