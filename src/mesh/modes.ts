import type { Evidence } from '../formats/evidence.js';
import type { Pod } from '../formats/kubernetes-types.js';
import { expectedEnrolment } from './enrolment.js';
import type { Mesh, Mode, ModeConflict, PodMode } from './model.js';
import { annotationEvidence, isZtunnel, labelEvidence, proxyContainer, type ProxyType } from './proxies.js';

const REDIRECTION = 'ambient.istio.io/redirection';
const SIDECAR_STATUS = 'sidecar.istio.io/status';
const MODE_LABEL = 'istio.io/dataplane-mode';
const MANAGED = 'gateway.istio.io/managed';
const WAYPOINT_CONTROLLER = 'istio.io-mesh-controller';

/**
 * What the mesh treats a pod as, and what decides it. The annotations decide, not the labels: istio-cni goes by
 * `sidecar.istio.io/status` alone (not by containers), and istiod publishes a pod as HBONE by
 * `ambient.istio.io/redirection` alone (istio 1.30.3 pilot/pkg/serviceregistry/ambient/workloads.go:setTunnelProtocol).
 */
export function modeOf(mesh: Mesh, pod: Pod): PodMode {
  const { unknowns, ...expected } = expectedEnrolment(mesh, pod);
  const redirection = pod.annotations[REDIRECTION] ?? null;
  const redirected = redirection === 'enabled' || redirection === 'pending';
  const proxy = proxyContainer(pod);
  const decided = decide(pod, proxy?.type ?? null, redirected);
  return {
    ...decided,
    redirection,
    expected,
    conflicts: conflictsOf(mesh, pod, decided.mode, expected, redirected, proxy?.type === 'sidecar'),
    unknowns,
  };
}

type Decision = Pick<PodMode, 'mode' | 'decidedBy' | 'reason'>;

function decide(pod: Pod, proxy: ProxyType | null, redirected: boolean): Decision {
  const by = (mode: Mode, reason: string, decidedBy: Evidence): Decision => ({ mode, reason, decidedBy });
  if (proxy === 'ztunnel') return by('ztunnel', 'its container runs ztunnel', containerEvidence(pod));
  if (isZtunnel(pod)) return by('ztunnel', 'it is a ztunnel by label or image', labelEvidence(pod, 'app'));
  const managed = pod.labels[MANAGED];
  if (proxy === 'waypoint') return by('waypoint', 'its proxy runs as waypoint', containerEvidence(pod));
  if (managed === WAYPOINT_CONTROLLER)
    return by('waypoint', 'istiod made it as a waypoint', labelEvidence(pod, MANAGED));
  if (managed !== undefined) return by('gateway', 'istiod made it as a gateway', labelEvidence(pod, MANAGED));
  // before the annotation: a gateway that the injector made carries sidecar.istio.io/status too
  if (proxy === 'router') return by('gateway', 'its proxy runs as gateway', containerEvidence(pod));
  if (pod.annotations[SIDECAR_STATUS] !== undefined) {
    return by('sidecar', 'a sidecar was injected', annotationEvidence(pod, SIDECAR_STATUS));
  }
  if (redirected) return by('ambient', 'istio-cni has enrolled it', annotationEvidence(pod, REDIRECTION));
  if (proxy === 'sidecar') return by('sidecar', 'its container runs a sidecar proxy', containerEvidence(pod));
  if (pod.hostNetwork) return by('hostNetwork', 'it shares the network of its node', pod.evidence);
  return by('plain', 'neither sidecar nor ambient', annotationEvidence(pod, REDIRECTION));
}

function containerEvidence(pod: Pod): Evidence {
  const proxy = proxyContainer(pod);
  if (proxy === null) return pod.evidence;
  const text = `${pod.evidence.text}: container ${proxy.container.name} runs proxy ${proxy.type}`;
  return { file: pod.evidence.file, pointer: `${pod.evidence.pointer ?? ''}/spec`, text };
}

function conflictsOf(
  mesh: Mesh,
  pod: Pod,
  mode: Mode,
  expected: PodMode['expected'],
  redirected: boolean,
  runsSidecar: boolean,
): PodMode['conflicts'] {
  const conflicts: { kind: ModeConflict; message: string; evidence: Evidence }[] = [];
  const add = (kind: ModeConflict, message: string, evidence: Evidence): void => {
    conflicts.push({ kind, message, evidence });
  };
  const status = pod.annotations[SIDECAR_STATUS] !== undefined;
  const redirection = annotationEvidence(pod, REDIRECTION);
  if (status && redirected) {
    add('sidecar-and-ambient', 'it has a sidecar and is redirected to ztunnel as well', redirection);
  }
  const asking = [pod, mesh.namespace(pod.namespace)].find((object) => object?.labels[MODE_LABEL] !== undefined);
  if (status && mode === 'sidecar' && asking?.labels[MODE_LABEL] === 'ambient') {
    add('sidecar-hides-label', 'its label asks for ambient, but the sidecar wins', labelEvidence(asking, MODE_LABEL));
  }
  if (!status && runsSidecar) {
    const message =
      'a sidecar runs in it, but istio-cni does not see it: the annotation sidecar.istio.io/status is missing';
    add('sidecar-without-status', message, annotationEvidence(pod, SIDECAR_STATUS));
  }
  if (status && !runsSidecar && mode === 'sidecar') {
    const message = 'it says that it has a sidecar, but no proxy runs in it: ambient stays off for nothing';
    add('status-without-sidecar', message, annotationEvidence(pod, SIDECAR_STATUS));
  }
  // a Pod that is on no node yet has nobody to enrol it
  if (expected.enrolled === true && !redirected && pod.node !== null) {
    add('not-redirected', `${expected.reason}, but istio-cni has not enrolled it`, redirection);
  }
  if (expected.enrolled === false && redirected && !status) {
    add('redirected-unasked', `it is redirected to ztunnel, though ${expected.reason}`, redirection);
  }
  if (pod.annotations[REDIRECTION] === 'pending') {
    add('pending', 'its rules redirect, but ztunnel has not taken it: istiod publishes it as plain TCP', redirection);
  }
  return conflicts;
}
