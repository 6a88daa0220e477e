import type { Evidence, Unknown } from '../formats/evidence.js';
import { splitHostPort } from '../formats/ip.js';
import type { EnvoyOutcome, HttpRequest } from '../envoy/face.js';
import type { Pod } from '../formats/kubernetes-types.js';
import type { Protocol } from '../netns/face.js';
import type { ZtunnelConnection, ZtunnelOutcome } from '../ztunnel/face.js';
import { assumedAcceptors } from './assume.js';
import { multiply } from './carry.js';
import { open, sendHop, type Connection, type Opening } from './connect.js';
import { isUnknown, type Engines } from './engines.js';
import { addressText } from './place.js';
import {
  acceptedPort,
  HBONE_PORT,
  INBOUND_PLAINTEXT_PORT,
  isOwnProxy,
  listenerAddress,
  OUTBOUND_PORT,
  processOf,
  stopOf,
  worksInPod,
  type Process,
} from './process.js';
import type { Hop, Link, Path, Stop, Verdict } from './trace.js';

/** What runs on a connection, from the outside in: TLS, CONNECT inside it, and what is inside that. */
export interface Content {
  readonly tls: { readonly sni: string | null; readonly alpn: readonly string[]; readonly peer: string | null } | null;
  /** CONNECT authority where the connection is HBONE. */
  readonly connect: string | null;
  /** Inside HBONE; null for everything else. */
  readonly inner: Content | null;
  /** Null for plain TCP. */
  readonly http: HttpRequest | null;
}

/** How far a way has come. */
export interface Route {
  readonly probability: number | null;
  readonly stops: readonly Stop[];
  readonly links: readonly Link[];
  readonly hops: readonly Hop[];
  /** Facts that are missing and were assumed on the way: the verdict can be no better than unknown. */
  readonly assumptions: readonly Unknown[];
  /** What forks on the way hang on, and the facts that would decide them: settled when all ways are known. */
  readonly conditions: readonly string[];
  readonly undecided: readonly Unknown[];
  /** Decisions taken so far: the same again is a loop. */
  readonly decisions: ReadonlySet<string>;
}

/** A path with what keeps its verdict open: facts that were assumed, and conditions on which it is this way at all. */
export interface Walked {
  readonly path: Path;
  readonly unknowns: readonly Unknown[];
  readonly conditions: readonly string[];
  readonly undecided: readonly Unknown[];
}

export interface Start {
  readonly process: Process;
  readonly opening: Opening;
  readonly content: Content;
  /** Share of the traffic that starts here (several pods called directly). */
  readonly probability: number | null;
}

/** Mark that ztunnel puts on its sockets in a pod's namespace (ztunnel src/config.rs DEFAULT_INPOD_MARK, 1.21 to 1.31). */
const INPOD_MARK = 0x539;
/** uid and gid of the injected proxy (istio-iptables default, all releases), where the pod's spec does not say. */
const PROXY_ID = 1337;
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
    conditions: [],
    undecided: [],
    decisions: new Set(),
  };
  return proceed(
    engines,
    route,
    start.process,
    start.opening,
    start.content,
    linkOf(start.content, start.opening.protocol),
    null,
  );
}

type LinkDraft = Pick<Link, 'protocol' | 'inner' | 'endpointAddressType'> & { readonly encrypted: boolean };

function linkOf(content: Content, protocol: Protocol, endpointAddressType?: string): LinkDraft {
  const form = endpointAddressType === undefined ? {} : { endpointAddressType };
  if (content.connect !== null) return { protocol: 'hbone', encrypted: true, inner: content.connect, ...form };
  if (content.tls !== null) return { protocol: 'tls', encrypted: true, ...form };
  return { protocol: protocol === 'udp' ? 'udp' : 'tcp', encrypted: false, ...form };
}

/** A process opens a connection: follow it to whoever accepts it, and on. */
function proceed(
  engines: Engines,
  route: Route,
  from: Process,
  opening: Opening,
  content: Content,
  link: LinkDraft,
  decidedBy: Evidence | null,
): readonly Walked[] {
  const stop = route.stops.length - 1;
  const to = addressText(opening.dst);
  const hop: Hop = {
    ...sendHop(opening, stop, `${stopName(from)} connects to ${to}`, 'observed'),
    kind: from.kind === 'app' || from.kind === 'node' || from.kind === 'external' ? 'send' : 'connect',
    evidence: decidedBy === null ? [] : [decidedBy],
  };
  const begun: Route = { ...route, hops: [...route.hops, hop] };
  return open(engines, opening, stop).flatMap((connection) => {
    const reached: Route = {
      ...begun,
      probability: multiply(begun.probability, connection.probability),
      hops: [...begun.hops, ...connection.hops],
      conditions: [...begun.conditions, ...connection.conditions],
      undecided: [...begun.undecided, ...(connection.conditions.length > 0 ? connection.unknowns : [])],
    };
    return accepted(engines, reached, from, opening, connection, content, link);
  });
}

function accepted(
  engines: Engines,
  route: Route,
  from: Process,
  opening: Opening,
  connection: Connection,
  content: Content,
  link: LinkDraft,
): readonly Walked[] {
  const attempted = attemptedLink(engines, from, opening, connection, link);
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
      if (isMeshOnly(opening.dst.ip)) {
        const reason = `${addressText(opening.dst)} is an address that istiod allocated for a ServiceEntry: it exists only inside the mesh, and this packet is not captured`;
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
      return assumed(engines, route, from, opening, connection, content, link);
    case 'connected':
      return handled(engines, route, from, processOf(engines.mesh, connection), connection, content, link);
  }
}

function withTo(link: LinkDraft, opening: Opening): Link {
  return { ...link, to: addressText(opening.dst) };
}

/** ServiceEntry addresses that istiod allocates by itself (pilot/pkg/serviceregistry/serviceentry, 240.240.0.0/16 and 2001:2::/48). */
function isMeshOnly(ip: string): boolean {
  return ip.startsWith('240.240.') || ip.startsWith('2001:2:');
}

/** The link of a connection that was not accepted; none for a proxy's call to its own application. */
function attemptedLink(
  engines: Engines,
  from: Process,
  opening: Opening,
  connection: Connection,
  link: LinkDraft,
): Link | null {
  const inOwnPlace = connection.place.id === opening.from.id && opening.from.kind === 'pod';
  if (from.kind === 'ztunnel' || from.kind === 'envoy') {
    const served = from.kind === 'ztunnel' ? from.serves : from.role === 'sidecar' ? from.pod : null;
    if (served !== null && served.ips.includes(opening.dst.ip) && splitPort(opening) !== HBONE_PORT) return null;
    return { ...link, to: addressText(connection.originalDst) };
  }
  if (from.kind === 'app' && inOwnPlace && from.place.kind === 'pod') {
    // refused by the proxy that was to capture it: the traffic never left the pod
    void engines;
    return { protocol: link.protocol, to: addressText(opening.dst), via: 'outbound-capture', own: true };
  }
  return { ...link, to: addressText(connection.originalDst) };
}

function splitPort(opening: Opening): number {
  return opening.dst.port;
}

/** Missing facts: go on with what the API objects make likely, and say that it is assumed. */
function assumed(
  engines: Engines,
  route: Route,
  from: Process,
  opening: Opening,
  connection: Connection,
  content: Content,
  link: LinkDraft,
): readonly Walked[] {
  const missing =
    connection.unknowns.length > 0 ? connection.unknowns : [{ fact: connection.reason, reason: 'not known' }];
  const tainted: Route = { ...route, assumptions: [...route.assumptions, ...missing] };
  if (connection.socket !== null) {
    // The first packet is accepted; only what comes after it is not known.
    return handled(engines, tainted, from, processOf(engines.mesh, connection), connection, content, link);
  }
  const acceptors = assumedAcceptors(engines, from, opening, content.connect !== null);
  if (acceptors.length === 0)
    return [finish({ ...tainted, links: [...tainted.links, withTo(link, opening)] }, 'unknown', connection.reason)];
  return acceptors.flatMap((acceptor) => {
    const hop: Hop = {
      node: acceptor.connection.place.node,
      netns: acceptor.connection.place.id,
      kind: 'intercept',
      summary: acceptor.summary,
      stop: route.stops.length - 1,
      basis: 'assumed',
      evidence: acceptor.evidence,
    };
    const next: Route = {
      ...tainted,
      probability: multiply(tainted.probability, acceptor.connection.probability),
      hops: [...tainted.hops, hop],
    };
    return handled(engines, next, from, acceptor.process, acceptor.connection, content, link);
  });
}

/** A process has accepted the connection: what it does with it. */
function handled(
  engines: Engines,
  route: Route,
  from: Process,
  process: Process,
  connection: Connection,
  content: Content,
  link: LinkDraft,
): readonly Walked[] {
  const own = isOwnProxy(from, process) || isOwnProxy(process, from);
  const capture = own && from.kind === 'app';
  const to = addressText(connection.originalDst);
  const joined: Link = own
    ? { protocol: link.protocol, to, ...(capture ? { via: 'outbound-capture' } : {}), own: true }
    : { ...link, to };
  const next: Route = { ...route, stops: [...route.stops, stopOf(process)], links: [...route.links, joined] };
  if (next.stops.length > MAX_STOPS) return [finish(next, 'error', 'the traffic goes in circles between proxies')];
  const decision = `${process.kind} ${stopName(process)} ${listenerAddress(connection)} ${to} ${content.connect ?? ''} ${content.http?.authority ?? ''}`;
  if (route.decisions.has(decision)) {
    return [finish(next, 'error', `a loop: ${stopName(process)} gets the connection to ${to} a second time`)];
  }
  const looped: Route = { ...next, decisions: new Set([...route.decisions, decision]) };
  switch (process.kind) {
    case 'app':
    case 'node':
    case 'external':
      return [delivered(looped, route, from, process, connection, content, joined)];
    case 'ztunnel':
      return throughZtunnel(engines, looped, process, connection, content);
    case 'envoy':
      return throughEnvoy(engines, looped, process, connection, content);
  }
}

/** The application has it: unless what arrives is the mesh's own TLS, which no application speaks. */
function delivered(
  route: Route,
  before: Route,
  from: Process,
  process: Process,
  connection: Connection,
  content: Content,
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

function throughZtunnel(
  engines: Engines,
  route: Route,
  process: Process & { kind: 'ztunnel' },
  connection: Connection,
  content: Content,
): readonly Walked[] {
  const name = stopName(process);
  if (process.own === null) {
    const fact = `which ztunnel handles the pods of node ${process.node}`;
    return [giveUp(route, { fact, reason: 'no ztunnel pod of that node is in kubernetes/pods.json' })];
  }
  const engine = engines.ztunnel(process.own);
  if (isUnknown(engine)) return [giveUp(route, engine)];
  const inPod = worksInPod(process);
  const served = inPod ? process.serves : null;
  const port = acceptedPort(connection);
  const pod =
    served === null ? null : { namespace: served.namespace, name: served.name, serviceAccount: served.serviceAccount };
  const common = { src: connection.client.ip, identity: null, arrivedAt: null, pod };
  let question: ZtunnelConnection;
  switch (port) {
    case OUTBOUND_PORT:
      question = { ...common, direction: 'outbound', dst: addressText(connection.originalDst) };
      break;
    case INBOUND_PLAINTEXT_PORT:
      question = { ...common, direction: 'inbound-plaintext', dst: addressText(connection.originalDst) };
      break;
    case HBONE_PORT:
      if (content.connect === null || content.tls === null) {
        const what = content.tls === null ? 'plain text' : 'TLS without a CONNECT';
        return [finish(route, 'error', `${name} expects HBONE on 15008 and gets ${what}`)];
      }
      question = {
        ...common,
        direction: 'inbound',
        dst: content.connect,
        identity: content.tls.peer,
        arrivedAt: connection.originalDst.ip,
      };
      break;
    default:
      return [finish(route, 'delivered', `${name} takes it itself on port ${port}`)];
  }
  return engine.decide(question).flatMap((outcome): readonly Walked[] => {
    const decided = decisionHops(route, connection, process, outcome);
    switch (outcome.action) {
      case 'deny':
        return [finish(decided, 'denied', `${name} refuses it: ${outcome.error ?? outcome.policy ?? 'policy'}`)];
      case 'error':
        return [finish(decided, 'error', `${name}: ${outcome.error ?? 'error'}`)];
      case 'unknown':
        return [giveUp(decided, ...nonEmpty(outcome.unknowns, `what ${name} does with ${question.dst}`))];
      case 'forward':
        return forwardedByZtunnel(engines, decided, process, connection, content, question, outcome, inPod);
    }
  });
}

function forwardedByZtunnel(
  engines: Engines,
  route: Route,
  process: Process & { kind: 'ztunnel' },
  connection: Connection,
  content: Content,
  question: ZtunnelConnection,
  outcome: ZtunnelOutcome,
  inPod: boolean,
): readonly Walked[] {
  const dst = outcome.to === null ? null : splitHostPort(outcome.to);
  if (dst === null)
    return [giveUp(route, { fact: `where ${stopName(process)} connects to`, reason: `"${outcome.to}" is no address` })];
  const opening: Opening = {
    from: process.place,
    uid: 0,
    gid: PROXY_ID,
    mark: inPod ? INPOD_MARK : 0,
    source: outcome.keepsSource ? connection.client.ip : null,
    dst: { ip: dst.host, port: dst.port },
    protocol: 'tcp',
    arrivesBy: null,
  };
  const passed = question.direction === 'inbound' ? (content.inner ?? content) : content;
  if (outcome.protocol === 'tcp' || outcome.protocol === null) {
    return proceed(engines, route, process, opening, passed, linkOf(passed, 'tcp'), outcome.decidedBy);
  }
  const identity = identityOf(engines, process.serves);
  const tunnelled: Content = {
    tls: { sni: null, alpn: ['h2'], peer: identity.value },
    connect: outcome.target ?? addressText(connection.originalDst),
    inner: passed,
    http: null,
  };
  const known: Route = { ...route, assumptions: [...route.assumptions, ...identity.unknowns] };
  return proceed(engines, known, process, opening, tunnelled, linkOf(tunnelled, 'tcp'), outcome.decidedBy);
}

function throughEnvoy(
  engines: Engines,
  route: Route,
  process: Process & { kind: 'envoy' },
  connection: Connection,
  content: Content,
): readonly Walked[] {
  const name = stopName(process);
  const engine = engines.envoy(process.pod);
  if (isUnknown(engine)) return [giveUp(route, engine)];
  const listener = listenerAddress(connection);
  const port = acceptedPort(connection);
  const hbone = content.connect !== null && port === HBONE_PORT;
  if (port === HBONE_PORT && content.connect === null) {
    return [
      finish(
        route,
        'error',
        `${name} expects HBONE on 15008 and gets ${content.tls === null ? 'plain text' : 'other TLS'}`,
      ),
    ];
  }
  const inner = hbone ? (content.inner ?? content) : content;
  const outcomes = engine.decide({
    listener,
    src: addressText(connection.client),
    dst: addressText(connection.originalDst),
    tls: content.tls,
    connect: hbone ? { authority: content.connect ?? '', headers: {} } : null,
    innerTls: hbone ? inner.tls : null,
    http: inner.http,
  });
  return outcomes.flatMap((outcome): readonly Walked[] => {
    const decided = decisionHops(route, connection, process, outcome);
    switch (outcome.action) {
      case 'deny': {
        const by = outcome.policy === null ? 'no ALLOW policy admits it' : `policy ${outcome.policy}`;
        return [
          finish(
            decided,
            'denied',
            `${name} refuses it: ${by}${outcome.status === null ? '' : ` (HTTP ${outcome.status})`}`,
          ),
        ];
      }
      case 'respond':
        return [
          finish(
            decided,
            'error',
            `${name} answers itself with HTTP ${outcome.status ?? '?'}: ${outcome.reason ?? 'direct response'}`,
          ),
        ];
      case 'error':
        return [refusedByEnvoy(decided, process, port, content, outcome)];
      case 'unknown':
        return [giveUp(decided, ...nonEmpty(outcome.unknowns, `what ${name} does with the request`))];
      case 'forward':
        return forwardedByEnvoy(engines, decided, process, connection, inner, outcome);
    }
  });
}

/** No filter chain for plain text at a sidecar's inbound listener is what STRICT looks like. */
function refusedByEnvoy(route: Route, process: Process, port: number, content: Content, outcome: EnvoyOutcome): Walked {
  const name = stopName(process);
  const reason = outcome.reason ?? 'error';
  const strict =
    port === INBOUND_PLAINTEXT_PORT && content.tls === null && /filter_chain_not_found|\bNR\b/.test(reason);
  if (strict)
    return finish(
      route,
      'denied',
      `${name} takes only mutual TLS here (STRICT): plain text has no filter chain (${reason})`,
    );
  return finish(route, 'error', `${name}: ${reason}`);
}

function forwardedByEnvoy(
  engines: Engines,
  route: Route,
  process: Process & { kind: 'envoy' },
  connection: Connection,
  inner: Content,
  outcome: EnvoyOutcome,
): readonly Walked[] {
  const target = outcome.hbone?.to ?? outcome.to;
  const dst = target === null ? null : splitHostPort(target);
  if (dst === null) {
    return [
      giveUp(route, {
        fact: `where ${stopName(process)} connects to`,
        reason: target === null ? 'no address' : `"${target}" is no address`,
      }),
    ];
  }
  const proxy = process.pod.containers.find((container) => container.name === 'istio-proxy');
  const opening: Opening = {
    from: process.place,
    uid: proxy?.runAsUser ?? PROXY_ID,
    gid: proxy?.runAsGroup ?? PROXY_ID,
    mark: 0,
    source: outcome.sourceBind ?? (outcome.keepsSource ? connection.client.ip : null),
    dst: { ip: dst.host, port: dst.port },
    protocol: 'tcp',
    arrivesBy: null,
  };
  const identity = identityOf(engines, process.pod);
  const carried: Content = {
    tls:
      outcome.tls === null || outcome.tls === 'none'
        ? null
        : {
            sni: outcome.upstreamTls?.sni ?? null,
            alpn: outcome.upstreamTls?.alpn ?? [],
            peer: outcome.tls === 'mtls' ? identity.value : null,
          },
    connect: null,
    inner: null,
    http: outcome.upstreamHttp ?? inner.http,
  };
  const content: Content =
    outcome.hbone === null
      ? carried
      : {
          tls: { sni: null, alpn: ['h2'], peer: identity.value },
          connect: outcome.hbone.authority,
          inner: carried,
          http: null,
        };
  const needsIdentity = outcome.hbone !== null || outcome.tls === 'mtls';
  const known: Route = needsIdentity ? { ...route, assumptions: [...route.assumptions, ...identity.unknowns] } : route;
  const form = outcome.endpointAddressType ?? undefined;
  return proceed(engines, known, process, opening, content, linkOf(content, 'tcp', form), outcome.decidedBy);
}

/** The SPIFFE identity of a pod: trust domain of the mesh, namespace, service account. */
function identityOf(
  engines: Engines,
  pod: Pod | null,
): { readonly value: string | null; readonly unknowns: readonly Unknown[] } {
  if (pod === null)
    return { value: null, unknowns: [{ fact: 'the identity of the client', reason: 'its pod is not known' }] };
  const domain = engines.mesh.trustDomain();
  const path = `/ns/${pod.namespace}/sa/${pod.serviceAccount}`;
  if (domain !== null) return { value: `spiffe://${domain}${path}`, unknowns: [] };
  return {
    value: `spiffe://cluster.local${path}`,
    unknowns: [
      { fact: 'the trust domain of the mesh', reason: 'ConfigMap istio could not be read; taken for cluster.local' },
    ],
  };
}

function nonEmpty(unknowns: readonly Unknown[], fact: string): readonly Unknown[] {
  return unknowns.length > 0 ? unknowns : [{ fact, reason: 'the configuration does not decide it' }];
}

function decisionHops(
  route: Route,
  connection: Connection,
  process: Process,
  outcome: ZtunnelOutcome | EnvoyOutcome,
): Route {
  const node = process.kind === 'app' || process.kind === 'envoy' ? process.pod.node : connection.place.node;
  const hops = outcome.steps.map((step): Hop => ({
    node,
    netns: connection.place.id,
    kind: 'proxy',
    summary: step.summary,
    stop: route.stops.length - 1,
    basis: 'observed',
    evidence: step.evidence,
  }));
  return {
    ...route,
    probability: multiply(route.probability, outcome.probability),
    hops: [...route.hops, ...hops],
    conditions: [...route.conditions, ...('conditions' in outcome ? outcome.conditions : [])],
    undecided: outcome.probability === null ? [...route.undecided, ...outcome.unknowns] : route.undecided,
  };
}

/** Of an Envoy's steps those that tell where the traffic goes; listeners, virtual hosts and transports are details. */
function isTold(summary: string, process: Process): boolean {
  return (
    process.kind !== 'envoy' ||
    !/^(listener|filter chain|TLS |virtual host|transport|HTTP connection manager)/.test(summary)
  );
}

function giveUp(route: Route, ...unknowns: readonly Unknown[]): Walked {
  const first = unknowns[0];
  return finish(
    { ...route, assumptions: [...route.assumptions, ...unknowns] },
    'unknown',
    `not known: ${first?.fact ?? ''} (${first?.reason ?? ''})`,
  );
}

function finish(route: Route, verdict: Verdict, reason: string): Walked {
  const open = route.assumptions.length > 0 && verdict !== 'unknown';
  const first = route.assumptions[0];
  return {
    path: {
      probability: route.probability,
      verdict: open ? 'unknown' : verdict,
      reason: open
        ? `not known: ${first?.fact ?? ''} (${first?.reason ?? ''}); as far as the rest shows: ${verdict}, ${reason}`
        : reason,
      encryption: encryptionOf(route.links),
      stops: route.stops,
      links: route.links.map(({ encrypted, ...link }) =>
        link.own === true ? link : { ...link, encrypted: encrypted ?? false },
      ),
      hops: route.hops,
    },
    unknowns: route.assumptions,
    conditions: route.conditions,
    undecided: route.undecided,
  };
}

/** Over all links but those between a workload and its own proxy. */
function encryptionOf(links: readonly Link[]): Path['encryption'] {
  const open = links.filter((link) => link.own !== true);
  if (open.length === 0) return null;
  const encrypted = open.filter((link) => link.encrypted === true).length;
  return encrypted === open.length ? 'mtls' : encrypted === 0 ? 'plaintext' : 'mixed';
}

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
