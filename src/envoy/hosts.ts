import type { Evidence } from '../formats/evidence.js';
import type { JsonObject } from '../formats/envoy-json.js';
import { joinHostPort } from '../formats/ip.js';
import { balance, type Balance } from './balance.js';
import type { ClusterModel, Host, HostSet } from './cluster.js';
import { addressType, ending, goneWay, type End, type Ending } from './connection.js';
import type { Engine } from './engine.js';
import { toInternal } from './internal.js';
import type { ListenerModel } from './listener.js';
import { START, step, stepsKept, stepsOf, weigh, withCondition, withUnknown, type Path, type Step } from './path.js';
import { transport, type Transport } from './transport.js';
import { connected, noUpstream, transportStep, unknownEnd, upstreamTlsOf, type Upstream } from './upstream-end.js';

/** Distributions by subset criteria: the same for every request. */
const balances = new WeakMap<HostSet, Map<string, Balanced>>();

interface Balanced {
  readonly choice: Balance;
  /** Ways to the hosts of `choice.shares`, each made when it is first gone. */
  readonly arrivals: (Arrival | undefined)[];
}

function balanced(cluster: ClusterModel, set: HostSet, criteria: JsonObject | null): Balanced {
  let known = balances.get(set);
  if (known === undefined) balances.set(set, (known = new Map()));
  const key = criteria === null ? '' : JSON.stringify(criteria);
  let found = known.get(key);
  if (found === undefined) known.set(key, (found = { choice: balance(cluster, set, criteria), arrivals: [] }));
  return found;
}

/** The load balancer's choice, and the way to each endpoint that it may choose. */
export function chooseHost(
  engine: Engine,
  cluster: ClusterModel,
  evidence: Evidence,
  upstream: Upstream,
  path: Path,
  end: End,
): void {
  const set = cluster.hosts();
  if (set === null) {
    const reason = 'the dump was taken without ?include_eds';
    unknownEnd(upstream, `endpoints of cluster ${cluster.name}`, reason, evidence, path, end);
    return;
  }
  const { choice, arrivals } = balanced(cluster, set, upstream.criteria);
  let next = path;
  for (const note of choice.notes) next = step(next, note, evidence);
  if (choice.unknown !== null) {
    unknownEnd(upstream, `endpoint of cluster ${cluster.name}`, choice.unknown, evidence, next, end);
    return;
  }
  if (choice.open !== null) next = withUnknown(next, choice.open, `endpoints of cluster ${cluster.name}`);
  if (choice.shares.length === 0) {
    noUpstream(upstream, evidence, next, end);
    return;
  }
  for (const [i, { host, p }] of choice.shares.entries()) {
    const found = (arrivals[i] ??= arrival(engine, cluster, host));
    let branch = weigh(next, p);
    if (choice.dependsOn !== null) branch = withCondition(branch, `${choice.dependsOn} chooses ${host.text}`);
    toHost(engine, cluster, host, found, upstream, branch, end);
  }
}

/** What is the same for every connection to a host: worked out once. */
interface Way {
  readonly ending: Ending;
  readonly socket: Transport;
  readonly steps: readonly Step[];
}

interface Arrival {
  readonly socket: Transport;
  readonly fields: Partial<Ending>;
  readonly steps: readonly Step[];
  /** The whole way, where it depends on nothing but the host. */
  readonly way: Way | null;
}

function arrival(engine: Engine, cluster: ClusterModel, host: Host): Arrival {
  const socket = transport(cluster, host);
  const evidence: Evidence = { file: engine.dump.file, pointer: host.pointer, text: `endpoint ${host.text}` };
  const { address } = host;
  const fields: Partial<Ending> = {
    endpoint: address.kind === 'internal' && address.id === '' ? `internal:${address.listener}` : host.text,
    endpointAddressType: addressType(address.kind),
    decidedBy: evidence,
  };
  const steps = [{ summary: evidence.text, evidence: [evidence] }, transportStep(engine, socket)];
  const plain: Arrival = { socket, fields, steps, way: null };
  return { ...plain, way: wholeWay(engine, cluster, host, plain) };
}

function wholeWay(engine: Engine, cluster: ClusterModel, host: Host, to: Arrival): Way | null {
  const { socket, fields, steps } = to;
  if (socket.unknown !== null) return null;
  const { tls, upstreamTls } = socket;
  const known = { ...fields, tls, upstreamTls, certificate: socket.certificate ?? undefined };
  switch (host.address.kind) {
    case 'socket': {
      const target = joinHostPort(host.address.host, host.address.port);
      return { socket, steps, ending: ending(null, 'forward', null, { ...known, to: target }) };
    }
    case 'pipe':
      return { socket, steps, ending: ending(null, 'forward', null, { ...known, to: `pipe:${host.address.path}` }) };
    case 'internal': {
      const listener = engine.internalListener(host.address.listener);
      if (listener === null || !isPlainTunnel(listener)) return null;
      return throughTunnel(engine, cluster, host, host.address, to);
    }
  }
}

const TCP_PROXY = 'envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy';
const SETS_DESTINATION = new Set([
  'envoy.extensions.filters.listener.original_dst.v3.OriginalDst',
  'istio.set_internal_dst_address.v1.Config',
]);

/** `connect_originate` as istiod writes it: what it does depends on the endpoint's metadata, and not on the bytes. */
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

/** Runs the tunnel once, for a connection that brings nothing with it. */
function throughTunnel(
  engine: Engine,
  cluster: ClusterModel,
  host: Host,
  at: { readonly listener: string; readonly id: string },
  to: Arrival,
): Way | null {
  const found: { readonly result: Ending; readonly path: Path }[] = [];
  const probe: Upstream = {
    connection: {
      payload: { tls: null, app: { kind: 'tcp' } },
      local: { kind: 'internal', listener: '', id: '' },
      localRestored: false,
      remote: null,
      direct: null,
      filterState: new Map(),
      shared: new Set(),
      metadata: new Map(),
      transport: 'raw_buffer',
      sni: '',
      alpn: [],
      terminated: undefined,
      negotiated: null,
      listener: null,
      filterChain: null,
    },
    payload: { tls: null, app: { kind: 'tcp' } },
    criteria: null,
    fields: to.fields,
    http: false,
    grpc: false,
    headers: {},
    alpn: null,
    notFoundStatus: 503,
    terminates: false,
    depth: 0,
  };
  toInternal(engine, cluster, host, at, to.socket, probe, START, (result, path) => found.push({ result, path }));
  const [only] = found;
  if (only === undefined || found.length !== 1) return null;
  const { result, path } = only;
  if (result.action !== 'forward' || path.p !== 1 || path.unknowns !== null || path.conditions !== null) return null;
  return { socket: to.socket, steps: [...to.steps, ...stepsOf(path)], ending: result };
}

function toHost(
  engine: Engine,
  cluster: ClusterModel,
  host: Host,
  to: Arrival,
  upstream: Upstream,
  path: Path,
  end: End,
): void {
  const { socket, fields, steps, way } = to;
  const independent =
    host.address.kind !== 'internal' || (upstream.connection.shared.size === 0 && !upstream.terminates);
  if (way !== null && independent) {
    const made = goneWay(upstream.connection, upstream.fields, way.ending);
    const tls = upstream.alpn === null ? made.upstreamTls : upstreamTlsOf(way.socket, cluster, upstream);
    end(tls === made.upstreamTls ? made : { ...made, upstreamTls: tls }, stepsKept(path, way.steps));
    return;
  }
  const next = stepsKept(path, steps);
  switch (host.address.kind) {
    case 'socket': {
      const target = joinHostPort(host.address.host, host.address.port);
      connected(cluster, socket, upstream, { ...fields, to: target }, next, end);
      return;
    }
    case 'pipe':
      connected(cluster, socket, upstream, { ...fields, to: `pipe:${host.address.path}` }, next, end);
      return;
    case 'internal': {
      const known = { ...upstream, fields: { ...upstream.fields, ...fields } };
      toInternal(engine, cluster, host, host.address, socket, known, next, end);
      return;
    }
  }
}
