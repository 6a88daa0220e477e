import { modeOf } from '../mesh/modes.js';
import { effectivePeerAuthentication } from '../mesh/peer-authentication.js';
import type { Check } from './context.js';
import { arrivesPlain, targetPort } from './destination.js';
import { Results } from './result.js';
import { keyOf } from './subjects.js';

/** A sidecar sends HBONE only to endpoints that istiod gave it: headless Services and pod addresses have none. */
export const check: Check = {
  code: 'MP3002',
  title: 'Sidecar sends plaintext to a headless Service or a pod address',
  severity: 'warning',
  depth: 1,
  inputs: [
    'kubernetes/configmaps.json',
    'kubernetes/namespaces.json',
    'kubernetes/peerauthentications.security.istio.io.json',
    'kubernetes/pods.json',
  ],
  mayRead: ['kubernetes/daemonsets.apps.json', 'kubernetes/deployments.apps.json', 'snapshot.json'],
  run: (context) => {
    const { mesh, subjects, question, paths } = context;
    const results = new Results();
    const { source } = subjects;
    if (source === null || modeOf(mesh, source).mode !== 'sidecar') return results.result();
    const headless = question.service?.headless === true;
    if (!headless && question.service !== null) return results.result();
    if (!paths.some((path) => path.verdict !== 'unknown' && arrivesPlain(path))) return results.result();
    const inMesh = subjects.destinations.filter((pod) => ['ambient', 'sidecar'].includes(modeOf(mesh, pod).mode));
    const first = inMesh[0];
    if (first === undefined) return results.result();
    const port = targetPort(context, first);
    const peer = effectivePeerAuthentication(mesh, first, port ?? 0);
    for (const unknown of peer.unknowns) results.open(unknown);
    const strict = peer.mode === 'STRICT';
    const what = headless
      ? `headless Service ${question.service === null ? '' : keyOf(question.service)}`
      : `pod ${keyOf(first)} by its own address`;
    results.find({
      severity: strict ? 'error' : 'warning',
      subject:
        headless && question.service !== null
          ? { kind: 'Service', namespace: question.service.namespace, name: question.service.name }
          : { kind: 'Pod', namespace: first.namespace, name: first.name },
      message: `The sidecar of ${keyOf(source)} calls ${what}: it passes the connection through to the address without endpoints of istiod's, so without HBONE or mTLS: plaintext without identity.${strict ? ` STRICT refuses it (${peer.reason}).` : ''}`,
      fix: headless
        ? `Give the Service a clusterIP, or move the client ${keyOf(source)} to ambient.`
        : `Call the Service instead of the pod's address, or move the client ${keyOf(source)} to ambient.`,
      evidence: [...(question.service === null ? [first.evidence] : [question.service.evidence]), ...peer.evidence],
      effect: { verdicts: strict ? ['denied', 'error'] : ['denied'], at: inMesh.map(keyOf) },
    });
    return results.result();
  },
};
