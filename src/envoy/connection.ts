import type { Evidence } from '../formats/evidence.js';
import { formatIp, joinHostPort, parseIp, splitHostPort, unmapIp, type Ip } from '../formats/ip.js';
import type { JsonObject } from '../formats/envoy-json.js';
import { endpointText, hostEvidence, type Host } from './host.js';
import type { EndpointAddressType, EnvoyAction, EnvoyOutcome, HttpRequest } from './face.js';
import { weigh, stepsKept, type Path, type Step } from './path.js';

/** Address of one end of a connection: IP and port, or an internal listener's. */
export type Address =
  | {
      readonly kind: 'ip';
      readonly ip: Ip;
      readonly host: string;
      readonly port: number;
      /** `host:port`, IPv6 in brackets. */
      readonly text: string;
    }
  | { readonly kind: 'internal'; readonly listener: string; readonly id: string };

export function ipAddress(text: string): Address | null {
  return plainAddress(text) ?? writtenAddress(text);
}

const [DOT, COLON, ZERO, NINE] = [46, 58, 48, 57];

/** `a.b.c.d:port` without leading zeros, which is how nearly all of them are written: read in one go. */
function plainAddress(text: string): Address | null {
  let value = 0;
  let part = -1;
  let parts = 0;
  let colon = -1;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code >= ZERO && code <= NINE) {
      if (part === 0) return null;
      part = (part < 0 ? 0 : part * 10) + code - ZERO;
      if (part > (colon < 0 ? 255 : 65_535)) return null;
    } else if ((code === DOT && parts < 3 && colon < 0) || (code === COLON && parts === 3)) {
      if (part < 0) return null;
      value = value * 256 + part;
      part = -1;
      parts++;
      if (code === COLON) colon = i;
    } else {
      return null;
    }
  }
  if (parts !== 4 || part < 0) return null;
  return { kind: 'ip', ip: { family: 4, value }, host: text.slice(0, colon), port: part, text };
}

function writtenAddress(text: string): Address | null {
  const split = splitHostPort(text);
  if (split === null) return null;
  return ipAddressOf(split.host, split.port);
}

export function ipAddressOf(host: string, port: number): Address | null {
  const parsed = parseIp(host);
  if (parsed === null) return null;
  const ip = unmapIp(parsed);
  const written = formatIp(ip);
  return { kind: 'ip', ip, host: written, port, text: joinHostPort(written, port) };
}

export function addressText(address: Address): string {
  return address.kind === 'ip' ? address.text : `internal:${address.listener}/${address.id}`;
}

export interface Tls {
  readonly sni: string | null;
  readonly alpn: readonly string[];
  readonly peer: string | null;
}

/** The bytes of a connection, layer by layer: TLS or not, and what runs inside. */
export interface Payload {
  readonly tls: Tls | null;
  readonly app: Application;
}

export type Application =
  | { readonly kind: 'tcp' }
  | { readonly kind: 'http'; readonly request: HttpRequest }
  /** An HTTP/2 CONNECT (HBONE) with the bytes that are tunnelled. */
  | {
      readonly kind: 'connect';
      readonly authority: string;
      readonly headers: Readonly<Record<string, string>>;
      readonly inner: Payload;
    };

/** A text, or null where it depends on something that the dump does not tell. */
export type StateValue = string | null;

/** A connection on its way through the listener and its filter chain. */
export interface Connection {
  readonly payload: Payload;
  readonly local: Address;
  /** The local address was put back to the original destination (listener filter original_dst). */
  readonly localRestored: boolean;
  /** The client: restored by original_dst on internal connections. */
  readonly remote: Address | null;
  /** The peer of the connection itself; of an internal connection an internal address. */
  readonly direct: Address | null;
  /** Filter state by key. */
  readonly filterState: ReadonlyMap<string, StateValue>;
  /** Filter state that the next internal connection inherits. */
  readonly shared: ReadonlySet<string>;
  /** Dynamic metadata by namespace. */
  readonly metadata: ReadonlyMap<string, JsonObject>;
  /** Found by the listener filters. */
  readonly transport: 'tls' | 'raw_buffer';
  readonly sni: string;
  readonly alpn: readonly string[];
  /** TLS ended here: the peer's identity (null without a certificate). Undefined: no TLS on this connection. */
  readonly terminated: Tls | undefined;
  /** Protocol that the ended TLS agreed on (ALPN), null without. */
  readonly negotiated: string | null;
  readonly listener: string | null;
  readonly filterChain: string | null;
}

/**
 * A connection that no filter has seen yet: what its bytes are, its two ends, the listener that it reached, and what it
 * brings along if it comes from inside.
 */
export function newConnection({
  payload,
  local,
  remote,
  listener,
  filterState = new Map(),
  shared = new Set(),
  metadata = new Map(),
}: Pick<Connection, 'payload' | 'local' | 'remote' | 'listener'> &
  Partial<Pick<Connection, 'filterState' | 'shared' | 'metadata'>>): Connection {
  return {
    payload,
    local,
    localRestored: false,
    remote,
    direct: remote,
    filterState,
    shared,
    metadata,
    transport: 'raw_buffer',
    sni: '',
    alpn: [],
    terminated: undefined,
    negotiated: null,
    listener,
    filterChain: null,
  };
}

/** How one branch ends: the outcome without its history. */
export type Ending = Omit<EnvoyOutcome, 'probability' | 'steps' | 'conditions' | 'unknowns'>;

/** What is decided before a connection to an upstream is made. All of it is always there: one shape makes it cheap. */
export type Known = Pick<
  Ending,
  'route' | 'cluster' | 'endpoint' | 'endpointAddressType' | 'to' | 'upstreamHttp' | 'sourceBind' | 'decidedBy'
>;

export const NOTHING_KNOWN: Known = {
  route: null,
  cluster: null,
  endpoint: null,
  endpointAddressType: null,
  to: null,
  upstreamHttp: null,
  sourceBind: null,
  decidedBy: null,
};

/** What an outcome takes from the kind of way to its host. */
export type Transit = Pick<
  Ending,
  'endpointAddressType' | 'tls' | 'upstreamTls' | 'hboneTls' | 'innerAuthority' | 'certificate' | 'sourceBind'
>;

/** What an outcome takes from its host alone. */
export type Place = Pick<Ending, 'endpoint' | 'to' | 'hbone' | 'decidedBy'>;

/** What the ways to many hosts of a cluster have in common. */
export interface Via extends Transit {
  /** Where the hosts stand. */
  readonly file: string;
  /** Steps from the choice of this host on, made when somebody reads them. */
  steps(host: Host): readonly Step[];
}

/** What is the same for every connection to a host: worked out when it is first gone, and kept. */
export interface Way extends Pick<Ending, 'to' | 'hbone'> {
  readonly host: Host;
  readonly via: Via;
}

export function placeOf({ host, via, to, hbone }: Way): Place {
  return { endpoint: endpointText(host), to, hbone, decidedBy: hostEvidence(host, via.file) };
}

/** Many endings in one: a load balancer's choice among hosts the ways to which are all known. */
export interface Spread {
  readonly connection: Connection;
  /** What was decided before the host: route, cluster, rewritten request. */
  readonly known: Known;
  readonly ways: readonly Way[];
  /** Share of each way; null: not known. */
  readonly shares: readonly (number | null)[];
  /** ALPN in place of the cluster's, null without. */
  readonly alpn: readonly string[] | null;
}

export type End = (result: Ending | Spread, path: Path) => void;

export function isSpread(result: Ending | Spread): result is Spread {
  return 'ways' in result;
}

/** One call per ending, for whoever has to change them. */
export function eachEnding(result: Ending | Spread, path: Path, use: (ending: Ending, path: Path) => void): void {
  if (!isSpread(result)) return use(result, path);
  const before = beforeHost(result);
  result.ways.forEach((way, i) => {
    const gone: Ending = { ...before, ...transitOf(result, way.via), ...placeOf(way) };
    use(gone, stepsKept(weigh(path, result.shares[i] ?? null), way.via.steps(way.host)));
  });
}

/**
 * An ending on this connection, with what is not given left null. Written out field by field: one shape for all of
 * them, which makes the many outcomes of a large cluster cheap.
 */
export function ending(
  connection: Connection | null,
  action: EnvoyAction,
  decidedBy: Evidence | null,
  fields: Partial<Ending> = {},
): Ending {
  return {
    action,
    listener: connection?.listener ?? null,
    filterChain: connection?.filterChain ?? null,
    route: fields.route ?? null,
    cluster: fields.cluster ?? null,
    endpoint: fields.endpoint ?? null,
    endpointAddressType: fields.endpointAddressType ?? null,
    to: fields.to ?? null,
    tls: fields.tls ?? null,
    upstreamTls: fields.upstreamTls ?? null,
    hbone: fields.hbone ?? null,
    hboneTls: fields.hboneTls,
    innerAuthority: fields.innerAuthority,
    certificate: fields.certificate,
    upstreamHttp: fields.upstreamHttp ?? null,
    sourceBind: fields.sourceBind ?? null,
    keepsSource: fields.keepsSource ?? false,
    policy: fields.policy ?? null,
    status: fields.status ?? null,
    reason: fields.reason ?? null,
    decidedBy: decidedBy ?? fields.decidedBy ?? null,
  };
}

/** TLS to an endpoint with another ALPN. */
export function withAlpn(tls: Ending['upstreamTls'], alpn: readonly string[] | null): Ending['upstreamTls'] {
  return tls === null || alpn === null ? tls : { sni: tls.sni, alpn, sans: tls.sans };
}

/** A forward as far as it is the same for every host of the choice. */
export function beforeHost({ connection, known }: Spread): Ending {
  return ending(connection, 'forward', null, known);
}

/** The part of a forward that hosts of one kind share, on this connection. */
export function transitOf({ known, alpn }: Spread, via: Via): Transit {
  const { endpointAddressType, tls, hboneTls, innerAuthority, certificate } = via;
  return {
    endpointAddressType,
    tls,
    upstreamTls: withAlpn(via.upstreamTls, alpn),
    hboneTls,
    innerAuthority,
    certificate,
    sourceBind: endpointAddressType === 'envoy_internal_address' ? via.sourceBind : known.sourceBind,
  };
}

/** Address type as the contract names it, of a dump address. */
export function addressType(kind: 'socket' | 'internal' | 'pipe'): EndpointAddressType {
  switch (kind) {
    case 'socket':
      return 'socket_address';
    case 'internal':
      return 'envoy_internal_address';
    case 'pipe':
      return 'pipe';
  }
}
