import { modeOf } from '../mesh/modes.js';
import { annotationEvidence } from '../mesh/proxies.js';
import type { Check } from './context.js';
import { inboundCapture, outboundCapture, redirectionOf } from './redirection.js';
import { listed, Results } from './result.js';
import { keyOf, subjectOf } from './subjects.js';

const REDIRECTION = 'ambient.istio.io/redirection';
const BYPASS = 'ambient.istio.io/bypass-inbound-capture';

/** Annotated as redirected, on a node that redirects in the pods, but the pod's rules do not take its TCP. */
export const check: Check = {
  code: 'MP1001',
  title: 'Pod is enrolled but not redirected',
  severity: 'error',
  depth: 0,
  inputs: [
    'kubernetes/configmaps.json',
    'kubernetes/namespaces.json',
    'kubernetes/pods.json',
    'nodes/*/netns/*',
    'pods/*/*/netns/*',
  ],
  mayRead: ['kubernetes/daemonsets.apps.json', 'kubernetes/deployments.apps.json', 'snapshot.json'],
  run: (context) => {
    const { mesh, subjects, question } = context;
    const results = new Results();
    for (const pod of subjects.pods) {
      const mode = modeOf(mesh, pod);
      if (mode.mode !== 'ambient' || mode.redirection !== 'enabled' || pod.node === null || pod.hostNetwork) continue;
      const node = redirectionOf(context, pod.node);
      if (node.kind === 'unknown') {
        results.open(node.unknown);
        continue;
      }
      if (node.value.mode === 'node') continue;
      const outbound = outboundCapture(context, pod);
      const inbound = pod.annotations[BYPASS] === 'true' ? null : inboundCapture(context, pod, question.port ?? 80);
      if (outbound.kind === 'unknown') results.open(outbound.unknown);
      if (inbound?.kind === 'unknown') results.open(inbound.unknown);
      const noOutbound = outbound.kind === 'known' && !outbound.value.captured;
      const noInbound = inbound?.kind === 'known' && !inbound.value.captured;
      if (!noOutbound && !noInbound) continue;
      const missing = [...(noOutbound ? ['out of it to 15001'] : []), ...(noInbound ? ['into it to 15006'] : [])];
      const effects = [
        ...(noOutbound ? ['what it sends leaves as plaintext without identity'] : []),
        ...(noInbound ? ['plaintext callers reach the app past ztunnel and its policies'] : []),
      ];
      results.find({
        subject: subjectOf(pod),
        message:
          `Pod ${keyOf(pod)} is annotated ${REDIRECTION}=enabled, so istiod tells everybody that it speaks HBONE, but no rule in the pod takes TCP ${listed(missing)}: ` +
          `${listed(effects)}; where the whole set of rules is gone, the app's answers to ztunnel are lost as well and HBONE callers hang.`,
        fix: `Recreate the pod: \`kubectl delete pod -n ${pod.namespace} ${pod.name}\`; or restart istio-cni on node ${pod.node}, which writes the rules again where AMBIENT_RECONCILE_POD_RULES_ON_STARTUP is on (default from 1.29).`,
        evidence: [
          annotationEvidence(pod, REDIRECTION),
          { file: `pods/${keyOf(pod)}/netns/iptables-save.txt`, text: `no rule takes TCP ${listed(missing)}` },
          ...(outbound.kind === 'known' ? outbound.value.evidence : []),
        ],
        effect: { verdicts: ['dropped', 'denied', 'refused', 'error'], at: [keyOf(pod)] },
      });
    }
    return results.result();
  },
};
