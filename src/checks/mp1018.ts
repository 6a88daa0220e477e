import { modeOf } from '../mesh/modes.js';
import { labelEvidence } from '../mesh/proxies.js';
import type { Check } from './context.js';
import { Results } from './result.js';
import { keyOf, subjectOf } from './subjects.js';

const MODE = 'istio.io/dataplane-mode';

/** One end of the way is in the mesh, the other is not: it is plaintext between them, without identity. */
export const check: Check = {
  code: 'MP1018',
  title: 'One end of the way is outside the mesh',
  severity: 'info',
  depth: 1,
  inputs: ['kubernetes/configmaps.json', 'kubernetes/namespaces.json', 'kubernetes/pods.json'],
  mayRead: ['kubernetes/daemonsets.apps.json', 'kubernetes/deployments.apps.json', 'snapshot.json'],
  run: ({ mesh, subjects, paths }) => {
    const results = new Results();
    const { source, destinations } = subjects;
    if (source === null) return results.result();
    const isIn = (mode: string): boolean => mode === 'ambient' || mode === 'sidecar';
    const from = modeOf(mesh, source);
    const inMesh = destinations.filter((pod) => isIn(modeOf(mesh, pod).mode));
    const plain = destinations.filter((pod) => modeOf(mesh, pod).mode === 'plain');
    const denied = paths.some((path) => path.verdict === 'denied');
    const outside = from.mode === 'plain' && inMesh.length > 0 ? [source] : isIn(from.mode) ? plain : [];
    for (const pod of outside) {
      const mode = modeOf(mesh, pod);
      const unenrolled = mode.conflicts.find((conflict) => conflict.kind === 'not-redirected');
      const namespace = mesh.namespace(pod.namespace);
      const isSource = pod === source;
      const why =
        unenrolled !== undefined
          ? `${unenrolled.message} (no annotation ambient.istio.io/redirection)`
          : `it has no sidecar, and neither it nor namespace ${pod.namespace} has the label ${MODE}=ambient (${mode.expected.reason})`;
      results.find({
        severity: unenrolled !== undefined ? 'error' : isSource && denied ? 'warning' : 'info',
        subject: subjectOf(pod),
        message: `Pod ${keyOf(pod)} is outside the mesh: ${why}. ${isSource ? 'What it sends is plaintext and carries no identity, so policies that ask for one refuse it, and no waypoint sees it' : 'What is sent to it is plaintext'}.`,
        fix:
          unenrolled !== undefined
            ? `See why istio-cni on node ${pod.node ?? '?'} did not enrol it (its log names the pod), then recreate the pod: \`kubectl delete pod -n ${pod.namespace} ${pod.name}\`.`
            : `If it is meant to be in the mesh, label its namespace: \`kubectl label namespace ${pod.namespace} ${MODE}=ambient\`.`,
        evidence: [
          ...(namespace === null ? [] : [labelEvidence(namespace, MODE)]),
          mode.decidedBy,
          ...(unenrolled === undefined ? [] : mode.expected.evidence),
        ],
        effect: isSource ? { verdicts: ['denied'], at: paths.flatMap((path) => path.stops.map(keyOf)) } : null,
      });
    }
    return results.result();
  },
};
