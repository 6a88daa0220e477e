import { modeOf } from '../mesh/modes.js';
import { annotationEvidence, labelEvidence, proxyContainer } from '../mesh/proxies.js';
import type { Check } from './context.js';
import { Results } from './result.js';
import { keyOf, subjectOf } from './subjects.js';

const MODE = 'istio.io/dataplane-mode';
const STATUS = 'sidecar.istio.io/status';

/** The ambient label is in force and the pod has a sidecar: only one of them can be. */
export const check: Check = {
  code: 'MP1004',
  title: 'Both modes are claimed: ambient label and sidecar',
  severity: 'warning',
  depth: 1,
  inputs: ['kubernetes/namespaces.json', 'kubernetes/pods.json'],
  mayRead: [
    'kubernetes/configmaps.json',
    'kubernetes/daemonsets.apps.json',
    'kubernetes/deployments.apps.json',
    'snapshot.json',
  ],
  run: ({ mesh, subjects }) => {
    const results = new Results();
    for (const pod of subjects.pods) {
      const runsSidecar = proxyContainer(pod)?.type === 'sidecar';
      const hasStatus = pod.annotations[STATUS] !== undefined;
      if (!runsSidecar && !hasStatus) continue;
      const mode = modeOf(mesh, pod);
      if (mode.mode === 'gateway' || mode.mode === 'waypoint' || mode.mode === 'ztunnel') continue;
      const own = pod.labels[MODE];
      const namespace = mesh.namespace(pod.namespace);
      const open = mesh.unknownOf('namespaces', `labels of namespace ${pod.namespace}`);
      if (own === undefined && namespace === null) {
        results.open(open);
        continue;
      }
      const labelled =
        own === 'ambient' ? pod : own === undefined && namespace?.labels[MODE] === 'ambient' ? namespace : null;
      if (labelled === null) continue;
      const where = labelled === pod ? `pod ${keyOf(pod)}` : `namespace ${pod.namespace}`;
      const winner = hasStatus
        ? `the sidecar wins: annotation ${STATUS} keeps istio-cni from enrolling it`
        : `nothing tells istio-cni of the sidecar (annotation ${STATUS} is missing), so ztunnel captures the pod as well`;
      results.find({
        severity: hasStatus ? 'warning' : 'error',
        subject: subjectOf(pod),
        message: `The label ${MODE}=ambient of ${where} asks for ambient, and pod ${keyOf(pod)} has a sidecar: ${winner}. That is as it should be only while a restart is outstanding.`,
        fix: `Decide for one: take the ambient label off (\`kubectl label namespace ${pod.namespace} ${MODE}-\`), or end the injection for namespace ${pod.namespace} and restart the pod.`,
        evidence: [labelEvidence(labelled, MODE), hasStatus ? annotationEvidence(pod, STATUS) : pod.evidence],
        effect: hasStatus ? null : { verdicts: ['refused', 'dropped', 'error', 'denied'], at: [keyOf(pod)] },
      });
    }
    return results.result();
  },
};
