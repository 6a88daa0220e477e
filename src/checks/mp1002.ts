import { isUnknown } from '../formats/evidence.js';
import type { Pod } from '../formats/kubernetes-types.js';
import { modeOf } from '../mesh/modes.js';
import type { Check, CheckContext } from './context.js';
import { known, unknown, type Known } from './known.js';
import { listenerOn, netnsOfPod, socketsIn } from './netns-facts.js';
import { inboundCapture, outboundCapture, redirectionOf } from './redirection.js';
import { listed, Results } from './result.js';
import { keyOf, subjectOf } from './subjects.js';

const PORTS = [15001, 15006, 15008] as const;

/** The pod's rules lead to ztunnel's ports, and nothing listens there (or ztunnel does not hold the pod). */
export const check: Check = {
  code: 'MP1002',
  title: 'Pod is redirected, but nobody listens',
  severity: 'error',
  depth: 1,
  inputs: [
    'kubernetes/configmaps.json',
    'kubernetes/namespaces.json',
    'kubernetes/pods.json',
    'nodes/*/netns/*',
    'pods/*/*/netns/*',
    'pods/*/*/ztunnel/config_dump.json',
  ],
  mayRead: ['kubernetes/daemonsets.apps.json', 'kubernetes/deployments.apps.json', 'snapshot.json'],
  run: (context) => {
    const { mesh, snapshot, subjects, question } = context;
    const results = new Results();
    for (const pod of subjects.pods) {
      if (modeOf(mesh, pod).mode !== 'ambient' || pod.node === null || pod.hostNetwork) continue;
      const node = redirectionOf(context, pod.node);
      if (node.kind === 'unknown') {
        results.open(node.unknown);
        continue;
      }
      if (node.value.mode === 'node') continue;
      const rules = redirects(context, pod, question.port ?? 80);
      if (rules.kind === 'unknown') results.open(rules.unknown);
      if (rules.kind === 'unknown' || !rules.value) continue;
      const sockets = socketsIn(snapshot, netnsOfPod(pod));
      if (sockets.kind === 'unknown') results.open(sockets.unknown);
      const closed = sockets.kind === 'known' ? PORTS.filter((port) => listenerOn(sockets.value, port) === null) : [];
      const forgotten = closed.length > 0 ? null : notHeld(context, pod);
      if (forgotten !== null && forgotten.kind === 'unknown') results.open(forgotten.unknown);
      if (closed.length === 0 && (forgotten === null || forgotten.kind === 'unknown' || forgotten.value === null))
        continue;
      const file = `${netnsOfPod(pod)}/sockets.txt`;
      const why =
        closed.length > 0
          ? `nothing in it listens on ${listed(closed.map(String))}`
          : `ztunnel ${forgotten?.kind === 'known' ? (forgotten.value?.ztunnel ?? '') : ''} does not hold it in its workloadState`;
      results.find({
        subject: subjectOf(pod),
        message: `The rules of pod ${keyOf(pod)} lead its TCP to ztunnel's ports, but ${why}: ${closed.includes(15006) || closed.includes(15008) ? 'what it sends and what is sent to it are refused' : 'what it sends is refused'}.`,
        fix: `See why the ztunnel of node ${pod.node} does not hold the pod (\`kubectl get pods -A -l app=ztunnel --field-selector spec.nodeName=${pod.node}\`, its log for the pod's uid ${pod.uid ?? ''}), restart it, or recreate the pod.`,
        evidence:
          closed.length > 0
            ? [{ file, text: `no LISTEN on ${closed.map(String).join(', ')}` }]
            : forgotten?.kind === 'known' && forgotten.value !== null
              ? [forgotten.value.evidence]
              : [],
        effect: { verdicts: ['refused', 'error', 'dropped'], at: [keyOf(pod)] },
      });
    }
    return results.result();
  },
};

/** Whether the pod's rules take what it sends or what is sent to it. */
function redirects(context: CheckContext, pod: Pod, port: number): Known<boolean> {
  const outbound = outboundCapture(context, pod);
  if (outbound.kind === 'known' && outbound.value.captured) return known(true);
  const inbound = inboundCapture(context, pod, port);
  if (inbound.kind === 'known' && inbound.value.captured) return known(true);
  if (outbound.kind === 'unknown') return outbound;
  return inbound.kind === 'unknown' ? inbound : known(false);
}

type NotHeld = {
  readonly ztunnel: string;
  readonly evidence: { readonly file: string; readonly pointer: string; readonly text: string };
};

/** 1.21+: ztunnel prints each pod that it holds under its uid; null: it holds this one, or does not print them. */
function notHeld(context: CheckContext, pod: Pod): Known<NotHeld | null> {
  const ztunnel = context.mesh.ztunnelsOn(pod.node ?? '')[0];
  if (ztunnel === undefined) return unknown(`ztunnel of node ${pod.node ?? ''}: kubernetes/pods.json`, 'none found');
  const dump = context.ztunnel(ztunnel);
  if (isUnknown(dump)) return { kind: 'unknown', unknown: dump };
  if (dump.pods === null || pod.uid === null || dump.pods.some((entry) => entry.uid === pod.uid)) return known(null);
  const evidence = { file: dump.file, pointer: '/workloadState', text: `no entry ${pod.uid} (${keyOf(pod)})` };
  return known({ ztunnel: keyOf(ztunnel), evidence });
}
