import type { Evidence } from '../formats/evidence.js';
import { modeOf } from '../mesh/modes.js';
import { annotationEvidence } from '../mesh/proxies.js';
import type { Check, CheckContext } from './context.js';
import type { Pod } from '../formats/kubernetes-types.js';
import { chainsNamed, netnsOfPod, nftTablesIn, otherRulesIn, rulesIn } from './netns-facts.js';
import { Results } from './result.js';
import { keyOf, subjectOf } from './subjects.js';

const REDIRECTION = 'ambient.istio.io/redirection';

/** A pod whose own proxy handles its traffic is captured by ztunnel as well. */
export const check: Check = {
  code: 'MP1005',
  title: 'Pod with its own proxy is captured as well',
  severity: 'warning',
  depth: 0,
  inputs: ['pods/*/*/netns/*'],
  mayRead: [
    'kubernetes/configmaps.json',
    'kubernetes/daemonsets.apps.json',
    'kubernetes/deployments.apps.json',
    'nodes/*/netns/*',
    'snapshot.json',
  ],
  run: (context) => {
    const { mesh, subjects } = context;
    const results = new Results();
    for (const pod of subjects.pods) {
      if (pod.hostNetwork) continue;
      const { mode } = modeOf(mesh, pod);
      const proxy = mode === 'gateway' || mode === 'waypoint';
      const redirected = pod.annotations[REDIRECTION] === 'enabled';
      const both = bothCaptures(context, pod);
      if (!(proxy && redirected) && both.length === 0) continue;
      results.find({
        subject: subjectOf(pod),
        message:
          both.length > 0
            ? `Pod ${keyOf(pod)} holds the rules of a sidecar and those of ambient: its traffic is redirected to two proxies, and which one gets it depends on the order of the rules.`
            : `Pod ${keyOf(pod)} is a ${mode}, and annotated ${REDIRECTION}=enabled: what its proxy sends and takes goes through ztunnel as well ("http status 400", or a second encryption).`,
        fix: `Label its template istio.io/dataplane-mode=none, then recreate it: \`kubectl delete pod -n ${pod.namespace} ${pod.name}\`.`,
        evidence: [...both, ...(redirected ? [annotationEvidence(pod, REDIRECTION)] : [])],
        effect: { verdicts: ['error', 'refused', 'dropped', 'denied'], at: [keyOf(pod)] },
      });
    }
    return results.result();
  },
};

/** One line of each capture, where a pod's namespace holds both. */
function bothCaptures(context: CheckContext, pod: Pod): readonly Evidence[] {
  const folder = netnsOfPod(pod);
  const rules = rulesIn(context.snapshot, folder);
  const other = otherRulesIn(context.snapshot, folder);
  const saves = [...(rules.kind === 'known' ? [rules.value] : []), ...(other === null ? [] : [other])];
  const tables = nftTablesIn(context.snapshot, folder);
  const sidecar = [
    ...saves.flatMap((save) => chainsNamed(save, /^ISTIO_(IN_)?REDIRECT$/)).map((entry) => entry.evidence),
    ...tables.filter((table) => table.name.startsWith('istio-proxy-')).map((table) => table.evidence),
  ];
  const ambient = [
    ...saves.flatMap((save) => chainsNamed(save, /^ISTIO_PRERT$/)).map((entry) => entry.evidence),
    ...tables.filter((table) => table.name.startsWith('istio-ambient-')).map((table) => table.evidence),
  ];
  const [a] = sidecar;
  const [b] = ambient;
  return a === undefined || b === undefined ? [] : [a, b];
}
