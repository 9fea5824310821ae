import { join } from 'node:path';
import { configDefaults, defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Set by `npm run test:long`: also what takes minutes, or programs that it installs first. */
const isLong = process.env.BELFRY_LONG === '1';

/** Short files whose tests take longest. By themselves they would come last, and one processor would wait for the other. */
const LONG = [
  'engine/fault-points',
  'engine/orders-survive',
  'e2e/runbook',
  'carrier/carrier',
  'engine/server',
  'drill/rehearsal',
  'drill/interruption',
  'engine/crash',
  'broadcasts/crash',
];

class LongestFirst extends BaseSequencer {
  /** As vitest has them: those that took longest, or, when nothing is known of it, the largest files first. */
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const isLong = ({ moduleId }: TestSpecification): boolean =>
      LONG.some((name) => moduleId.endsWith(`server/test/${name}.test.ts`));
    const sorted = await super.sort(files);
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))];
  }
}

export default defineConfig({
  test: {
    include: ['server/test/**/*.test.ts'],
    exclude: [...configDefaults.exclude, ...(isLong ? [] : ['**/*.long.test.ts'])],
    globalSetup: ['server/test/support/global-setup.ts'],
    // Each file has processes and databases of its own; two at a time keep a small machine honest.
    maxWorkers: 2,
    sequence: { sequencer: LongestFirst },
    // What the CLI sets for the processes that it starts: those that tests start need not compile everything anew.
    env: { NODE_COMPILE_CACHE: join(import.meta.dirname, 'node_modules/.cache/belfry') },
    // For a machine that is busy with something else; a test that works takes a fraction.
    testTimeout: 60_000,
    hookTimeout: 120_000,
    expect: { poll: { timeout: 20_000 } },
  },
});
