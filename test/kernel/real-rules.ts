import { loadVectors, type Vector } from '../netns/vectors.js';
import type { RuleSet } from './bench.js';
import type { Pools } from './generate/packets.js';
import { poolsNamedIn } from './programs/program.js';

/** Rule sets as real programs write them: those of the recordings, to be loaded into the kernel of this machine. */
const GROUPS = ['ambient', 'sidecar', 'kubeproxy', 'hostprobe', 'istio118', 'cni', 'docker'];

export function realVectors(): readonly Vector[] {
  return loadVectors().filter(({ name }) => GROUPS.some((group) => name.startsWith(group)));
}

const MANAGED = new Set(['nat', 'mangle', 'filter', 'raw']);

/** nft's list without the tables that iptables-nft made: those are loaded from iptables-save. */
function nativeTables(text: string | undefined): string {
  if (text === undefined) return '';
  const { nftables } = JSON.parse(text) as {
    nftables: Record<string, { family?: string; table?: string; name?: string }>[];
  };
  const kept = nftables.filter((entry) => {
    const [kind, object] = Object.entries(entry)[0] ?? ['', {}];
    const table = kind === 'table' ? object.name : object.table;
    return kind !== 'metainfo' && !(object.family !== 'inet' && MANAGED.has(table ?? ''));
  });
  // maps of verdicts name chains: those come first
  const rank = (entry: object): number => ['table', 'chain', 'set', 'map'].indexOf(Object.keys(entry)[0] ?? '') >>> 0;
  const sorted = kept.sort((a, b) => rank(a) - rank(b));
  return sorted.length === 0 ? '' : JSON.stringify({ nftables: sorted });
}

export function realRules({ files }: Vector): RuleSet {
  return {
    ipset: files['ipset-save.txt'] ?? '',
    iptables: files['iptables-save.txt'] ?? '',
    ip6tables: files['ip6tables-save.txt'] ?? '',
    nftJson: nativeTables(files['nft-ruleset.json']),
  };
}

export function realPools({ files }: Vector): Pools {
  const names = ['iptables-save.txt', 'ip6tables-save.txt', 'nft-ruleset.json', 'ipset-save.txt'];
  return poolsNamedIn(names.map((name) => files[name] ?? '').join('\n'));
}
