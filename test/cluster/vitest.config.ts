import { defineConfig } from 'vitest/config';

/** The live path against a real API server. Apart from `npm test`: it needs root, Go and some minutes the first time. */
export default defineConfig({
  test: {
    include: ['test/cluster/**/*.test.ts'],
    testTimeout: 120_000,
    hookTimeout: 25 * 60_000,
    pool: 'forks',
    fileParallelism: false,
  },
});
