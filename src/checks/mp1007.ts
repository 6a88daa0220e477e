import type { Evidence } from '../formats/evidence.js';
import type { Check, CheckContext } from './context.js';
import { chainsNamed, netnsOfNode, netnsOfPod, nftTablesIn, otherRulesIn, rulesIn } from './netns-facts.js';
import { Results } from './result.js';
import { keyOf } from './subjects.js';

const ISTIO_CHAINS = /^(ISTIO_|ztunnel-)/;

/** Rules of Istio in both iptables back-ends, or in one of them and in native nftables. */
export const check: Check = {
  code: 'MP1007',
  title: 'Two iptables back-ends hold rules of Istio',
  severity: 'warning',
  depth: 0,
  inputs: ['kubernetes/pods.json', 'nodes/*/netns/*', 'pods/*/*/netns/*'],
  run: (context) => {
    const results = new Results();
    for (const node of context.subjects.nodes) {
      judge(
        context,
        results,
        netnsOfNode(node),
        { kind: 'Node', namespace: null, name: node },
        `node ${node}`,
        `node/${node}`,
      );
    }
    for (const pod of context.subjects.pods) {
      if (pod.hostNetwork) continue;
      const subject = { kind: 'Pod', namespace: pod.namespace, name: pod.name };
      judge(context, results, netnsOfPod(pod), subject, `pod ${keyOf(pod)}`, keyOf(pod));
    }
    return results.result();
  },
};

function judge(
  context: CheckContext,
  results: Results,
  folder: string,
  subject: { readonly kind: string; readonly namespace: string | null; readonly name: string },
  name: string,
  place: string,
): void {
  const other = otherRulesIn(context.snapshot, folder);
  const tables = nftTablesIn(context.snapshot, folder).filter((table) => /^istio-(ambient|proxy)-/.test(table.name));
  if (other === null && tables.length === 0) return;
  const rules = rulesIn(context.snapshot, folder);
  if (rules.kind === 'unknown') {
    results.open(rules.unknown);
    return;
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
  if (holding.length < 2) return;
  results.find({
    subject,
    message: `The rules of ${name} stand in ${holding.map((side) => side.name).join(' and in ')}: the kernel runs both, so a packet may be redirected or translated twice, and a tool that reads one of them sees half.`,
    fix:
      subject.kind === 'Node'
        ? `Drain and reboot node ${subject.name} (\`kubectl drain ${subject.name} --ignore-daemonsets\`), and pin the back-end of istio-cni.`
        : `Recreate the pod: \`kubectl delete pod -n ${subject.namespace ?? ''} ${subject.name}\`.`,
    evidence: holding.flatMap((side) => (side.evidence === undefined ? [] : [side.evidence])),
    effect: { verdicts: ['dropped', 'refused'], at: [place] },
  });
}
