import { configDefaults, defineConfig } from 'vitest/config';

/** Set by `npm run test:long`: also what takes minutes, or programs that it installs first. */
const isLong = process.env.BELFRY_LONG === '1';

export default defineConfig({
  test: {
    include: ['server/test/**/*.test.ts'],
    exclude: [...configDefaults.exclude, ...(isLong ? [] : ['**/*.long.test.ts'])],
    globalSetup: ['server/test/support/global-setup.ts'],
    // Each file has processes and databases of its own; two at a time keep a small machine honest.
    maxWorkers: 2,
    // For a machine that is busy with something else; a test that works takes a fraction.
    testTimeout: 60_000,
    hookTimeout: 120_000,
    expect: { poll: { timeout: 20_000 } },
  },
});
