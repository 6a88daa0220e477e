/** The tables that Linux has; ebtables's broute is none of iptables. */
const TABLES: ReadonlySet<string> = new Set(['raw', 'mangle', 'nat', 'filter', 'security']);

/** Built-in chains of the legacy tables, which are printed whether they hold rules or not (TABLE_hooks in linux net/ipv4/netfilter/iptable_*.c, v6.12). */
const BUILT_IN: ReadonlyMap<string, readonly string[]> = new Map([
  ['raw', ['PREROUTING', 'OUTPUT']],
  ['mangle', ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING']],
  ['nat', ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING']],
  ['filter', ['INPUT', 'FORWARD', 'OUTPUT']],
  ['security', ['INPUT', 'FORWARD', 'OUTPUT']],
]);

interface DeclaredChain {
  readonly name: string;
  /** By a line of its own. */
  readonly declared: boolean;
}

/** What keeps a table from being whole, or null; rules written by hand may do without any line for a chain. */
export function oddTable(
  { name, chains }: { readonly name: string; readonly chains: ReadonlyMap<string, DeclaredChain> },
  backend: 'nft' | 'legacy' | null,
): string | null {
  if (!TABLES.has(name)) return `there is no table ${name}`;
  const all = [...chains.values()];
  if (!all.some(({ declared }) => declared)) return null;
  const undeclared = all.find(({ declared }) => !declared);
  if (undeclared !== undefined) return `chain ${undeclared.name} of table ${name} has rules, but no line of its own`;
  const missing = backend === 'legacy' ? (BUILT_IN.get(name) ?? []).find((chain) => !chains.has(chain)) : undefined;
  return missing === undefined ? null : `table ${name} has no chain ${missing}`;
}
