/** Where rules of iptables may stand: the hooks of each table, and chains that every table gets. */
export const HOOKS: Readonly<Record<string, readonly string[]>> = {
  raw: ['PREROUTING', 'OUTPUT'],
  mangle: ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'],
  nat: ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'],
  filter: ['INPUT', 'FORWARD', 'OUTPUT'],
  security: ['INPUT', 'FORWARD', 'OUTPUT'],
};

export const USER_CHAINS = ['ISTIO_A', 'ISTIO_B', 'KUBE_C'];

/** Hooks from which a user chain may be reached: only what all of them allow is written into it. */
export const ANY = 'any';

/** Hooks where the device is known that a packet came in by, and those where it is known by which one it leaves. */
export const INWARD: readonly string[] = ['PREROUTING', 'INPUT', 'FORWARD'];
export const OUTWARD: readonly string[] = ['FORWARD', 'OUTPUT', 'POSTROUTING'];

/** Where a rule stands. */
export interface Place {
  readonly family: 4 | 6;
  readonly table: string;
  readonly hook: string;
}
