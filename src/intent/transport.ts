import type { Evidence, Unknown } from '../formats/evidence.js';
import type { Pod } from '../formats/kubernetes-types.js';
import { clientTlsOf } from '../mesh/destination-rules.js';
import type { Mesh } from '../mesh/model.js';
import { effectivePeerAuthentication } from '../mesh/peer-authentication.js';
import { labelEvidence } from '../mesh/proxies.js';
import { atLeast } from '../mesh/release.js';
import { captureOf, proxyMetadata, saysHbone } from './capture.js';
import type { Target } from './targets.js';

/** hbone: to 15008 · mtls: Istio's TLS to the port itself · tls: TLS that a DestinationRule asks for · plain: none. */
export type Transport =
  | { readonly by: 'hbone' | 'mtls' | 'tls' | 'plain'; readonly reason: string; readonly evidence: readonly Evidence[] }
  | { readonly by: 'unknown'; readonly reason: string; readonly unknown: Unknown };

/** What the endpoint is reached for, which the client's DestinationRule depends on. */
export interface Called {
  readonly host: string;
  readonly namespace: string;
  readonly port: number;
  readonly subset: string | null;
}

function unknown(fact: string, reason: string): Transport {
  return { by: 'unknown', reason, unknown: { fact, reason } };
}

/** Who takes HBONE on 15008 as clients are told: enrolled pods, waypoints, and pods whose label says so. */
function takesHbone(
  mesh: Mesh,
  pod: Pod,
): { readonly takes: boolean | null; readonly reason: string; readonly evidence: readonly Evidence[] } {
  if (saysHbone(pod)) {
    return {
      takes: true,
      reason: 'its label says that it takes HBONE',
      evidence: [labelEvidence(pod, 'networking.istio.io/tunnel')],
    };
  }
  const capture = captureOf(mesh, pod);
  if (capture.by === 'unknown') return { takes: null, reason: capture.reason, evidence: [] };
  const takes = capture.by === 'ztunnel' || capture.by === 'waypoint';
  return {
    takes,
    reason: takes ? `it is in the mesh: ${capture.reason}` : `no HBONE: ${capture.reason}`,
    evidence: capture.evidence,
  };
}

/** ztunnel and waypoints: HBONE where the server takes it, else plain text; never Istio's TLS to the port. */
export function tunnelTransport(mesh: Mesh, target: Target): Transport {
  const { pod } = target;
  if (pod === null)
    return { by: 'plain', reason: 'no workload of the mesh has this address', evidence: target.evidence };
  if (pod.hostNetwork) return { by: 'plain', reason: 'it shares the network of its node', evidence: [pod.evidence] };
  const { takes, reason, evidence } = takesHbone(mesh, pod);
  if (takes === null) return unknown(`enrolment of pod ${pod.namespace}/${pod.name}`, reason);
  return { by: takes ? 'hbone' : 'plain', reason, evidence };
}

/**
 * What a sidecar or gateway sends to one endpoint: by EDS (HBONE or not), then by DestinationRule and auto mTLS
 * (istio pilot/pkg/xds/endpoints/endpoint_builder.go:supportTunnel at 1.18.2, 1.21.0, 1.22.0, 1.25.1, 1.30.3).
 */
export function envoyTransport(mesh: Mesh, client: Pod, target: Target, called: Called): Transport {
  const { pod } = target;
  const release = mesh.release('istiod');
  const tls = clientTlsOf(mesh, client, called.host, called.namespace, called.port, called.subset);
  const rules = mesh.unknownOf('destinationRules', `DestinationRules for ${called.host}`);
  if (rules !== null) return unknown(rules.fact, rules.reason);
  const hbone =
    pod === null || pod.hostNetwork
      ? { takes: false, reason: 'it is no workload of the mesh', evidence: [] }
      : takesHbone(mesh, pod);
  if (hbone.takes === null) return unknown(`enrolment of pod ${pod?.namespace ?? ''}/${pod?.name ?? ''}`, hbone.reason);
  if (hbone.takes && release === null) {
    return unknown('release of istiod', 'releases differ in when a sidecar sends HBONE');
  }
  const labelled = pod?.labels['security.istio.io/tlsMode'] === 'istio';
  const authentication = pod === null ? null : effectivePeerAuthentication(mesh, pod, target.port);
  if (labelled && authentication?.mode === null) {
    const [first] = authentication.unknowns;
    return unknown(first?.fact ?? 'PeerAuthentications', authentication.reason);
  }
  const legacy = labelled && authentication?.mode !== 'DISABLE';
  if (hbone.takes && release !== null) {
    if (!atLeast(release, 22)) {
      if (proxyMetadata(mesh, client, 'ENABLE_HBONE') === 'true') return { ...hbone, by: 'hbone' };
    } else {
      // 1.22.0 to 1.25.0 test the effective mode, later ones the label alone
      const prefersTls = atLeast(release, 25, 1) ? labelled : tls.mode === null ? legacy : tls.mode === 'ISTIO_MUTUAL';
      const off = proxyMetadata(mesh, client, 'DISABLE_HBONE_SEND');
      if (!prefersTls && (off === null || off === '' || off === 'false')) return { ...hbone, by: 'hbone' };
    }
  }
  switch (tls.mode) {
    case null:
      break;
    case 'DISABLE':
      return { by: 'plain', reason: 'a DestinationRule turns TLS off', evidence: tls.evidence };
    case 'ISTIO_MUTUAL':
      return { by: 'mtls', reason: 'a DestinationRule asks for ISTIO_MUTUAL', evidence: tls.evidence };
    case 'SIMPLE':
    case 'MUTUAL':
      return { by: 'tls', reason: `a DestinationRule asks for ${tls.mode}`, evidence: tls.evidence };
    default:
      return unknown(`TLS mode ${tls.mode} of a DestinationRule for ${called.host}`, 'it is not known to this program');
  }
  if (legacy && pod !== null && mesh.config()?.config.enableAutoMtls !== false) {
    return {
      by: 'mtls',
      reason: 'auto mTLS: its label says that it has a sidecar',
      evidence: [labelEvidence(pod, 'security.istio.io/tlsMode')],
    };
  }
  return {
    by: 'plain',
    reason: 'no sidecar, not in ambient: plain text',
    evidence: pod === null ? target.evidence : [pod.evidence],
  };
}
