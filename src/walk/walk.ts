import type { Address } from '../netns/face.js';
import { assumedAcceptors } from './assume.js';
import { multiply } from './carry.js';
import { certificateFault } from './certificates.js';
import { open, sendHop, type Connection, type Opening } from './connect.js';
import type { Engines } from './engines.js';
import { addressText } from './place.js';
import { HBONE_PORT, isOwnProxy, listenerAddress, processOf, stopName, stopOf, type Process } from './process.js';
import {
  finish,
  linkOf,
  type Content,
  type Leg,
  type LinkDraft,
  type Route,
  type Walked,
  type Walker,
} from './route.js';
import { fromEnvoy, throughEnvoy } from './through-envoy.js';
import { throughZtunnel } from './through-ztunnel.js';
import type { Hop, Link, Verdict } from './trace.js';

/** A client opens a connection. */
interface ClientStart extends Pick<Leg, 'opening' | 'content'> {
  readonly kind: 'client';
  readonly process: Process;
  /** Share of the traffic that starts here (several pods called directly). */
  readonly probability: number | null;
}

/** Something that a proxy has taken, from where one of its routes has chosen the cluster. */
export interface ProxyStart {
  readonly kind: 'proxy';
  readonly process: Process & { kind: 'envoy' };
  readonly cluster: string;
  readonly client: Address;
  readonly dst: Address;
  readonly content: Content;
  readonly probability: number | null;
}

export type Start = ClientStart | ProxyStart;

/** More processes than any way has that ends. */
const MAX_STOPS = 16;

/** All ways that one connection can take, each to its end. */
export function walk(engines: Engines, start: Start): readonly Walked[] {
  const route: Route = {
    probability: start.probability,
    stops: [stopOf(start.process)],
    links: [],
    hops: [],
    assumptions: [],
    noted: [],
    conditions: [],
    undecided: [],
    decisions: new Set(),
  };
  const walker: Walker = { engines, proceed: (next, leg) => proceed(walker, next, leg) };
  if (start.kind === 'proxy') return fromEnvoy(walker, route, start);
  const { opening, content } = start;
  return walker.proceed(route, { from: start.process, opening, content, endpointAddressType: null, decidedBy: null });
}

/** A process opens a connection: follow it to whoever accepts it, and on. */
function proceed(walker: Walker, route: Route, leg: Leg): readonly Walked[] {
  const { from, opening } = leg;
  const hop: Hop = {
    ...sendHop(
      opening,
      route.stops.length - 1,
      `${stopName(from)} connects to ${addressText(opening.dst)}`,
      'observed',
    ),
    kind: from.kind === 'app' || from.kind === 'node' || from.kind === 'external' ? 'send' : 'connect',
    evidence: leg.decidedBy === null ? [] : [leg.decidedBy],
  };
  const begun: Route = { ...route, hops: [...route.hops, hop] };
  return open(walker.engines, opening, route.stops.length).flatMap((connection) => {
    const reached: Route = {
      ...begun,
      probability: multiply(begun.probability, connection.probability),
      hops: [...begun.hops, ...connection.hops],
      conditions: [...begun.conditions, ...connection.conditions],
      undecided: [...begun.undecided, ...(connection.conditions.length > 0 ? connection.unknowns : [])],
    };
    return accepted(walker, reached, leg, connection);
  });
}

function accepted(walker: Walker, route: Route, leg: Leg, connection: Connection): readonly Walked[] {
  const { opening } = leg;
  const link = linkOf(leg);
  const attempted = attemptedLink(leg, connection, link);
  const failed = (verdict: Verdict): readonly Walked[] => [
    finish(
      { ...route, links: attempted === null ? route.links : [...route.links, attempted] },
      verdict,
      connection.reason,
    ),
  ];
  switch (connection.result) {
    case 'hangs':
      return failed('dropped');
    case 'refused':
      return failed('refused');
    case 'unreachable':
      return failed('error');
    case 'outside': {
      const nowhere = meansNothingOutside(walker.engines, opening.dst.ip);
      if (nowhere !== null) {
        const reason = `no route to host: ${connection.reason}, but ${addressText(opening.dst)} is ${nowhere}`;
        return [finish({ ...route, links: [...route.links, withTo(link, opening)] }, 'error', reason)];
      }
      const next: Route = {
        ...route,
        stops: [...route.stops, stopOf({ kind: 'external' })],
        links: [...route.links, withTo(link, opening)],
      };
      return [finish(next, 'delivered', `${connection.reason}; what is outside is assumed to answer`)];
    }
    case 'unknown':
      return assumed(walker, route, leg, connection);
    case 'connected':
      return handled(walker, route, leg, processOf(walker.engines.mesh, connection), connection);
  }
}

function withTo(link: LinkDraft, opening: Opening): Link {
  return { ...link, to: addressText(opening.dst) };
}

/**
 * Addresses that exist only where something translates them. istiod allocates those of ServiceEntries from 240.240.0.0/16
 * and 2001:2::/48 (istio pilot/pkg/serviceregistry/serviceentry and the ipallocate controller).
 */
function meansNothingOutside(engines: Engines, ip: string): string | null {
  if (ip.startsWith('240.240.') || ip.startsWith('2001:2:')) {
    return 'an address that istiod allocated for a ServiceEntry: it exists only inside the mesh, and nothing captured this';
  }
  const service = engines.mesh.servicesByIp(ip).find((one) => one.clusterIps.includes(ip));
  if (service === undefined) return null;
  return `the ClusterIP of Service ${service.namespace}/${service.name}: nothing translated it, and outside the cluster it means nothing`;
}

/** The link of a connection that was not accepted; none for a proxy's call to its own application. */
function attemptedLink({ from, opening }: Leg, connection: Connection, link: LinkDraft): Link | null {
  const inOwnPlace = connection.place.id === opening.from.id && opening.from.kind === 'pod';
  if (from.kind === 'ztunnel' || from.kind === 'envoy') {
    const served = from.kind === 'ztunnel' ? from.serves : from.role === 'sidecar' ? from.pod : null;
    if (served !== null && served.ips.includes(opening.dst.ip) && opening.dst.port !== HBONE_PORT) return null;
    return { ...link, to: addressText(connection.originalDst) };
  }
  if (from.kind === 'app' && inOwnPlace && from.place.kind === 'pod') {
    // refused by the proxy that was to capture it: the traffic never left the pod
    return { protocol: link.protocol, to: addressText(opening.dst), via: 'outbound-capture', own: true };
  }
  return { ...link, to: addressText(connection.originalDst) };
}

/** Missing facts: go on with what the API objects make likely, and say that it is assumed. */
function assumed(walker: Walker, route: Route, leg: Leg, connection: Connection): readonly Walked[] {
  const missing =
    connection.unknowns.length > 0 ? connection.unknowns : [{ fact: connection.reason, reason: 'not known' }];
  const tainted: Route = { ...route, assumptions: [...route.assumptions, ...missing] };
  if (connection.socket !== null) {
    // The first packet is accepted; only what comes after it is not known.
    return handled(walker, tainted, leg, processOf(walker.engines.mesh, connection), connection);
  }
  const acceptors = assumedAcceptors(walker.engines, leg.from, leg.opening, leg.content.connect !== null);
  if (acceptors.length === 0)
    return [
      finish({ ...tainted, links: [...tainted.links, withTo(linkOf(leg), leg.opening)] }, 'unknown', connection.reason),
    ];
  return acceptors.flatMap((acceptor) => {
    const hop: Hop = {
      node: acceptor.connection.place.node,
      netns: acceptor.connection.place.id,
      kind: 'intercept',
      summary: acceptor.summary,
      stop: route.stops.length,
      basis: 'assumed',
      evidence: acceptor.evidence,
    };
    const next: Route = {
      ...tainted,
      probability: multiply(tainted.probability, acceptor.connection.probability),
      hops: [...tainted.hops, hop],
    };
    return handled(walker, next, leg, acceptor.process, acceptor.connection);
  });
}

/** A process has accepted the connection: what it does with it. */
function handled(walker: Walker, route: Route, leg: Leg, process: Process, connection: Connection): readonly Walked[] {
  const { from, content } = leg;
  const link = linkOf(leg);
  const own = isOwnProxy(from, process) || isOwnProxy(process, from);
  const capture = own && from.kind === 'app';
  const to = addressText(connection.originalDst);
  const joined: Link = own
    ? { protocol: link.protocol, to, ...(capture ? { via: 'outbound-capture' } : {}), own: true }
    : { ...link, to };
  const next: Route = { ...route, stops: [...route.stops, stopOf(process)], links: [...route.links, joined] };
  if (next.stops.length > MAX_STOPS) return [finish(next, 'error', 'the traffic goes in circles between proxies')];
  const stranger = wrongIdentity(leg, process) ?? certificateFault(walker.engines, leg, process);
  if (stranger !== null) return [finish({ ...route, links: [...route.links, joined] }, 'error', stranger)];
  const decision = `${process.kind} ${stopName(process)} ${listenerAddress(connection)} ${to} ${content.connect ?? ''} ${content.http?.authority ?? ''}`;
  if (route.decisions.has(decision)) {
    return [finish(next, 'error', `a loop: ${stopName(process)} gets the connection to ${to} a second time`)];
  }
  const looped: Route = { ...next, decisions: new Set([...route.decisions, decision]) };
  switch (process.kind) {
    case 'app':
    case 'node':
    case 'external':
      return [delivered(looped, route, leg, process, connection, joined)];
    case 'ztunnel':
      return throughZtunnel(walker, looped, process, connection, content);
    case 'envoy':
      return throughEnvoy(walker, looped, process, connection, content);
  }
}

/**
 * ztunnel takes only the identities that it expects of the workload that it chose (ztunnel src/tls/workload.rs): an address
 * that another pod has by now is an error, not a delivery. Trust domains are compared in TLS by both sides alike.
 */
function wrongIdentity({ from, content }: Leg, process: Process): string | null {
  const accepts = content.tls?.accepts ?? [];
  const pod = process.kind === 'envoy' ? process.pod : process.kind === 'ztunnel' ? process.serves : null;
  if (accepts.length === 0 || pod === null) return null;
  const own = `/ns/${pod.namespace}/sa/${pod.serviceAccount}`;
  if (accepts.some((identity) => identity.endsWith(own))) return null;
  return `${stopName(from)} does not accept ${stopName(process)}: identity verification error: peer did not present the expected SAN (${accepts.join(', ')}), it is ${own}`;
}

/** The application has it: unless what arrives is the mesh's own TLS, which no application speaks. */
function delivered(
  route: Route,
  before: Route,
  { from, content }: Leg,
  process: Process,
  connection: Connection,
  link: Link,
): Walked {
  const name = stopName(process);
  const hop: Hop = {
    node: connection.place.node,
    netns: connection.place.id,
    kind: 'deliver',
    summary: `${name} takes it on ${connection.socket?.name ?? addressText(connection.originalDst)}`,
    stop: route.stops.length - 1,
    basis: connection.socket?.evidence == null ? 'derived' : 'observed',
    evidence: connection.socket?.evidence == null ? [] : [connection.socket.evidence],
  };
  const arrived: Route = { ...route, hops: [...route.hops, hop] };
  if (content.connect !== null || (content.tls !== null && content.tls.peer !== null)) {
    const what = content.connect !== null ? 'HBONE' : 'Istio mutual TLS';
    return finish(
      { ...before, links: [...before.links, link] },
      'error',
      `${stopName(from)} sends ${what} to ${name}, which is not in the mesh and does not speak it`,
    );
  }
  return finish(arrived, 'delivered', `${name} gets the request`);
}
