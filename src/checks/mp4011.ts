import { modeOf } from '../mesh/modes.js';
import { atLeast } from '../mesh/release.js';
import { waypointOfPod } from '../mesh/waypoints.js';
import type { Check } from './context.js';
import { Results } from './result.js';
import { keyOf } from './subjects.js';

/**
 * 1.18 to 1.21: the destination's ztunnel sends what arrives as plaintext to the waypoint with the client's identity, for
 * which it gets no certificate.
 */
export const check: Check = {
  code: 'MP4011',
  title: 'Client outside the mesh cannot reach a workload behind a waypoint',
  severity: 'error',
  depth: 0,
  inputs: [
    'kubernetes/configmaps.json',
    'kubernetes/gateways.gateway.networking.k8s.io.json',
    'kubernetes/namespaces.json',
    'kubernetes/pods.json',
    'kubernetes/services.json',
  ],
  mayRead: ['kubernetes/daemonsets.apps.json', 'kubernetes/deployments.apps.json', 'snapshot.json'],
  run: ({ mesh, subjects, paths }) => {
    const results = new Results();
    const release = mesh.release('ztunnel') ?? mesh.release('istiod');
    const { source } = subjects;
    if (source === null || release === null || atLeast(release, 22)) return results.result();
    if (modeOf(mesh, source).mode !== 'plain' || !paths.some((path) => path.verdict === 'error'))
      return results.result();
    for (const pod of subjects.destinations) {
      if (modeOf(mesh, pod).mode !== 'ambient') continue;
      const binding = waypointOfPod(mesh, pod);
      for (const unknown of binding.unknowns) results.open(unknown);
      if (binding.state !== 'ready' || binding.requested === null) continue;
      results.find({
        subject: { kind: 'Pod', namespace: source.namespace, name: source.name },
        message: `Pod ${keyOf(source)} is outside the mesh and calls ${keyOf(pod)}, which is behind waypoint ${keyOf(binding.requested)}: the destination's ztunnel ${release.text} takes the connection to the waypoint in the client's name, istiod refuses it that certificate, and the connection is reset.`,
        fix: `Enrol the client (\`kubectl label namespace ${source.namespace} istio.io/dataplane-mode=ambient\`), or upgrade: since 1.22 such clients go straight to the pod.`,
        evidence: [...binding.evidence, modeOf(mesh, source).decidedBy],
        effect: { verdicts: ['error'], at: [keyOf(pod), ...(pod.node === null ? [] : [`node/${pod.node}`])] },
      });
      break;
    }
    return results.result();
  },
};
