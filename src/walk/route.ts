import type { HttpRequest } from '../envoy/face.js';
import type { EnvoyOutcome } from '../envoy/face.js';
import type { Evidence, Unknown } from '../formats/evidence.js';
import type { Pod } from '../formats/kubernetes-types.js';
import type { Mesh } from '../mesh/model.js';
import type { ZtunnelOutcome } from '../ztunnel/face.js';
import { multiply } from './carry.js';
import type { Connection, Opening } from './connect.js';
import type { Engines } from './engines.js';
import type { Process } from './process.js';
import type { Hop, Link, Path, Stop, Verdict } from './trace.js';

/** What runs on a connection, from the outside in: TLS, CONNECT inside it, and what is inside that. */
export interface Content {
  readonly tls: {
    readonly sni: string | null;
    readonly alpn: readonly string[];
    /** Identity of the client's certificate; null without one. */
    readonly peer: string | null;
    /** That certificate is the client's own as a workload of the mesh, not one that a rule gave it. */
    readonly own: boolean;
    /** Identities that the client accepts of the server; empty where it does not say, or looks at the trust domain only. */
    readonly accepts: readonly string[];
  } | null;
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
  /** Facts that are missing, and that are told with an answer which does not hang on them. */
  readonly noted: readonly Unknown[];
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

/** One connection that a process opens. */
export interface Leg {
  readonly from: Process;
  readonly opening: Opening;
  readonly content: Content;
  /** Form of the endpoint's address in EDS, where an Envoy chose it. */
  readonly endpointAddressType: string | null;
  /** What made the process open it; null for the client itself. */
  readonly decidedBy: Evidence | null;
}

/** What the proxies' parts of the walk need of the whole: the engines, and to go on. */
export interface Walker {
  readonly engines: Engines;
  proceed(route: Route, leg: Leg): readonly Walked[];
}

export type LinkDraft = Pick<Link, 'protocol' | 'inner' | 'endpointAddressType'> & { readonly encrypted: boolean };

export function linkOf({ content, opening, endpointAddressType }: Leg): LinkDraft {
  const form = endpointAddressType === null ? {} : { endpointAddressType };
  if (content.connect !== null) return { protocol: 'hbone', encrypted: true, inner: content.connect, ...form };
  if (content.tls !== null) return { protocol: 'tls', encrypted: true, ...form };
  return { protocol: opening.protocol === 'udp' ? 'udp' : 'tcp', encrypted: false, ...form };
}

/** The SPIFFE identity of a pod: trust domain of the mesh, namespace, service account. */
export function identityOf(
  mesh: Mesh,
  pod: Pod | null,
): { readonly value: string | null; readonly unknowns: readonly Unknown[] } {
  if (pod === null)
    return { value: null, unknowns: [{ fact: 'the identity of the client', reason: 'its pod is not known' }] };
  const domain = mesh.trustDomain();
  const path = `/ns/${pod.namespace}/sa/${pod.serviceAccount}`;
  if (domain !== null) return { value: `spiffe://${domain}${path}`, unknowns: [] };
  return {
    value: `spiffe://cluster.local${path}`,
    unknowns: [
      { fact: 'the trust domain of the mesh', reason: 'ConfigMap istio could not be read; taken for cluster.local' },
    ],
  };
}

export function nonEmpty(unknowns: readonly Unknown[], fact: string): readonly Unknown[] {
  return unknowns.length > 0 ? unknowns : [{ fact, reason: 'the configuration does not decide it' }];
}

/** The decisions of a proxy as hops of the way. */
export function decide(
  route: Route,
  connection: Pick<Connection, 'place'>,
  process: Process,
  outcome: ZtunnelOutcome | EnvoyOutcome,
): Route {
  const node = process.kind === 'app' || process.kind === 'envoy' ? process.pod.node : connection.place.node;
  const told = toldSteps(outcome.steps, process);
  const { assumptions, noted } = missing(outcome);
  const hops = outcome.steps.map((step, index): Hop => ({
    node,
    netns: connection.place.id,
    kind: 'proxy',
    summary: step.summary,
    ...(told[index] === true ? {} : { detail: true }),
    stop: route.stops.length - 1,
    basis: 'observed',
    evidence: step.evidence,
  }));
  return {
    ...route,
    probability: multiply(route.probability, outcome.probability),
    hops: [...route.hops, ...hops],
    assumptions: [...route.assumptions, ...assumptions],
    noted: [...route.noted, ...noted],
    conditions: [...route.conditions, ...('conditions' in outcome ? outcome.conditions : [])],
    undecided: outcome.probability === null ? [...route.undecided, ...outcome.unknowns] : route.undecided,
  };
}

/**
 * What a proxy that hands on does not know. A part of the request that travels with it is the next proxy's question; an
 * unknown share leaves every way possible; anything else may change the way itself.
 */
function missing(outcome: ZtunnelOutcome | EnvoyOutcome): Pick<Route, 'assumptions' | 'noted'> {
  const { unknowns, probability, action } = outcome;
  if (action !== 'forward' || unknowns.length === 0) return { assumptions: [], noted: [] };
  const parts = 'upstreamHttp' in outcome ? (outcome.upstreamHttp?.open ?? []) : [];
  const carried = (unknown: Unknown): boolean => parts.some((part) => part.fact === unknown.fact);
  // of a fork that no file settles, see `settleForks`
  if (probability === null) {
    const forked = 'conditions' in outcome && outcome.conditions.length > 0;
    return { assumptions: [], noted: forked ? unknowns.filter(carried) : unknowns };
  }
  return { assumptions: unknowns.filter((unknown) => !carried(unknown)), noted: unknowns.filter(carried) };
}

/**
 * Which steps tell where the traffic goes. Of an Envoy's, listeners, virtual hosts and transports are details, and so is
 * all that its HBONE listeners do: they hand over to the listener inside, or wrap what it has decided.
 */
function toldSteps(steps: readonly { readonly summary: string }[], process: Process): readonly boolean[] {
  let wrapping = false;
  return steps.map(({ summary }) => {
    if (process.kind !== 'envoy') return true;
    const listener = /^listener (\S+)/.exec(summary)?.[1];
    if (listener !== undefined) wrapping = HBONE_LISTENERS.has(listener);
    return (
      !wrapping && !/^(listener|filter chain|TLS |virtual host|transport|HTTP connection manager|retries)/.test(summary)
    );
  });
}

/** istio pilot/pkg/networking/core/waypoint.go, 1.18 to 1.31. */
const HBONE_LISTENERS: ReadonlySet<string> = new Set([
  'connect_terminate',
  'connect_originate',
  'inner_connect_originate',
  'outer_connect_originate',
  'forward_inner_connect',
]);

/** The way is not known from here on. */
export function giveUp(route: Route, ...unknowns: readonly Unknown[]): Walked {
  const first = unknowns[0];
  return finish(
    { ...route, assumptions: [...route.assumptions, ...unknowns] },
    'unknown',
    `not known: ${first?.fact ?? ''} (${first?.reason ?? ''})`,
  );
}

/** The way ends here. */
export function finish(route: Route, verdict: Verdict, reason: string): Walked {
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
    unknowns: [...route.assumptions, ...route.noted],
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
