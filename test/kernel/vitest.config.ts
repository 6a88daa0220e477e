import { defineConfig } from 'vitest/config';

/** Real packets through real namespaces: root, a Linux with iptables, ipset, nftables, iproute2 and conntrack. */
export default defineConfig({
  test: { include: ['test/kernel/**/*.test.ts'], fileParallelism: false, testTimeout: 3600_000, hookTimeout: 60_000 },
});
