import { isUnknown } from '../formats/evidence.js';
import { modeOf } from '../mesh/modes.js';
import { effectivePeerAuthentication } from '../mesh/peer-authentication.js';
import { labelEvidence } from '../mesh/proxies.js';
import type { Check } from './context.js';
import { arrivesPlain, targetPort } from './destination.js';
import { Results } from './result.js';
import { keyOf, subjectOf } from './subjects.js';
import { truthy } from './tunnel.js';
import { workloadOf } from './ztunnel-facts.js';

const TUNNEL = 'networking.istio.io/tunnel';

/** A sidecar that does not listen for HBONE: ztunnel and waypoints have only plaintext for it. */
export const check: Check = {
  code: 'MP3008',
  title: 'Sidecar without HBONE is reached in plaintext',
  severity: 'warning',
  depth: 0,
  inputs: [
    'kubernetes/configmaps.json',
    'kubernetes/namespaces.json',
    'kubernetes/peerauthentications.security.istio.io.json',
    'kubernetes/pods.json',
    'pods/*/*/envoy/*',
    'pods/*/*/ztunnel/config_dump.json',
  ],
  mayRead: ['kubernetes/daemonsets.apps.json', 'kubernetes/deployments.apps.json', 'snapshot.json'],
  run: (context) => {
    const { mesh, subjects, paths } = context;
    const results = new Results();
    const before = paths.filter(
      (path) =>
        path.verdict !== 'unknown' &&
        arrivesPlain(path) &&
        path.stops.some((stop) => stop.role === 'ztunnel' || stop.role === 'waypoint'),
    );
    if (before.length === 0) return results.result();
    for (const pod of subjects.destinations) {
      if (modeOf(mesh, pod).mode !== 'sidecar' || (pod.labels[TUNNEL] ?? '').split(',').includes('http')) continue;
      const node = subjects.source?.node ?? null;
      const ztunnel = node === null ? undefined : mesh.ztunnelsOn(node)[0];
      const dump = ztunnel === undefined ? null : context.ztunnel(ztunnel);
      const held = dump === null || isUnknown(dump) ? null : workloadOf(dump, pod);
      if (held?.protocol === 'HBONE') continue;
      const peer = effectivePeerAuthentication(mesh, pod, targetPort(context, pod) ?? 0);
      for (const unknown of peer.unknowns) results.open(unknown);
      const strict = peer.mode === 'STRICT';
      const envoy = context.envoy(pod);
      const unset = !isUnknown(envoy) && !truthy(envoy.metadata['ENABLE_HBONE']);
      results.find({
        severity: strict ? 'error' : 'warning',
        subject: subjectOf(pod),
        message: `The sidecar of ${keyOf(pod)} runs without HBONE${unset ? ' (ENABLE_HBONE is not set for its proxy)' : ''}, and its pod has no label ${TUNNEL}=http, so ztunnel sends to it in plaintext to the app's port, where the sidecar takes it on 15006 without the caller's identity.${strict ? ` STRICT refuses that (${peer.reason}).` : ' Under STRICT it would be refused.'}`,
        fix: `Set ISTIO_META_ENABLE_HBONE=true in the mesh's proxyMetadata (the ambient profile does) and restart the pod so that it is injected anew: \`kubectl delete pod -n ${pod.namespace} ${pod.name}\`.`,
        evidence: [
          labelEvidence(pod, TUNNEL),
          ...(held === null ? [] : [held.evidence]),
          ...(unset && !isUnknown(envoy) ? [{ file: envoy.file, text: 'node metadata without ENABLE_HBONE' }] : []),
          ...peer.evidence,
        ],
        effect: strict ? { verdicts: ['denied', 'error', 'refused'], at: [keyOf(pod)] } : null,
      });
    }
    return results.result();
  },
};
