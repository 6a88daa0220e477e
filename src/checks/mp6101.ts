import { isUnknown, type Evidence } from '../formats/evidence.js';
import type { Pod } from '../formats/kubernetes-types.js';
import type { ZtunnelDump } from '../formats/ztunnel-types.js';
import { modeOf } from '../mesh/modes.js';
import { annotationEvidence } from '../mesh/proxies.js';
import type { Check, CheckContext } from './context.js';
import { Results } from './result.js';
import { keyOf, subjectOf } from './subjects.js';
import { workloadOf } from './ztunnel-facts.js';

const REDIRECTION = 'ambient.istio.io/redirection';
const TUNNEL = 'networking.istio.io/tunnel';

/** A ztunnel of the way does not know a pod of the way, or knows it otherwise than the API has it. */
export const check: Check = {
  code: 'MP6101',
  title: 'Workload is missing or stale in a ztunnel',
  severity: 'error',
  depth: 0,
  inputs: ['pods/*/*/ztunnel/config_dump.json'],
  mayRead: [
    'kubernetes/configmaps.json',
    'kubernetes/daemonsets.apps.json',
    'kubernetes/deployments.apps.json',
    'nodes/*/netns/*',
    'pods/*/*/netns/*',
    'snapshot.json',
  ],
  run: (context) => {
    const { mesh, subjects } = context;
    const results = new Results();
    const ambient = subjects.pods.filter((pod) => modeOf(mesh, pod).mode === 'ambient');
    for (const node of new Set(ambient.flatMap((pod) => (pod.node === null ? [] : [pod.node])))) {
      const ztunnel = mesh.ztunnelsOn(node)[0];
      if (ztunnel === undefined) continue;
      const dump = context.ztunnel(ztunnel);
      if (isUnknown(dump)) {
        results.open(dump);
        continue;
      }
      if (dump.gaps.workloads !== null) {
        results.open(dump.gaps.workloads);
        continue;
      }
      // On-demand ztunnels hold what they were asked for, no more.
      if (dump.config.onDemand) continue;
      for (const pod of seenBy(context, node)) judge(results, pod, ztunnel, node, dump);
    }
    return results.result();
  },
};

/** The pods that the ztunnel of a node must know: its own ambient ones, and whom these call. */
function seenBy({ mesh, subjects }: CheckContext, node: string): readonly Pod[] {
  const { source, destinations } = subjects;
  const own = destinations.filter((pod) => pod.node === node && modeOf(mesh, pod).mode === 'ambient');
  const calls =
    source !== null && source.node === node && modeOf(mesh, source).mode === 'ambient' ? [source, ...destinations] : [];
  const all = new Map(
    [...own, ...calls].filter((pod) => !pod.hostNetwork && pod.phase === 'Running').map((pod) => [keyOf(pod), pod]),
  );
  return [...all.values()];
}

function judge(results: Results, pod: Pod, ztunnel: Pod, node: string, dump: ZtunnelDump): void {
  const held = workloadOf(dump, pod);
  const listed = dump.workloads.find((entry) => entry.name === pod.name && entry.namespace === pod.namespace);
  const speaks = pod.annotations[REDIRECTION] === 'enabled' || (pod.labels[TUNNEL] ?? '').split(',').includes('http');
  const fault = faultOf(pod, held, listed?.ips ?? null, speaks);
  if (fault === null) return;
  results.find({
    subject: subjectOf(pod),
    message: `ztunnel ${keyOf(ztunnel)} of node ${node} ${fault.text}: what the API says of pod ${keyOf(pod)} has not reached it.`,
    fix: `Restart that ztunnel (\`kubectl delete pod -n ${ztunnel.namespace} ${ztunnel.name}\`; it interrupts the node's mesh traffic for seconds) and look at istiod's log for it.`,
    evidence: [
      fault.evidence ?? { file: dump.file, text: `no workload ${keyOf(pod)}` },
      annotationEvidence(pod, REDIRECTION),
    ],
    effect: { verdicts: ['error', 'refused', 'dropped', 'denied'], at: [keyOf(pod), `node/${node}`] },
  });
}

function faultOf(
  pod: Pod,
  held: ReturnType<typeof workloadOf>,
  ips: readonly string[] | null,
  speaks: boolean,
): { readonly text: string; readonly evidence: Evidence | null } | null {
  if (held === null) return { text: `does not know pod ${keyOf(pod)}`, evidence: null };
  if (ips !== null && !pod.ips.some((ip) => ips.includes(ip))) {
    return {
      text: `knows pod ${keyOf(pod)} by ${ips.join(', ')}, and it has ${pod.ips.join(', ')}`,
      evidence: held.evidence,
    };
  }
  if (speaks && held.protocol === 'TCP')
    return { text: `takes pod ${keyOf(pod)} for one without HBONE`, evidence: held.evidence };
  if (!speaks && held.protocol === 'HBONE')
    return { text: `takes pod ${keyOf(pod)} for one that speaks HBONE`, evidence: held.evidence };
  return null;
}
