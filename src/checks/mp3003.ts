import { isUnknown, type Evidence } from '../formats/evidence.js';
import type { Pod } from '../formats/kubernetes-types.js';
import { modeOf } from '../mesh/modes.js';
import { labelEvidence } from '../mesh/proxies.js';
import { atLeast } from '../mesh/release.js';
import type { Check, CheckContext } from './context.js';
import { Results } from './result.js';
import { keyOf, subjectOf } from './subjects.js';
import { servesHbone, truthy } from './tunnel.js';
import { workloadOf } from './ztunnel-facts.js';

const TUNNEL = 'networking.istio.io/tunnel';

/** Everybody is told that a sidecar pod takes HBONE, and its proxy does not listen for it. */
export const check: Check = {
  code: 'MP3003',
  title: 'HBONE is promised, but not served',
  severity: 'error',
  depth: 0,
  inputs: ['kubernetes/namespaces.json', 'kubernetes/pods.json', 'pods/*/*/envoy/*', 'pods/*/*/netns/*'],
  mayRead: [
    'kubernetes/configmaps.json',
    'kubernetes/daemonsets.apps.json',
    'kubernetes/deployments.apps.json',
    'nodes/*/netns/*',
    'pods/*/*/ztunnel/config_dump.json',
    'snapshot.json',
  ],
  run: (context) => {
    const { mesh, subjects } = context;
    const results = new Results();
    if (!clientSendsHbone(context)) return results.result();
    for (const pod of subjects.destinations) {
      if (modeOf(mesh, pod).mode !== 'sidecar') continue;
      const promise = promiseOf(context, pod);
      if (promise === null) continue;
      const serves = servesHbone(context, pod);
      if (serves.kind === 'unknown') results.open(serves.unknown);
      const envoy = context.envoy(pod);
      const unset =
        !isUnknown(envoy) && Object.keys(envoy.metadata).length > 0 && !truthy(envoy.metadata['ENABLE_HBONE']);
      if (serves.kind === 'unknown' || serves.value === null) continue;
      results.find({
        subject: subjectOf(pod),
        message: `Sidecar pod ${keyOf(pod)} is published as speaking HBONE, but ${serves.value.reason}${unset ? '; its proxy runs without ENABLE_HBONE' : ''}: ztunnels and waypoints that connect to its 15008 are refused.`,
        fix: `Restart the pod so that it is injected anew with ENABLE_HBONE (\`kubectl delete pod -n ${pod.namespace} ${pod.name}\`), or take the label ${TUNNEL} off its template.`,
        evidence: [
          promise,
          ...serves.value.evidence,
          ...(unset && !isUnknown(envoy) ? [{ file: envoy.file, text: 'node metadata without ENABLE_HBONE' }] : []),
        ],
        effect: { verdicts: ['refused', 'error', 'dropped'], at: [keyOf(pod)] },
      });
    }
    return results.result();
  },
};

/** Pods behind ztunnel and waypoints always; sidecars and gateways prefer Istio mTLS towards sidecars since 1.22. */
function clientSendsHbone(context: CheckContext): boolean {
  const { mesh, subjects, paths } = context;
  if (paths.some((path) => path.stops.some((stop) => stop.role === 'ztunnel' || stop.role === 'waypoint'))) return true;
  if (subjects.source === null) return false;
  const { mode } = modeOf(mesh, subjects.source);
  const release = mesh.release('istiod');
  return mode === 'ambient' || (mode === 'sidecar' && release !== null && !atLeast(release, 22));
}

function promiseOf(context: CheckContext, pod: Pod): Evidence | null {
  if ((pod.labels[TUNNEL] ?? '').split(',').includes('http')) return labelEvidence(pod, TUNNEL);
  const node = context.subjects.source?.node ?? null;
  const ztunnel = node === null ? undefined : context.mesh.ztunnelsOn(node)[0];
  const dump = ztunnel === undefined ? null : context.ztunnel(ztunnel);
  if (dump === null || isUnknown(dump)) return null;
  const workload = workloadOf(dump, pod);
  return workload?.protocol === 'HBONE' ? workload.evidence : null;
}
