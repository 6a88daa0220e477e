import { splitHostPort } from '../formats/ip.js';
import type { Pod } from '../formats/kubernetes-types.js';
import { modeOf } from '../mesh/modes.js';
import type { Mesh } from '../mesh/model.js';
import type { Connection } from './connect.js';
import type { Place } from './place.js';
import type { Stop } from './trace.js';

/** Who handles a connection. `place` is the network namespace in which its sockets are. */
export type Process =
  | { readonly kind: 'app'; readonly place: Place; readonly pod: Pod }
  /** A process on a node that belongs to no pod: the kubelet, a daemon. */
  | { readonly kind: 'node'; readonly place: Place; readonly node: string }
  | { readonly kind: 'external' }
  | {
      readonly kind: 'envoy';
      readonly role: 'sidecar' | 'waypoint' | 'gateway';
      readonly place: Place;
      readonly pod: Pod;
    }
  /** `own` null: no ztunnel pod of that node is in the snapshot. In-pod redirection: `place` is the served pod's. */
  | {
      readonly kind: 'ztunnel';
      readonly place: Place;
      readonly own: Pod | null;
      readonly node: string;
      /** The pod for which it handles this connection, where that is settled. */
      readonly serves: Pod | null;
    };

/** Ports of the proxies' own listeners (istio tools/istio-iptables and ztunnel src/config.rs, all releases). */
export const OUTBOUND_PORT = 15001;
export const INBOUND_PLAINTEXT_PORT = 15006;
export const HBONE_PORT = 15008;
/** uid and gid of the injected proxy (istio-iptables default, all releases), where the pod's spec does not say. */
export const PROXY_ID = 1337;
const CAPTURE_PORTS: ReadonlySet<number> = new Set([OUTBOUND_PORT, INBOUND_PLAINTEXT_PORT, HBONE_PORT]);

/** Port on which a connection was accepted: of the socket, since rules may have redirected it. */
export function acceptedPort(connection: Connection): number {
  const bound = connection.socket === null ? null : splitHostPort(connection.socket.name.replace(/^\*:/, '0.0.0.0:'));
  return bound?.port ?? connection.originalDst.port;
}

/** `*:15008` and `[::]:15008` as Envoy's dump names them: `0.0.0.0:15008`. */
export function listenerAddress(connection: Connection): string {
  const name = connection.socket?.name ?? `0.0.0.0:${connection.originalDst.port}`;
  return name.replace(/^\*:/, '0.0.0.0:').replace(/^\[::\]:/, '0.0.0.0:');
}

/** The process that owns the accepting socket: by its name as `ss` prints it, else by the pod's mode and the port. */
export function processOf(mesh: Mesh, connection: Connection): Process {
  const { place } = connection;
  if (place.kind === 'node') return processOnNode(mesh, place, connection);
  const { pod } = place;
  // as ss prints it, "envoy (pid 1291)"
  const name = connection.socket?.process?.split(' ')[0] ?? null;
  const port = acceptedPort(connection);
  const { mode } = modeOf(mesh, pod);
  if (name === 'ztunnel' || mode === 'ztunnel') return ztunnelIn(mesh, place, pod, connection);
  if (name === null) {
    const proxy = mode === 'sidecar' || mode === 'waypoint' || mode === 'gateway';
    if (mode === 'ambient' && CAPTURE_PORTS.has(port)) return ztunnelIn(mesh, place, pod, connection);
    if (proxy && (CAPTURE_PORTS.has(port) || mode !== 'sidecar')) return envoyIn(place, pod, mode);
    return { kind: 'app', place, pod };
  }
  if (name === 'envoy') return envoyIn(place, pod, mode === 'waypoint' || mode === 'gateway' ? mode : 'sidecar');
  return { kind: 'app', place, pod };
}

function envoyIn(place: Place, pod: Pod, role: 'sidecar' | 'waypoint' | 'gateway'): Process {
  return { kind: 'envoy', role, place, pod };
}

/**
 * In-pod redirection: ztunnel's sockets are in the served pod's namespace. Node-level redirection (1.18 to 1.20): they are
 * in its own, and the address of the client (outbound) or of the destination (inbound) says whom it serves.
 */
function ztunnelIn(mesh: Mesh, place: Place, pod: Pod, connection: Connection): Process {
  const node = pod.node ?? '';
  if (modeOf(mesh, pod).mode !== 'ztunnel') {
    return { kind: 'ztunnel', place, own: ztunnelOn(mesh, node), node, serves: pod };
  }
  const outbound = acceptedPort(connection) === OUTBOUND_PORT;
  const served = mesh.podsByIp(outbound ? connection.client.ip : connection.originalDst.ip)[0] ?? null;
  return { kind: 'ztunnel', place, own: pod, node, serves: served };
}

/** True where ztunnel works in the network namespace of the pod that it serves (1.21 and later). */
export function worksInPod(process: Process & { kind: 'ztunnel' }): boolean {
  return process.place.kind === 'pod' && process.own !== null && process.place.pod.uid !== process.own.uid;
}

/** The ztunnel of a node: a ready one before others; null where the lists name none. */
export function ztunnelOn(mesh: Mesh, node: string): Pod | null {
  const pods = mesh.ztunnelsOn(node);
  return pods.find((pod) => pod.ready === true) ?? pods[0] ?? null;
}

function processOnNode(mesh: Mesh, place: Place & { kind: 'node' }, connection: Connection): Process {
  const pods = mesh.hostNetworkPodsByIp(connection.originalDst.ip).filter((pod) => pod.node === place.node);
  const port = acceptedPort(connection);
  const pod = pods.find((p) => p.containers.some((c) => c.ports.some((declared) => declared.port === port)));
  return pod === undefined ? { kind: 'node', place, node: place.node } : { kind: 'app', place, pod };
}

/** The stop that a process makes in a path. */
export function stopOf(process: Process): Stop {
  switch (process.kind) {
    case 'app':
      return {
        role: 'workload',
        namespace: process.pod.namespace,
        name: process.pod.name,
        node: process.pod.node ?? '',
      };
    case 'envoy':
      return {
        role: process.role,
        namespace: process.pod.namespace,
        name: process.pod.name,
        node: process.pod.node ?? '',
      };
    case 'ztunnel':
      return {
        role: 'ztunnel',
        namespace: process.own?.namespace ?? '',
        name: process.own?.name ?? 'ztunnel',
        node: process.node,
      };
    case 'node':
      return { role: 'workload', namespace: '', name: `node/${process.node}`, node: process.node };
    case 'external':
      return { role: 'external', namespace: '', name: 'outside', node: '' };
  }
}

/** True where `proxy` handles the traffic of `app` itself: its sidecar, or its node's ztunnel acting for it. */
export function isOwnProxy(app: Process, proxy: Process): boolean {
  if (app.kind !== 'app') return false;
  const served =
    proxy.kind === 'ztunnel' ? proxy.serves : proxy.kind === 'envoy' && proxy.role === 'sidecar' ? proxy.pod : null;
  return served !== null && served.namespace === app.pod.namespace && served.name === app.pod.name;
}

/** How a process is called in sentences. */
export function stopName(process: Process): string {
  const stop = stopOf(process);
  const name = stop.namespace === '' ? stop.name : `${stop.namespace}/${stop.name}`;
  return process.kind === 'envoy' && process.role === 'sidecar'
    ? `the sidecar of ${name}`
    : process.kind === 'app'
      ? name
      : process.kind === 'ztunnel'
        ? `ztunnel ${name}`
        : name;
}
