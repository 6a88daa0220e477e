import { boolean, object, objectOrNull, string, number, type JsonObject } from '../formats/envoy-json.js';
import { joinHostPort } from '../formats/ip.js';
import { metadataPath, type ClusterModel } from './cluster.js';
import { endpointText, hostEvidence, hostText, type Host } from './host.js';
import {
  addressType,
  eachEnding,
  ipAddress,
  newConnection,
  NOTHING_KNOWN,
  type Ending,
  type Known,
  type Via,
  type Way,
} from './connection.js';
import type { Engine } from './engine.js';
import { toInternal } from './internal.js';
import type { ListenerModel } from './listener.js';
import { lookup } from './metadata.js';
import { openFields } from './open-fields.js';
import { START, stepOf, stepsOf, type Path, type Step } from './path.js';
import { transport, type Transport } from './transport.js';
import type { Upstream } from './upstream-end.js';

/** What is known of an outcome when its host is chosen. */
export function hostFields(host: Host, file: string): Pick<Known, 'endpoint' | 'endpointAddressType' | 'decidedBy'> {
  const decidedBy = hostEvidence(host, file);
  return { endpoint: endpointText(host), endpointAddressType: addressType(host.kind), decidedBy };
}

/** Steps of a connection to the host itself. */
export function hostSteps(host: Host, file: string, socket: Transport): readonly Step[] {
  const chosen = hostEvidence(host, file);
  return [stepOf(chosen.text, chosen), socket.step];
}

/** What the ways to the hosts of one cluster share: worked out for the first of them. */
interface Shared {
  readonly engine: Engine;
  readonly cluster: ClusterModel;
  readonly direct: Map<Transport, Via>;
  /** The last one through an internal listener, by transport. */
  readonly tunnels: Map<Transport, Tunnel>;
}

/**
 * The way to each host, whoever goes it; null where it depends on more than the host, and where it leads back to this
 * cluster: then each connection is followed by itself, as far as chains of internal listeners go.
 */
export function waysTo(engine: Engine, cluster: ClusterModel, hosts: readonly Host[]): readonly (Way | null)[] {
  const shared: Shared = { engine, cluster, direct: new Map(), tunnels: new Map() };
  if (engine.underWay.has(cluster)) return hosts.map(() => null);
  engine.underWay.add(cluster);
  try {
    return hosts.map((host) => wayTo(shared, host));
  } finally {
    engine.underWay.delete(cluster);
  }
}

function wayTo(shared: Shared, host: Host): Way | null {
  const { engine, cluster, direct } = shared;
  const socket = transport(cluster, host);
  if (socket.unknown !== null) return null;
  switch (host.kind) {
    case 'pipe':
      return { host, to: hostText(host), hbone: null, via: directVia(engine, socket, host.kind) };
    case 'socket': {
      let via = direct.get(socket);
      if (via === undefined) direct.set(socket, (via = directVia(engine, socket, host.kind)));
      return { host, to: host.name, hbone: null, via };
    }
    case 'internal':
      return throughTunnel(shared, host, socket, tunnelTo(shared, socket, host.listener ?? ''));
  }
}

function directVia(engine: Engine, socket: Transport, kind: 'socket' | 'pipe'): Via {
  return {
    endpointAddressType: addressType(kind),
    tls: socket.tls,
    upstreamTls: socket.upstreamTls,
    hboneTls: undefined,
    innerAuthority: undefined,
    certificate: socket.certificate ?? undefined,
    sourceBind: null,
    file: engine.dump.file,
    steps: (host) => hostSteps(host, engine.dump.file, socket),
  };
}

const TCP_PROXY = 'envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy';
const ORIGINAL_DST = 'envoy.extensions.filters.listener.original_dst.v3.OriginalDst';
const SETS_DESTINATION = new Set([ORIGINAL_DST, 'istio.set_internal_dst_address.v1.Config']);

/** `connect_originate` as istiod writes it. */
function isPlainTunnel(listener: ListenerModel): boolean {
  const { filters, chains, defaultChain, matcher } = listener.body();
  const [chain] = chains;
  if (chain === undefined || chains.length !== 1 || defaultChain !== null || matcher !== null) return false;
  const [filter] = chain.filters;
  return (
    chain.transport === null &&
    chain.filters.length === 1 &&
    filter?.type === TCP_PROXY &&
    filter.config['weighted_clusters'] === undefined &&
    filters.every((item) => SETS_DESTINATION.has(item.type) && item.raw['filter_disabled'] === undefined)
  );
}

const NOTHING = newConnection({
  payload: { tls: null, app: { kind: 'tcp' } },
  local: { kind: 'internal', listener: '', id: '' },
  remote: null,
  listener: null,
});

/** Runs the tunnel for a connection that brings nothing with it. */
function runTunnel(
  engine: Engine,
  cluster: ClusterModel,
  host: Host,
  socket: Transport,
): readonly (readonly [Ending, Path])[] {
  const probe: Upstream = {
    connection: NOTHING,
    payload: NOTHING.payload,
    criteria: null,
    fields: { ...NOTHING_KNOWN, ...hostFields(host, engine.dump.file) },
    http: false,
    grpc: false,
    headers: {},
    changesHeader: () => false,
    alpn: null,
    notFoundStatus: 503,
    terminates: false,
    depth: 0,
  };
  const found: (readonly [Ending, Path])[] = [];
  toInternal(engine, cluster, host, host.listener ?? '', socket, probe, START, (result, path) => {
    eachEnding(result, path, (one, branch) => found.push([one, branch]));
  });
  return found;
}

function tunnelSteps(engine: Engine, cluster: ClusterModel, host: Host, socket: Transport): readonly Step[] {
  return [
    ...hostSteps(host, engine.dump.file, socket),
    ...runTunnel(engine, cluster, host, socket).flatMap(([, path]) => stepsOf(path)),
  ];
}

function throughTunnel({ engine, cluster }: Shared, host: Host, socket: Transport, tunnel: Tunnel): Way | null {
  if (!tunnel.plain) return null;
  const quick = tunnel.quick === null ? null : originated(host, tunnel.quick);
  if (quick !== null) return quick;
  const ends = runTunnel(engine, cluster, host, socket);
  const [result, path] = ends[0] ?? [];
  if (result === undefined || path === undefined || ends.length !== 1) return null;
  if (result.action !== 'forward' || path.p !== 1 || path.unknowns !== null || path.conditions !== null) return null;
  const via: Via = {
    endpointAddressType: result.endpointAddressType,
    tls: result.tls,
    upstreamTls: result.upstreamTls,
    hboneTls: result.hboneTls,
    innerAuthority: result.innerAuthority,
    certificate: result.certificate,
    sourceBind: result.sourceBind,
    file: engine.dump.file,
    steps: (of) => tunnelSteps(engine, cluster, of, socket),
  };
  return { host, to: result.to, hbone: result.hbone, via };
}

/** An internal listener as the way of a connection that it takes from a socket of some cluster. */
interface Tunnel {
  readonly listener: string;
  /** What it does depends on the endpoint's metadata, and not on the bytes. */
  readonly plain: boolean;
  readonly quick: Quick | null;
}

function tunnelTo({ engine, cluster, tunnels }: Shared, socket: Transport, name: string): Tunnel {
  const known = tunnels.get(socket);
  if (known?.listener === name) return known;
  const listener = engine.internalListener(name);
  const originator = listener === null ? null : originatorOf(engine, listener);
  const made: Tunnel = {
    listener: name,
    plain: listener !== null && isPlainTunnel(listener),
    quick: originator === null ? null : quickWay(engine, cluster, socket, originator),
  };
  tunnels.set(socket, made);
  return made;
}

const DESTINATION = 'envoy.filters.listener.original_dst';

/** The tunnel of ztunnel's kind, taken apart: all that it still asks of an endpoint is two addresses of its metadata. */
interface Originator {
  /** Where the address of the peer stands in the metadata, before the destination itself. */
  readonly override: readonly string[] | null;
  readonly port: number | null;
  readonly outer: Transport;
  readonly sourceBind: string | null;
}

/** Null where the listener is of another make: then it is run for each endpoint. */
function originatorOf(engine: Engine, listener: ListenerModel): Originator | null {
  return engine.compiled('originator', listener.entry.value, () => {
    const { filters, chains } = listener.body();
    const proxy: JsonObject = object(chains[0]?.filters[0]?.config);
    const through = engine.cluster(string(proxy['cluster']) ?? '');
    if (through?.discovery !== 'ORIGINAL_DST') return null;
    const outer = transport(through, null);
    const settings = object(through.entry.value['original_dst_lb_config']);
    const key = objectOrNull(settings['metadata_key']);
    const plain =
      understood(listener, through) &&
      filters.length === 1 &&
      filters[0]?.type === ORIGINAL_DST &&
      chains[0]?.match.any === true &&
      string(object(proxy['tunneling_config'])['hostname']) === '%DOWNSTREAM_LOCAL_ADDRESS%' &&
      settings['use_http_header'] !== true &&
      (key === null || string(key['key']) === DESTINATION);
    if (!plain || outer.unknown !== null) return null;
    return {
      override: key === null ? null : metadataPath(key),
      port: number(settings['upstream_port_override']),
      outer,
      sourceBind: through.sourceBind,
    };
  });
}

/** None of what makes the tunnel has a field that may change it. */
function understood(listener: ListenerModel, through: ClusterModel): boolean {
  const [chain] = listener.body().chains;
  const proxy = chain?.filters[0];
  if (chain === undefined || proxy === undefined) return false;
  return (
    listener.body().open === null &&
    chain.open === null &&
    openFields('tcp_proxy', proxy.config, proxy.pointer) === null &&
    through.open === null &&
    boolean(object(proxy.config['tunneling_config'])['use_post']) !== true
  );
}

interface Quick extends Pick<Originator, 'override' | 'port'> {
  readonly via: Via;
}

/** Null where the socket does not hand on what the tunnel asks for. */
function quickWay(
  engine: Engine,
  cluster: ClusterModel,
  socket: Transport,
  { override, port, outer, sourceBind }: Originator,
): Quick | null {
  const { tls, upstreamTls } = socket;
  const passed = socket.passthrough.filter(({ name }) => name === DESTINATION);
  if (tls === null || passed.length !== 1 || passed[0]?.kind !== 'host') return null;
  const via: Via = {
    endpointAddressType: addressType('internal'),
    tls,
    upstreamTls,
    hboneTls: { tls: outer.tls, upstreamTls: outer.upstreamTls },
    innerAuthority: undefined,
    certificate: outer.certificate ?? undefined,
    sourceBind,
    file: engine.dump.file,
    steps: (host) => tunnelSteps(engine, cluster, host, socket),
  };
  return { override, port, via };
}

/** As the listener filter original_dst and the cluster connect_originate do it, in that order. */
function originated(host: Host, { override, port, via }: Quick): Way | null {
  const metadata = objectOrNull(host.metadata[DESTINATION]);
  const local = ipAddress(string(metadata?.['local']) ?? '');
  if (metadata === null || local?.kind !== 'ip') return null;
  const written = override === null ? undefined : lookup(metadata, override);
  const other = typeof written === 'string' ? ipAddress(written) : null;
  const peer = other?.kind === 'ip' ? other : local;
  const to = port === null ? peer.text : joinHostPort(peer.host, port);
  return { host, to, hbone: { to, authority: local.text }, via };
}
