import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadVectors, namespaceOf, type Vector } from '../netns/vectors.js';
import { KernelBench, whyNot, type Flow, type RuleSet } from './bench.js';
import { judge } from './compare.js';
import { packet, type Pools } from './generate.js';
import { poolsNamedIn } from './programs/program.js';
import { Random } from './random.js';

/**
 * Rule sets as real programs write them (Istio from 1.18 on, sidecars with many options, kube-proxy in both modes, CNIs),
 * loaded into the kernel of this machine; the packets carry the addresses, ports, marks and users that the rules name.
 */
const PACKETS = 40;
const GROUPS = ['ambient', 'sidecar', 'kubeproxy', 'hostprobe', 'istio118', 'cni', 'docker'];

const obstacle = whyNot();
if (obstacle !== null && process.env['CI'] === 'true') {
  throw new Error(`the kernel tests cannot run here: ${obstacle}`);
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

function ruleSetOf({ files }: Vector): RuleSet {
  return {
    ipset: files['ipset-save.txt'] ?? '',
    iptables: files['iptables-save.txt'] ?? '',
    ip6tables: files['ip6tables-save.txt'] ?? '',
    nftJson: nativeTables(files['nft-ruleset.json']),
  };
}

function poolsOf({ files }: Vector): Pools {
  const names = ['iptables-save.txt', 'ip6tables-save.txt', 'nft-ruleset.json', 'ipset-save.txt'];
  return poolsNamedIn(names.map((name) => files[name] ?? '').join('\n'));
}

const vectors =
  obstacle === null ? loadVectors().filter(({ name }) => GROUPS.some((group) => name.startsWith(group))) : [];

describe.skipIf(obstacle !== null)('rule sets of real programs', () => {
  let bench: KernelBench;
  beforeAll(async () => {
    bench = new KernelBench();
    await bench.listen();
  });
  afterAll(() => bench.close());

  it(`${vectors.length} rule sets of ${PACKETS} packets`, { timeout: 0x7fffffff }, async () => {
    const counts = { sets: 0, refused: 0, packets: 0, agrees: 0, forked: 0, unknown: 0 };
    const wrong: string[] = [];
    for (const [number, vector] of vectors.entries()) {
      const loaded = await bench.load(ruleSetOf(vector));
      if ('refused' in loaded) {
        counts.refused++;
        process.stderr.write(`${vector.name}: ${loaded.refused}\n`);
        continue;
      }
      counts.sets++;
      const netns = namespaceOf(loaded.files);
      const random = new Random(number);
      const pools = poolsOf(vector);
      const flows: Flow[] = Array.from({ length: PACKETS }, (_, at) => packet(random, number * PACKETS + at, pools));
      const seen = await bench.send(flows);
      for (const [at, flow] of flows.entries()) {
        const one = seen[at];
        if (one === undefined) continue;
        counts.packets++;
        let judgement = judge(netns, flow, one);
        if (judgement.kind === 'wrong') {
          // asked again, slowly, before it is believed
          const again = { ...flow, sport: flow.sport + 15_000 };
          const [slow] = await bench.send([again], true);
          if (slow !== undefined) judgement = judge(netns, again, slow);
        }
        if (judgement.kind === 'wrong') wrong.push(`${vector.name} ${JSON.stringify(flow)}\n${judgement.why}`);
        else counts[judgement.kind]++;
      }
    }
    process.stderr.write(`kernel: ${JSON.stringify({ ...counts, wrong: wrong.length })}\n`);
    expect(wrong.join('\n\n')).toBe('');
    expect(counts.refused).toBeLessThan(vectors.length * 0.1);
    expect(counts.unknown).toBeLessThan(counts.packets * 0.02 + 1);
  });
});
