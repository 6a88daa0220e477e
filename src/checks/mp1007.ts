import type { Evidence } from '../formats/evidence.js';
import type { Check, CheckContext } from './context.js';
import { chainsNamed, netnsOfNode, netnsOfPod, nftTablesIn, otherRulesIn, rulesIn } from './netns-facts.js';
import { listed, Results } from './result.js';
import { keyOf } from './subjects.js';

const ISTIO_CHAINS = /^(ISTIO_|ztunnel-)/;

/** Rules of Istio in both iptables back-ends, or in one of them and in native nftables. */
export const check: Check = {
  code: 'MP1007',
  title: 'Two iptables back-ends hold rules of Istio',
  severity: 'warning',
  // It seldom breaks anything by itself: what does is told first.
  depth: 2,
  inputs: ['kubernetes/pods.json', 'nodes/*/netns/*', 'pods/*/*/netns/*'],
  run: (context) => {
    const results = new Results();
    const nodes = context.subjects.nodes.map((node) =>
      judge(context, results, netnsOfNode(node), `node ${node}`, `node/${node}`),
    );
    const pods = context.subjects.pods
      .filter((pod) => !pod.hostNetwork)
      .map((pod) => judge(context, results, netnsOfPod(pod), `pod ${keyOf(pod)}`, keyOf(pod)));
    // One story, however many places it is told of: a change of back-end leaves its mark on all of them.
    const doubled = [...nodes, ...pods].filter((one) => one !== null);
    const [first] = doubled;
    if (first === undefined) return results.result();
    const isNode = first.place.startsWith('node/');
    const [namespace, name] = isNode
      ? [null, first.place.slice('node/'.length)]
      : [first.place.split('/')[0] ?? null, first.place.split('/')[1] ?? ''];
    results.find({
      subject: { kind: isNode ? 'Node' : 'Pod', namespace, name },
      message: `The rules of Istio for ${listed(doubled.map((one) => one.name))} stand in ${listed(first.sides)}: the kernel runs both, so a packet may be redirected or translated twice, and a tool that reads one of them sees half.`,
      fix: isNode
        ? `Drain and reboot ${doubled.length === 1 ? 'the node' : 'the nodes'} (\`kubectl drain ${name} --ignore-daemonsets\`), and pin the back-end of istio-cni.`
        : `Recreate the pod: \`kubectl delete pod -n ${namespace ?? ''} ${name}\`.`,
      evidence: doubled.flatMap((one) => one.evidence),
      effect: { verdicts: ['dropped', 'refused'], at: doubled.map((one) => one.place) },
    });
    return results.result();
  },
};

interface Doubled {
  readonly name: string;
  readonly place: string;
  readonly sides: readonly string[];
  readonly evidence: readonly Evidence[];
}

/** The back-ends of one namespace that hold rules of Istio, where it is more than one. */
function judge(context: CheckContext, results: Results, folder: string, name: string, place: string): Doubled | null {
  const other = otherRulesIn(context.snapshot, folder);
  const tables = nftTablesIn(context.snapshot, folder).filter((table) => /^istio-(ambient|proxy)-/.test(table.name));
  if (other === null && tables.length === 0) return null;
  const rules = rulesIn(context.snapshot, folder);
  if (rules.kind === 'unknown') {
    results.open(rules.unknown);
    return null;
  }
  const sides: readonly { readonly name: string; readonly evidence: Evidence | undefined }[] = [
    {
      name: rules.value.backend === 'legacy' ? 'iptables-legacy' : 'iptables',
      evidence: chainsNamed(rules.value, ISTIO_CHAINS)[0]?.evidence,
    },
    {
      name: 'the other iptables back-end',
      evidence: other === null ? undefined : chainsNamed(other, ISTIO_CHAINS)[0]?.evidence,
    },
    { name: 'native nftables', evidence: tables[0]?.evidence },
  ];
  const holding = sides.filter((side) => side.evidence !== undefined);
  if (holding.length < 2) return null;
  return {
    name,
    place,
    sides: holding.map((side) => side.name),
    evidence: holding.flatMap((side) => (side.evidence === undefined ? [] : [side.evidence])),
  };
}
