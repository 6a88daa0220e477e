import type { Evidence } from '../formats/evidence.js';
import type { Pod } from '../formats/kubernetes-types.js';
import { modeOf } from '../mesh/modes.js';
import type { Address } from '../netns/face.js';
import type { Connection, Opening } from './connect.js';
import type { Engines } from './engines.js';
import { placeOfPod } from './place.js';
import { HBONE_PORT, INBOUND_PLAINTEXT_PORT, OUTBOUND_PORT, ztunnelOn, type Process } from './process.js';

/** Who would take a connection if the data plane were as the API objects make likely. */
export interface AssumedAcceptor {
  readonly process: Process;
  readonly connection: Connection;
  readonly summary: string;
  readonly evidence: readonly Evidence[];
}

/**
 * Where rules, routes or sockets could not be read, the rest of the way is still worth showing: capture by the pod's
 * mode, endpoints by the Service. Whoever uses this keeps the verdict unknown.
 */
export function assumedAcceptors(
  engines: Engines,
  from: Process,
  opening: Opening,
  hbone: boolean,
): readonly AssumedAcceptor[] {
  const captured = from.kind === 'app' ? capturedBy(engines, from.pod, opening) : null;
  if (captured !== null) return [captured];
  const { mesh } = engines;
  const pods = mesh.podsByIp(opening.dst.ip);
  if (pods.length > 0)
    return pods.slice(0, 1).map((pod) => acceptedBy(engines, from, pod, opening, opening.dst, hbone, 1));
  const acceptors: AssumedAcceptor[] = [];
  for (const service of mesh.servicesByIp(opening.dst.ip)) {
    const port = service.ports.find((p) => p.port === opening.dst.port);
    const endpoints = mesh.endpointsOf(service).filter((endpoint) => endpoint.ready);
    for (const endpoint of endpoints) {
      const target = endpoint.ports.find((p) => p.name === (port?.name ?? null)) ?? endpoint.ports[0];
      const pod = mesh.podsByIp(endpoint.ip)[0];
      if (pod === undefined || target?.port == null) continue;
      const dst = { ip: endpoint.ip, port: target.port };
      acceptors.push(acceptedBy(engines, from, pod, opening, dst, hbone, 1 / endpoints.length));
    }
    if (acceptors.length > 0) break;
  }
  return acceptors;
}

function capturedBy(engines: Engines, pod: Pod, opening: Opening): AssumedAcceptor | null {
  const { mode, decidedBy, redirection } = modeOf(engines.mesh, pod);
  if (pod.ips.includes(opening.dst.ip)) return null;
  const place = placeOfPod(pod);
  const connection = connectionAt(place, `0.0.0.0:${OUTBOUND_PORT}`, opening.dst, pod.ips[0] ?? '', 1);
  if (mode === 'sidecar') {
    return {
      process: { kind: 'envoy', role: 'sidecar', place, pod },
      connection,
      summary: 'assumed: the sidecar captures it (the rules of the pod are not known)',
      evidence: [decidedBy],
    };
  }
  if (mode === 'ambient' && redirection === 'enabled') {
    return {
      process: ztunnelFor(engines, pod),
      connection,
      summary: 'assumed: ztunnel captures it (the rules of the pod or node are not known)',
      evidence: [decidedBy],
    };
  }
  return null;
}

function ztunnelFor(engines: Engines, pod: Pod): Process {
  const node = pod.node ?? '';
  return { kind: 'ztunnel', place: placeOfPod(pod), own: ztunnelOn(engines.mesh, node), node, serves: pod };
}

function acceptedBy(
  engines: Engines,
  from: Process,
  pod: Pod,
  opening: Opening,
  dst: Address,
  hbone: boolean,
  share: number,
): AssumedAcceptor {
  const { mode, decidedBy } = modeOf(engines.mesh, pod);
  const place = placeOfPod(pod);
  const client = opening.source ?? (opening.from.kind === 'pod' ? (opening.from.pod.ips[0] ?? '') : '');
  const ownApp =
    (from.kind === 'envoy' && from.role === 'sidecar' && from.pod.uid === pod.uid) ||
    (from.kind === 'ztunnel' && from.serves?.uid === pod.uid);
  const at = (port: number): Connection => connectionAt(place, `0.0.0.0:${port}`, dst, client, share);
  const said = { evidence: [decidedBy] };
  if (!ownApp && mode === 'ambient') {
    const port = dst.port === HBONE_PORT && hbone ? HBONE_PORT : INBOUND_PLAINTEXT_PORT;
    return {
      process: ztunnelFor(engines, pod),
      connection: at(port),
      summary: `assumed: ztunnel takes it on ${port}`,
      ...said,
    };
  }
  if (!ownApp && (mode === 'sidecar' || mode === 'waypoint' || mode === 'gateway')) {
    const port = dst.port === HBONE_PORT ? HBONE_PORT : mode === 'sidecar' ? INBOUND_PLAINTEXT_PORT : dst.port;
    return {
      process: { kind: 'envoy', role: mode, place, pod },
      connection: at(port),
      summary: `assumed: the ${mode} takes it on ${port}`,
      ...said,
    };
  }
  return {
    process: { kind: 'app', place, pod },
    connection: at(dst.port),
    summary: 'assumed: the application takes it',
    ...said,
  };
}

function connectionAt(
  place: Connection['place'],
  socket: string,
  dst: Address,
  client: string,
  share: number,
): Connection {
  return {
    probability: share,
    result: 'connected',
    reason: '',
    place,
    socket: { name: socket, process: null, evidence: null },
    originalDst: dst,
    client: { ip: client, port: 0 },
    hops: [],
    conditions: [],
    unknowns: [],
  };
}
