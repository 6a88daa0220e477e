import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Tests against a real kernel, Envoy and API server have configurations of their own.
    exclude: ['**/node_modules/**', 'test/kernel/**', 'test/envoy-server/**', 'test/cluster/**'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    pool: 'forks',
  },
});
