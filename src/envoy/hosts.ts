import type { Evidence } from '../formats/evidence.js';
import type { JsonObject } from '../formats/envoy-json.js';
import { joinHostPort } from '../formats/ip.js';
import { balance, type Balance } from './balance.js';
import type { ClusterModel, Host, HostSet } from './cluster.js';
import {
  addressType,
  eachEnding,
  type Connection,
  type End,
  type Ending,
  type Spread,
  type Way,
} from './connection.js';
import type { Engine } from './engine.js';
import { toInternal } from './internal.js';
import type { ListenerModel } from './listener.js';
import { START, step, stepsKept, stepsOf, weigh, withCondition, withUnknown, type Path, type Step } from './path.js';
import { transport, type Transport } from './transport.js';
import { alpnOf, connected, noUpstream, transportStep, unknownEnd, type Upstream } from './upstream-end.js';

/** Distributions by subset criteria: the same for every request. */
const balances = new WeakMap<HostSet, Map<string, Balanced>>();

interface Balanced {
  readonly choice: Balance;
  /** The hosts of `choice.shares`. */
  readonly arrivals: readonly Arrival[];
  /** Their ways and shares, where all of the ways are known before the connection is. */
  readonly known: Pick<Spread, 'ways' | 'shares'> | null;
  /** Some host is an internal listener: what the connection shares with the next one may change its way. */
  readonly internal: boolean;
}

function balanced(engine: Engine, cluster: ClusterModel, set: HostSet, criteria: JsonObject | null): Balanced {
  let known = balances.get(set);
  if (known === undefined) balances.set(set, (known = new Map()));
  const key = criteria === null ? '' : JSON.stringify(criteria);
  let found = known.get(key);
  if (found === undefined) known.set(key, (found = prepared(engine, cluster, balance(cluster, set, criteria))));
  return found;
}

function prepared(engine: Engine, cluster: ClusterModel, choice: Balance): Balanced {
  const arrivals: Arrival[] = [];
  const ways: Way[] = [];
  const shares: (number | null)[] = [];
  let internal = false;
  for (const { host, p } of choice.shares) {
    const found = arrival(engine, cluster, host);
    arrivals.push(found);
    shares.push(p);
    if (found.way !== null) ways.push(found.way);
    if (host.address.kind === 'internal') internal = true;
  }
  const whole = ways.length === arrivals.length && choice.dependsOn === null;
  return { choice, arrivals, known: whole ? { ways, shares } : null, internal };
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
  const { choice, arrivals, known, internal } = balanced(engine, cluster, set, upstream.criteria);
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
  if (known !== null && (!internal || independent(upstream))) {
    end(
      {
        connection: upstream.connection,
        known: upstream.fields,
        ways: known.ways,
        shares: known.shares,
        alpn: alpnOf(cluster, upstream),
      },
      next,
    );
    return;
  }
  for (const [i, { host, p }] of choice.shares.entries()) {
    const found = arrivals[i];
    if (found === undefined) break;
    let branch = weigh(next, p);
    if (choice.dependsOn !== null) branch = withCondition(branch, `${choice.dependsOn} chooses ${host.text}`);
    toHost(engine, cluster, host, found, upstream, branch, end);
  }
}

/** Nothing of the connection reaches what is behind an internal listener. */
function independent(upstream: Upstream): boolean {
  return upstream.connection.shared.size === 0 && !upstream.terminates;
}

interface Arrival {
  readonly socket: Transport;
  readonly fields: Pick<Ending, 'endpoint' | 'endpointAddressType' | 'decidedBy'>;
  /** The whole way, where it depends on nothing but the host. */
  readonly way: Way | null;
}

function arrival(engine: Engine, cluster: ClusterModel, host: Host): Arrival {
  const socket = transport(cluster, host);
  const { address } = host;
  const fields: Arrival['fields'] = {
    endpoint: address.kind === 'internal' && address.id === '' ? `internal:${address.listener}` : host.text,
    endpointAddressType: addressType(address.kind),
    decidedBy: { file: engine.dump.file, pointer: host.pointer, text: `endpoint ${host.text}` },
  };
  return { socket, fields, way: wholeWay(engine, cluster, host, { socket, fields, way: null }) };
}

/** Steps of a connection to the host itself. */
function hostSteps(engine: Engine, { fields, socket }: Arrival): readonly Step[] {
  const { decidedBy } = fields;
  const chosen = decidedBy === null ? [] : [{ summary: decidedBy.text, evidence: [decidedBy] }];
  return [...chosen, transportStep(engine, socket)];
}

function wholeWay(engine: Engine, cluster: ClusterModel, host: Host, to: Arrival): Way | null {
  if (to.socket.unknown !== null) return null;
  switch (host.address.kind) {
    case 'socket':
      return directWay(engine, to, joinHostPort(host.address.host, host.address.port));
    case 'pipe':
      return directWay(engine, to, `pipe:${host.address.path}`);
    case 'internal': {
      const listener = engine.internalListener(host.address.listener);
      if (listener === null || !isPlainTunnel(listener)) return null;
      return throughTunnel(engine, cluster, host, host.address, to);
    }
  }
}

function directWay(engine: Engine, to: Arrival, target: string): Way {
  const { fields, socket } = to;
  return {
    endpoint: fields.endpoint,
    endpointAddressType: fields.endpointAddressType,
    to: target,
    tls: socket.tls,
    upstreamTls: socket.upstreamTls,
    hbone: null,
    hboneTls: undefined,
    innerAuthority: undefined,
    certificate: socket.certificate ?? undefined,
    sourceBind: null,
    decidedBy: fields.decidedBy,
    steps: () => hostSteps(engine, to),
  };
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

const NOTHING: Connection = {
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
};

/** Runs the tunnel once, for a connection that brings nothing with it; and again when its steps are asked for. */
function throughTunnel(
  engine: Engine,
  cluster: ClusterModel,
  host: Host,
  at: { readonly listener: string; readonly id: string },
  to: Arrival,
): Way | null {
  const probe: Upstream = {
    connection: NOTHING,
    payload: NOTHING.payload,
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
  const run = (): readonly (readonly [Ending, Path])[] => {
    const found: (readonly [Ending, Path])[] = [];
    toInternal(engine, cluster, host, at, to.socket, probe, START, (result, path) => {
      eachEnding(result, path, (one, branch) => found.push([one, branch]));
    });
    return found;
  };
  const ends = run();
  const [result, path] = ends[0] ?? [];
  if (result === undefined || path === undefined || ends.length !== 1) return null;
  if (result.action !== 'forward' || path.p !== 1 || path.unknowns !== null || path.conditions !== null) return null;
  return {
    endpoint: result.endpoint,
    endpointAddressType: result.endpointAddressType,
    to: result.to,
    tls: result.tls,
    upstreamTls: result.upstreamTls,
    hbone: result.hbone,
    hboneTls: result.hboneTls,
    innerAuthority: result.innerAuthority,
    certificate: result.certificate,
    sourceBind: result.sourceBind,
    decidedBy: result.decidedBy,
    steps: () => [...hostSteps(engine, to), ...run().flatMap(([, last]) => stepsOf(last))],
  };
}

/** Goes to one host of a choice that depends on the connection. */
function toHost(
  engine: Engine,
  cluster: ClusterModel,
  host: Host,
  to: Arrival,
  upstream: Upstream,
  path: Path,
  end: End,
): void {
  const { socket, fields, way } = to;
  if (way !== null && (host.address.kind !== 'internal' || independent(upstream))) {
    const { connection } = upstream;
    const alpn = alpnOf(cluster, upstream);
    end({ connection, known: upstream.fields, ways: [way], shares: [1], alpn }, path);
    return;
  }
  const next = stepsKept(path, hostSteps(engine, to));
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
