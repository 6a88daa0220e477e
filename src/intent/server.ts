import { joinHostPort } from '../formats/ip.js';
import type { Pod } from '../formats/kubernetes-types.js';
import type { Mesh, WaypointBinding } from '../mesh/model.js';
import { effectivePeerAuthentication } from '../mesh/peer-authentication.js';
import { atLeast } from '../mesh/release.js';
import { waypointOfPod } from '../mesh/waypoints.js';
import { captureOf, ztunnelStop } from './capture.js';
import { envoyAnswer, policiesOfPod, ztunnelAnswer, type PolicyAnswer } from './policies.js';
import type { HttpSeen, Seen } from './policy-match.js';
import type { Target } from './targets.js';
import type { Transport } from './transport.js';
import {
  attempt,
  end,
  go,
  hboneLink,
  note,
  ownLink,
  plainLink,
  stopOfPod,
  tlsLink,
  type Ended,
  type Identity,
  type Way,
} from './way.js';

/** Who comes to the server, as the server's side sees it. */
export interface Caller {
  /** Of the proxy that speaks to the server; null: plain text. */
  readonly identity: Identity | null;
  readonly sourceIp: string | null;
  readonly http: HttpSeen | null;
  /** A process of the server's own node is no traffic of the mesh: probes skip ztunnel. */
  readonly hostOf: string | null;
  /** The proxy before is a waypoint. */
  readonly waypoint: boolean;
  /** UDP meets no proxy: rules redirect TCP only (and DNS to port 53, see expected.ts). */
  readonly udp: boolean;
}

/** From the last proxy of the client's side (or the client itself) to the application, or to what refuses it. */
export function arrive(mesh: Mesh, way: Way, target: Target, transport: Transport, caller: Caller): Ended {
  if (transport.by === 'unknown') return end(way, 'unknown', `${transport.unknown.fact}: ${transport.reason}`);
  const decided = note(
    way,
    'connect',
    `${words(transport.by)} to ${target.ip}: ${transport.reason}`,
    transport.evidence,
  );
  const { pod } = target;
  if (pod === null) return arriveOutside(mesh, decided, target, transport);
  if (caller.udp) {
    const link = plainLink(target.ip, target.port, 'udp');
    return end(go(decided, link, stopOfPod('workload', pod)), 'delivered', 'the application gets it');
  }
  const capture = captureOf(mesh, pod);
  const inner = joinHostPort(target.ip, target.port);
  switch (capture.by) {
    case 'unknown':
      return end(decided, 'unknown', `who takes the traffic of pod ${pod.namespace}/${pod.name}: ${capture.reason}`);
    case 'ztunnel':
      return arriveAtZtunnel(mesh, decided, pod, target, transport, caller, inner);
    case 'sidecar':
      return arriveAtSidecar(mesh, decided, pod, target, transport, caller, inner);
    case 'gateway':
    case 'waypoint':
    case 'none':
      return arriveAtApplication(decided, pod, target, transport);
  }
}

function words(by: Exclude<Transport['by'], 'unknown'>): string {
  return { hbone: 'HBONE', mtls: 'Istio mTLS', tls: 'TLS', plain: 'plain text' }[by];
}

function arriveOutside(mesh: Mesh, way: Way, target: Target, transport: Transport): Ended {
  const node = mesh.nodeByIp(target.ip);
  const missing = mesh.unknownOf('pods', `who has ${target.ip}`);
  const link = transport.by === 'plain' ? plainLink(target.ip, target.port) : tlsLink(target.ip, target.port);
  if (node !== null) {
    const stop = { role: 'workload' as const, namespace: '', name: `node/${node.name}`, node: node.name };
    return end(go(way, link, stop), 'delivered', `node ${node.name} gets it`);
  }
  if (missing !== null) return end(way, 'unknown', `${missing.fact}: ${missing.reason}`);
  const stop = { role: 'external' as const, namespace: '', name: 'outside', node: '' };
  return end(go(way, link, stop), 'delivered', `${target.ip} outside the mesh gets it`);
}

function arriveAtApplication(way: Way, pod: Pod, target: Target, transport: Transport): Ended {
  switch (transport.by) {
    case 'plain':
      return end(
        go(way, plainLink(target.ip, target.port), stopOfPod('workload', pod)),
        'delivered',
        'the application gets it',
      );
    case 'tls':
      return end(
        go(way, tlsLink(target.ip, target.port), stopOfPod('workload', pod)),
        'unknown',
        'whether the application speaks TLS on this port is not known',
      );
    case 'mtls':
      return end(
        attempt(way, tlsLink(target.ip, target.port)),
        'error',
        'Istio mTLS to a server outside the mesh: it does not understand it',
        transport.evidence,
      );
    case 'hbone':
    case 'unknown':
      return end(way, 'refused', 'nobody listens for HBONE in this pod');
  }
}

function seenBy(target: Target, caller: Caller, identity: Identity | null): Seen {
  return { identity, sourceIp: caller.sourceIp, destinationIp: target.ip, port: target.port, http: caller.http };
}

function arriveAtZtunnel(
  mesh: Mesh,
  way: Way,
  pod: Pod,
  target: Target,
  transport: Transport,
  caller: Caller,
  inner: string,
): Ended {
  const deliver = (at: Way): Ended => {
    const link = ownLink(target.ip, target.port);
    return end(go(at, link, stopOfPod('workload', pod)), 'delivered', 'the application gets it');
  };
  if (transport.by === 'plain' && caller.hostOf !== null && caller.hostOf === pod.node) {
    const skipped = note(way, 'intercept', 'traffic of its own node, such as probes, passes ztunnel by');
    return end(
      go(skipped, plainLink(target.ip, target.port), stopOfPod('workload', pod)),
      'delivered',
      'the application gets it',
    );
  }
  const link =
    transport.by === 'hbone'
      ? hboneLink(target.ip, inner)
      : transport.by === 'plain'
        ? plainLink(target.ip, target.port)
        : tlsLink(target.ip, target.port);
  const at = go(way, link, ztunnelStop(mesh, pod.node ?? ''));
  if (transport.by === 'mtls')
    return end(at, 'error', 'ztunnel hands Istio mTLS on as it is: the application gets TLS bytes', transport.evidence);
  const identity = transport.by === 'hbone' ? caller.identity : null;
  if (identity === null) {
    const authentication = effectivePeerAuthentication(mesh, pod, target.port);
    if (authentication.mode === null) return end(at, 'unknown', authentication.reason);
    if (authentication.mode === 'STRICT') {
      return end(at, 'denied', `plain text is refused: ${authentication.reason} says STRICT`, authentication.evidence);
    }
    const waypoint = legacyWaypoint(mesh, pod);
    if (waypoint?.state === 'ready') return end(at, 'error', LEGACY_REFUSAL, waypoint.evidence);
    if (waypoint?.state === 'unknown') return end(at, 'unknown', `its waypoint: ${waypoint.reason}`, waypoint.evidence);
  }
  const answer = ztunnelAnswer(mesh, pod, seenBy(target, caller, identity));
  return judged(at, answer, deliver);
}

const LEGACY_REFUSAL =
  'its ztunnel sends plain text on to the waypoint under the name of the client, whose certificate istiod refuses';

/** Until 1.21 plain text to a workload with a waypoint is sent on to that; null: later releases, where it is not. */
function legacyWaypoint(mesh: Mesh, pod: Pod): WaypointBinding | null {
  const release = mesh.release('ztunnel') ?? mesh.release('istiod');
  return release === null || atLeast(release, 22) ? null : waypointOfPod(mesh, pod);
}

function arriveAtSidecar(
  mesh: Mesh,
  way: Way,
  pod: Pod,
  target: Target,
  transport: Transport,
  caller: Caller,
  inner: string,
): Ended {
  const link =
    transport.by === 'hbone'
      ? hboneLink(target.ip, inner)
      : transport.by === 'plain'
        ? plainLink(target.ip, target.port)
        : tlsLink(target.ip, target.port);
  const at = go(way, link, stopOfPod('sidecar', pod));
  if (transport.by === 'tls') return end(at, 'unknown', 'whether the application speaks TLS on this port is not known');
  const identity = transport.by === 'plain' ? null : caller.identity;
  if (transport.by === 'plain') {
    const authentication = effectivePeerAuthentication(mesh, pod, target.port);
    if (authentication.mode === null) return end(at, 'unknown', authentication.reason);
    if (authentication.mode === 'STRICT') {
      return end(at, 'denied', `plain text is refused: ${authentication.reason} says STRICT`, authentication.evidence);
    }
  }
  const answer = envoyAnswer(mesh, policiesOfPod(mesh, pod), seenBy(target, caller, identity));
  return judged(at, answer, (allowed) =>
    end(
      go(allowed, ownLink(target.ip, target.port), stopOfPod('workload', pod)),
      'delivered',
      'the application gets it',
    ),
  );
}

/** What a policy's answer makes of a way. */
export function judged<T extends Ended | readonly Ended[]>(
  way: Way,
  answer: PolicyAnswer,
  allowed: (way: Way) => T,
): T | Ended {
  switch (answer.answer) {
    case 'allow':
      return allowed(
        answer.evidence.length === 0 ? way : note(way, 'proxy', 'an AuthorizationPolicy allows it', answer.evidence),
      );
    case 'deny':
      return end(way, 'denied', answer.reason, answer.evidence);
    case 'unknown':
      return end(way, 'unknown', answer.reason, answer.evidence);
  }
}
