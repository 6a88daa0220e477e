import { isUnknown, type Evidence, type Unknown } from '../formats/evidence.js';
import { canonicalIp, formatIp, splitHostPort } from '../formats/ip.js';
import type { Pod } from '../formats/kubernetes-types.js';
import type { Envoy, EnvoyEndpoint } from '../envoy/face.js';
import { modeOf } from '../mesh/modes.js';
import { effectivePeerAuthentication } from '../mesh/peer-authentication.js';
import { annotationEvidence, labelEvidence } from '../mesh/proxies.js';
import { atLeast } from '../mesh/release.js';
import type { CheckContext } from './context.js';
import { istiodEvidence, istiodFlag } from './control-plane.js';
import { destinationRuleTls } from './destination-rules.js';
import { known, type Known } from './known.js';
import { ipRoutesIn, listenerOn, netnsOfNode, netnsOfPod, socketsIn } from './netns-facts.js';
import { redirectionOf } from './redirection.js';
import { keyOf } from './subjects.js';

const REDIRECTION = 'ambient.istio.io/redirection';
const TUNNEL = 'networking.istio.io/tunnel';
const MANAGED = 'gateway.istio.io/managed';
const TLS_MODE = 'security.istio.io/tlsMode';

/** An Envoy on the way that opens connections to the destination: the source's sidecar, a gateway, a waypoint. */
export interface Client {
  readonly pod: Pod;
  readonly envoy: Envoy;
  readonly kind: 'sidecar' | 'gateway' | 'waypoint';
}

/** The clients of this trace; an Envoy that is needed and was not read goes to `open`. */
export function clientsOf(context: CheckContext, open: (unknown: Unknown) => void): readonly Client[] {
  const { mesh, subjects } = context;
  const clients: Client[] = [];
  for (const pod of [...(subjects.source === null ? [] : [subjects.source]), ...subjects.proxies]) {
    const kind = modeOf(mesh, pod).mode;
    if (kind !== 'sidecar' && kind !== 'gateway' && kind !== 'waypoint') continue;
    const envoy = context.envoy(pod);
    if (isUnknown(envoy)) open(envoy);
    else clients.push({ pod, envoy, kind });
  }
  return clients;
}

/** One endpoint of a destination pod in a client's Envoy. */
export interface ClientEndpoint {
  readonly cluster: string;
  readonly pod: Pod;
  readonly endpoint: EnvoyEndpoint;
}

/** The endpoints that a client's Envoy holds of the destination pods, one a pod: of the asked host and port if it has any. */
export function endpointsOf(context: CheckContext, client: Client): readonly ClientEndpoint[] {
  const byIp = new Map<string, Pod>();
  for (const pod of context.subjects.destinations) for (const ip of pod.ips) byIp.set(canonicalIp(ip) ?? ip, pod);
  const wanted = client.envoy.clusters.filter((name) =>
    name.startsWith(client.kind === 'waypoint' ? 'inbound-vip|' : 'outbound|'),
  );
  const { host, port } = context.question;
  const own = wanted.filter(
    (name) => host !== null && name.endsWith(`|${host}`) && name.split('|')[1] === String(port),
  );
  for (const clusters of [own, wanted]) {
    const found = new Map<string, ClientEndpoint>();
    for (const cluster of clusters) {
      for (const endpoint of client.envoy.endpoints(cluster)) {
        const ip = podAddressOf(endpoint);
        const pod = ip === null ? undefined : byIp.get(ip);
        if (pod !== undefined && !found.has(keyOf(pod))) found.set(keyOf(pod), { cluster, pod, endpoint });
      }
    }
    if (found.size > 0) return [...found.values()];
  }
  return [];
}

/** The pod that an endpoint stands for: a tunnel to a service waypoint stands for none. */
function podAddressOf(endpoint: EnvoyEndpoint): string | null {
  const address =
    endpoint.addressType === 'envoy_internal_address'
      ? (endpoint.tunnel?.destination ?? endpoint.address)
      : endpoint.address;
  const target = splitHostPort(address);
  return target === null ? null : (canonicalIp(target.host) ?? target.host);
}

interface Expectation {
  readonly tunnel: boolean;
  readonly reason: string;
  readonly evidence: readonly Evidence[];
}

/**
 * Whether istiod of this release gives a client a tunnel endpoint for a pod, from today's objects
 * (istio pilot/pkg/xds/endpoint_builder.go up to 1.19, pilot/pkg/xds/endpoints/endpoint_builder.go since 1.20).
 */
export function tunnelExpected(
  context: CheckContext,
  client: Client,
  { pod, cluster }: ClientEndpoint,
): Known<Expectation> {
  const { mesh } = context;
  const open = mesh.unknownOf('pods', `labels and annotations of pod ${keyOf(pod)}`, pod.namespace);
  if (open !== null) return { kind: 'unknown', unknown: open };
  const release = mesh.release('istiod');
  if (release === null)
    return { kind: 'unknown', unknown: { fact: 'release of istiod', reason: 'it decides the form of endpoints' } };
  const speaks = speaksHbone(pod);
  if (speaks === null) {
    const reason = `pod ${keyOf(pod)} is neither redirected nor labelled ${TUNNEL}=http`;
    return known({ tunnel: false, reason, evidence: [annotationEvidence(pod, REDIRECTION)] });
  }
  if (!atLeast(release, 22)) return senderEnabled(context, client, speaks);
  if (
    client.envoy.metadata['DISABLE_HBONE_SEND'] !== undefined &&
    truthy(client.envoy.metadata['DISABLE_HBONE_SEND'])
  ) {
    const evidence = { file: client.envoy.file, text: 'node metadata DISABLE_HBONE_SEND' };
    return known({
      tunnel: false,
      reason: 'DISABLE_HBONE_SEND forbids the client to send HBONE',
      evidence: [evidence],
    });
  }
  if (cluster.startsWith('inbound-vip|') && atLeast(release, 23)) return known(speaks);
  const prefer = istiodFlag(mesh, 'PILOT_PREFER_SENDING_HBONE');
  if (prefer.kind === 'unknown') return prefer;
  if (prefer.value === 'true') return known(speaks);
  const legacy = atLeast(release, 25, 1) ? known(labelledTls(pod)) : computedTls(context, client, pod, cluster);
  if (legacy.kind === 'unknown') return legacy;
  return known(legacy.value ?? speaks);
}

/** `T` of the catalogue: a waypoint, a pod with the tunnel label, a redirected pod. */
function speaksHbone(pod: Pod): Expectation | null {
  if (pod.labels[MANAGED] === 'istio.io-mesh-controller') {
    return { tunnel: true, reason: 'it is a waypoint', evidence: [labelEvidence(pod, MANAGED)] };
  }
  if ((pod.labels[TUNNEL] ?? '').split(',').includes('http')) {
    return {
      tunnel: true,
      reason: `its label ${TUNNEL}=http says that it speaks HBONE`,
      evidence: [labelEvidence(pod, TUNNEL)],
    };
  }
  if (pod.annotations[REDIRECTION] === 'enabled') {
    return {
      tunnel: true,
      reason: `its annotation ${REDIRECTION}=enabled says that ztunnel speaks HBONE for it`,
      evidence: [annotationEvidence(pod, REDIRECTION)],
    };
  }
  return null;
}

/** Up to 1.21: waypoints always send HBONE, other clients by istiod's flag and their own metadata. */
function senderEnabled(context: CheckContext, client: Client, speaks: Expectation): Known<Expectation> {
  if (client.kind === 'waypoint') return known(speaks);
  if (!truthy(client.envoy.metadata['ENABLE_HBONE'])) {
    const evidence = { file: client.envoy.file, text: 'node metadata without ENABLE_HBONE' };
    return known({
      tunnel: false,
      reason: `the proxy of ${keyOf(client.pod)} runs without ENABLE_HBONE`,
      evidence: [evidence],
    });
  }
  const flag = istiodFlag(context.mesh, 'PILOT_ENABLE_HBONE');
  if (flag.kind === 'unknown') return flag;
  if (flag.value === 'true') return known(speaks);
  const evidence = [istiodEvidence(context.mesh, 'PILOT_ENABLE_HBONE', flag.value)];
  return known({ tunnel: false, reason: 'istiod runs without PILOT_ENABLE_HBONE', evidence });
}

/** 1.25.1 and later: the label alone. */
function labelledTls(pod: Pod): Expectation | null {
  if (pod.labels[TLS_MODE] !== 'istio') return null;
  return {
    tunnel: false,
    reason: `its label ${TLS_MODE}=istio prefers Istio mTLS`,
    evidence: [labelEvidence(pod, TLS_MODE)],
  };
}

/** 1.22.0 to 1.25.0: the DestinationRule where it sets a mode, else label and PeerAuthentication. */
function computedTls(context: CheckContext, client: Client, pod: Pod, cluster: string): Known<Expectation | null> {
  const { mesh } = context;
  const [, portText, , host] = cluster.split('|');
  const port = Number(portText);
  const service = (host ?? '').split('.');
  const tls = destinationRuleTls(mesh, client.pod, host ?? '', service[1] ?? pod.namespace, port);
  if (tls.kind === 'unknown') return tls;
  if (tls.value !== null) {
    if (tls.value.mode !== 'ISTIO_MUTUAL') return known(null);
    const reason = `DestinationRule ${tls.value.rule.namespace}/${tls.value.rule.name} asks for ISTIO_MUTUAL`;
    return known({ tunnel: false, reason, evidence: tls.value.evidence });
  }
  const label = labelledTls(pod);
  if (label === null) return known(null);
  const peer = effectivePeerAuthentication(mesh, pod, port);
  const [unknown] = peer.unknowns;
  if (unknown !== undefined) return { kind: 'unknown', unknown };
  return known(peer.mode === 'DISABLE' ? null : label);
}

export function truthy(value: unknown): boolean {
  return value === true || value === 'true' || value === '1';
}

/** Why a pod cannot take HBONE, with the evidence; null: it can. */
interface Unserved {
  readonly reason: string;
  readonly evidence: readonly Evidence[];
}

/** What the pod itself shows of 15008: sockets and ztunnel's state, the node's routes, the sidecar's listeners. */
export function servesHbone(context: CheckContext, pod: Pod): Known<Unserved | null> {
  const mode = modeOf(context.mesh, pod);
  switch (mode.mode) {
    case 'ambient':
      return ambientServes(context, pod);
    case 'sidecar':
    case 'waypoint':
      return proxyServes(context, pod);
    case 'plain':
    case 'hostNetwork':
      return known({ reason: 'it is in no mesh: nothing in it speaks HBONE', evidence: [mode.decidedBy] });
    case 'gateway':
    case 'ztunnel':
      return known(null);
  }
}

function ambientServes(context: CheckContext, pod: Pod): Known<Unserved | null> {
  const { snapshot, mesh } = context;
  const node = pod.node ?? '';
  const redirection = redirectionOf(context, node);
  if (redirection.kind === 'unknown') return redirection;
  if (redirection.value.mode === 'node') {
    const routes = ipRoutesIn(snapshot, netnsOfNode(node));
    if (routes.kind === 'unknown') return routes;
    const ip = pod.ips.find((address) => !address.includes(':'));
    const taken = routes.value.routes.some(
      (route) =>
        route.table === '100' &&
        route.dst.prefix === 32 &&
        formatIp(route.dst.ip) === ip &&
        route.nexthops.some((hop) => hop.device === 'istioin'),
    );
    if (taken || redirection.value.basis === 'release') return known(null);
    return known({
      reason: `node ${node} has no route ${ip ?? ''} dev istioin in table 100, so what is sent to its 15008 does not reach ztunnel`,
      evidence: [{ file: routes.value.file, text: `no route ${ip ?? ''} dev istioin in table 100` }],
    });
  }
  const sockets = socketsIn(snapshot, netnsOfPod(pod));
  if (sockets.kind === 'known' && listenerOn(sockets.value, 15008) === null) {
    return known({
      reason: 'nothing in it listens on 15008',
      evidence: [{ file: sockets.value.file, text: 'no LISTEN on 15008' }],
    });
  }
  const ztunnel = mesh.ztunnelsOn(node)[0];
  const dump = ztunnel === undefined ? null : context.ztunnel(ztunnel);
  if (
    dump !== null &&
    !isUnknown(dump) &&
    dump.pods !== null &&
    pod.uid !== null &&
    !dump.pods.some((entry) => entry.uid === pod.uid)
  ) {
    return known({
      reason: 'the ztunnel of its node does not hold it',
      evidence: [{ file: dump.file, pointer: '/workloadState', text: `no entry ${pod.uid}` }],
    });
  }
  return sockets.kind === 'unknown' ? sockets : known(null);
}

function proxyServes(context: CheckContext, pod: Pod): Known<Unserved | null> {
  const sockets = socketsIn(context.snapshot, netnsOfPod(pod));
  if (sockets.kind === 'known' && listenerOn(sockets.value, 15008) === null) {
    return known({
      reason: 'nothing in it listens on 15008',
      evidence: [{ file: sockets.value.file, text: 'no LISTEN on 15008' }],
    });
  }
  const envoy = context.envoy(pod);
  if (isUnknown(envoy)) return sockets.kind === 'known' ? known(null) : { kind: 'unknown', unknown: envoy };
  if (!envoy.listeners.includes('connect_terminate')) {
    return known({
      reason: 'its proxy has no listener connect_terminate',
      evidence: [{ file: envoy.file, text: 'no listener connect_terminate' }],
    });
  }
  return known(null);
}
