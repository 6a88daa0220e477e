import type { Evidence } from '../formats/evidence.js';
import { list, number, object, objectOrNull, string, type JsonObject } from '../formats/envoy-json.js';
import { joinHostPort } from '../formats/ip.js';
import { balance } from './balance.js';
import { metadataPath, type ClusterModel, type Host } from './cluster.js';
import {
  addressText,
  addressType,
  ending,
  ipAddress,
  type Address,
  type Connection,
  type End,
  type Ending,
  type Payload,
  type StateValue,
} from './connection.js';
import type { Engine } from './engine.js';
import { lookup } from './metadata.js';
import { step, weigh, withCondition, withUnknown, type Path } from './path.js';
import { transport, type Transport } from './transport.js';

/** A connection (or request) on its way to a cluster. */
export interface Upstream {
  readonly connection: Connection;
  /** What runs to the upstream, without the transport's TLS. */
  readonly payload: Payload;
  /** `envoy.lb` metadata that picks a subset, null without. */
  readonly criteria: JsonObject | null;
  /** What the outcome already knows: route, rewritten request. */
  readonly fields: Partial<Ending>;
  /** HTTP statuses instead of flags. */
  readonly http: boolean;
  readonly grpc: boolean;
  /** Lower-case request headers, for `use_http_header`. */
  readonly headers: Readonly<Record<string, string>>;
  /** ALPN that the istio.alpn filter puts in place of the cluster's, by upstream protocol. */
  readonly alpn: ((cluster: ClusterModel) => readonly string[] | null) | null;
  /** Status of a cluster that does not exist. */
  readonly notFoundStatus: number;
  /** True where the CONNECT ends here: the inner connection is what the outcome is about. */
  readonly terminates: boolean;
  readonly depth: number;
}

const MAX_DEPTH = 8;

export function toCluster(engine: Engine, name: string, upstream: Upstream, path: Path, end: End): void {
  const cluster = engine.cluster(name);
  if (cluster === null) {
    const reason = upstream.http ? 'cluster_not_found' : 'NC';
    const status = upstream.http ? localStatus(upstream.notFoundStatus, upstream.grpc) : null;
    const next = step(path, `cluster ${name} does not exist in this Envoy`, null);
    end(
      ending(upstream.connection, 'error', upstream.fields.decidedBy ?? null, { ...upstream.fields, reason, status }),
      next,
    );
    return;
  }
  const evidence = engine.evidence(cluster.entry, `cluster ${name}`);
  const next = step(path, `cluster ${name}`, evidence);
  const fields: Partial<Ending> = { ...upstream.fields, cluster: name, sourceBind: cluster.sourceBind };
  if (cluster.discovery === 'ORIGINAL_DST') {
    originalDestination(engine, cluster, evidence, { ...upstream, fields }, next, end);
    return;
  }
  if (typeof cluster.discovery === 'object') {
    customCluster(engine, cluster, cluster.discovery, { ...upstream, fields }, evidence, next, end);
    return;
  }
  chooseHost(engine, cluster, evidence, { ...upstream, fields }, next, end);
}

/** Local replies to gRPC requests are HTTP 200 with the error in grpc-status. */
export function localStatus(status: number, grpc: boolean): number {
  return grpc ? 200 : status;
}

function noUpstream(upstream: Upstream, evidence: Evidence, path: Path, end: End): void {
  const fields = upstream.http
    ? { reason: 'no_healthy_upstream', status: localStatus(503, upstream.grpc) }
    : { reason: 'UH', status: null };
  end(ending(upstream.connection, 'error', evidence, { ...upstream.fields, ...fields, sourceBind: null }), path);
}

function unknownEnd(upstream: Upstream, fact: string, reason: string, evidence: Evidence, path: Path, end: End): void {
  end(
    ending(upstream.connection, 'unknown', evidence, { ...upstream.fields, reason }),
    withUnknown(path, fact, reason),
  );
}

function customCluster(
  engine: Engine,
  cluster: ClusterModel,
  custom: { readonly custom: string; readonly config: JsonObject },
  upstream: Upstream,
  evidence: Evidence,
  path: Path,
  end: End,
): void {
  if (custom.custom.endsWith('aggregate.v3.ClusterConfig')) {
    const names = list(custom.config['clusters']).filter((name) => typeof name === 'string');
    for (const name of names) {
      const member = engine.cluster(name);
      if (member === null) continue;
      const set = member.hosts();
      if (set !== null && set.hosts.every((host) => host.health === 'unhealthy')) continue;
      // The first member with a host that can be used takes the traffic; partial health spreads it over several.
      const whole = set !== null && set.hosts.every((host) => host.health === 'healthy');
      if (!whole) break;
      toCluster(engine, name, upstream, step(path, `aggregate cluster ${cluster.name} chooses ${name}`, evidence), end);
      return;
    }
  }
  unknownEnd(
    upstream,
    `endpoint of cluster ${cluster.name}`,
    `clusters of type ${custom.custom} choose their endpoints while they run`,
    evidence,
    path,
    end,
  );
}

function chooseHost(
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
  const choice = balance(cluster, set, upstream.criteria);
  let next = path;
  for (const note of choice.notes) next = step(next, note, evidence);
  if (choice.unknown !== null) {
    unknownEnd(upstream, `endpoint of cluster ${cluster.name}`, choice.unknown, evidence, next, end);
    return;
  }
  if (choice.open !== null) next = withUnknown(next, choice.open, 'endpoints of cluster ' + cluster.name);
  if (choice.shares.length === 0) {
    noUpstream(upstream, evidence, next, end);
    return;
  }
  for (const { host, p } of choice.shares) {
    let branch = p === 1 ? next : weigh(next, p);
    if (choice.dependsOn !== null) branch = withCondition(branch, `${choice.dependsOn} chooses ${host.text}`);
    toHost(engine, cluster, host, upstream, branch, end);
  }
}

function toHost(engine: Engine, cluster: ClusterModel, host: Host, upstream: Upstream, path: Path, end: End): void {
  const socket = transport(cluster, host);
  const evidence: Evidence = { file: engine.dump.file, pointer: host.pointer, text: `endpoint ${host.text}` };
  const next = step(step(path, `endpoint ${host.text}`, evidence), ...transportStep(engine, socket));
  const shown =
    host.address.kind === 'internal' && host.address.id === '' ? `internal:${host.address.listener}` : host.text;
  const fields: Partial<Ending> = {
    ...upstream.fields,
    endpoint: shown,
    endpointAddressType: addressType(host.address.kind),
    decidedBy: evidence,
  };
  switch (host.address.kind) {
    case 'socket':
      connected(
        cluster,
        socket,
        upstream,
        { ...fields, to: joinHostPort(host.address.host, host.address.port) },
        next,
        end,
      );
      return;
    case 'pipe':
      connected(cluster, socket, upstream, { ...fields, to: `pipe:${host.address.path}` }, next, end);
      return;
    case 'internal':
      toInternal(engine, cluster, host, host.address, socket, { ...upstream, fields }, next, end);
      return;
  }
}

function transportStep(engine: Engine, socket: Transport): [string, Evidence] {
  const sni = socket.upstreamTls?.sni;
  const text = `transport ${socket.match.name === '' ? '' : `${socket.match.name}: `}${socket.tls ?? 'unknown'}${
    sni === null || sni === undefined ? '' : ` with SNI ${sni}`
  }`;
  return [text, { file: engine.dump.file, pointer: socket.match.pointer, text }];
}

/** Ends with a connection to a real address. */
function connected(
  cluster: ClusterModel,
  socket: Transport,
  upstream: Upstream,
  fields: Partial<Ending>,
  path: Path,
  end: End,
): void {
  const override = upstream.alpn?.(cluster) ?? null;
  const upstreamTls =
    socket.upstreamTls === null || override === null ? socket.upstreamTls : { ...socket.upstreamTls, alpn: override };
  const next =
    socket.unknown === null
      ? path
      : withUnknown(path, `transport to ${fields.to ?? '?'}`, `transport socket ${socket.unknown} is not known`);
  const identity = socket.certificate;
  end(
    ending(upstream.connection, 'forward', fields.decidedBy ?? null, {
      ...fields,
      tls: socket.tls,
      upstreamTls,
      ...(identity === null ? {} : { certificate: identity }),
    }),
    next,
  );
}

const ORIGINAL_DST_STATE = 'envoy.network.transport_socket.original_dst_address';

/** envoy 1.40 source/extensions/clusters/original_dst/original_dst_cluster.cc: filter state, header, metadata, address. */
function originalDestination(
  engine: Engine,
  cluster: ClusterModel,
  evidence: Evidence,
  upstream: Upstream,
  path: Path,
  end: End,
): void {
  const { connection } = upstream;
  const config = object(cluster.entry.value['original_dst_lb_config']);
  let chosen: Address | null = null;
  let why = 'the original destination';
  const state = connection.filterState.get(ORIGINAL_DST_STATE);
  if (state === null) {
    unknownEnd(upstream, `filter state ${ORIGINAL_DST_STATE}`, 'its value is not known', evidence, path, end);
    return;
  }
  if (state !== undefined) {
    chosen = ipAddress(state);
    why = `filter state ${ORIGINAL_DST_STATE}`;
  }
  if (chosen === null && config['use_http_header'] === true) {
    const name = string(config['http_header_name']) ?? 'x-envoy-original-dst-host';
    const value = upstream.headers[name.toLowerCase()];
    chosen = value === undefined ? null : ipAddress(value);
    if (chosen !== null) why = `header ${name}`;
  }
  const key = objectOrNull(config['metadata_key']);
  if (chosen === null && key !== null) {
    const namespace = string(key['key']) ?? '';
    const value = lookup(object(connection.metadata.get(namespace)), metadataPath(key));
    chosen = typeof value === 'string' ? ipAddress(value) : null;
    if (chosen !== null) why = `metadata ${namespace}`;
  }
  if (chosen === null && connection.localRestored && connection.local.kind === 'ip') chosen = connection.local;
  if (chosen?.kind !== 'ip') {
    noUpstream(upstream, evidence, step(path, 'no original destination is known for this connection', evidence), end);
    return;
  }
  const port = number(config['upstream_port_override']) ?? chosen.port;
  const to = joinHostPort(chosen.host, port);
  const socket = transport(cluster, null);
  const next = step(step(path, `connects to ${why}: ${to}`, evidence), ...transportStep(engine, socket));
  const fields: Partial<Ending> = {
    ...upstream.fields,
    endpoint: to,
    endpointAddressType: 'original_dst',
    to,
    decidedBy: evidence,
  };
  connected(cluster, socket, upstream, fields, next, end);
}

/** Filter state and metadata that the internal connection starts with. */
function inherit(
  cluster: ClusterModel,
  host: Host,
  socket: Transport,
  from: Connection,
): Pick<Connection, 'filterState' | 'metadata' | 'shared'> {
  const filterState = new Map<string, StateValue>();
  for (const [key, value] of from.filterState) if (from.shared.has(key)) filterState.set(key, value);
  const metadata = new Map<string, JsonObject>();
  const own = object(object(cluster.entry.value['metadata'])['filter_metadata']);
  for (const { kind, name } of socket.passthrough) {
    const source = kind === 'host' ? host.metadata : kind === 'cluster' ? own : null;
    const value = objectOrNull(source?.[name]);
    if (value !== null) metadata.set(name, { ...metadata.get(name), ...value });
  }
  return { filterState, metadata, shared: new Set() };
}

/** The connection goes to a listener of the same Envoy; what that one does with it completes the outcome. */
function toInternal(
  engine: Engine,
  cluster: ClusterModel,
  host: Host,
  at: { readonly listener: string; readonly id: string },
  socket: Transport,
  upstream: Upstream,
  path: Path,
  end: End,
): void {
  const from = upstream.connection;
  if (upstream.depth >= MAX_DEPTH) {
    const evidence: Evidence = { file: engine.dump.file, pointer: host.pointer, text: 'endpoint' };
    unknownEnd(upstream, 'end of a chain of internal listeners', 'more than 8 in a row', evidence, path, end);
    return;
  }
  const payload: Payload =
    socket.tls === 'tls' || socket.tls === 'mtls'
      ? {
          tls: { sni: socket.upstreamTls?.sni ?? null, alpn: socket.upstreamTls?.alpn ?? [], peer: null },
          app: upstream.payload.app,
        }
      : upstream.payload;
  const inner: Connection = {
    payload,
    local: { kind: 'internal', listener: at.listener, id: at.id },
    localRestored: false,
    // envoy://internal_client_address/ until original_dst puts the client's back
    remote: { kind: 'internal', listener: 'internal_client_address', id: '' },
    direct: { kind: 'internal', listener: 'internal_client_address', id: '' },
    ...inherit(cluster, host, socket, from),
    transport: 'raw_buffer',
    sni: '',
    alpn: [],
    terminated: undefined,
    negotiated: null,
    listener: at.listener,
    filterChain: null,
  };
  engine.toInternal(at.listener, inner, path, upstream.depth + 1, (result, last) => {
    end(upstream.terminates ? result : compose(upstream, cluster, socket, result), last);
  });
}

/** The outer decision with the address that the inner listener connected to. */
function compose(upstream: Upstream, cluster: ClusterModel, socket: Transport, inner: Ending): Ending {
  const override = upstream.alpn?.(cluster) ?? null;
  const upstreamTls =
    socket.upstreamTls === null || override === null ? socket.upstreamTls : { ...socket.upstreamTls, alpn: override };
  if (inner.action === 'forward') {
    return ending(upstream.connection, 'forward', upstream.fields.decidedBy ?? null, {
      ...upstream.fields,
      to: inner.to,
      tls: socket.tls,
      upstreamTls,
      hbone: inner.hbone,
      ...(inner.hbone === null || inner.hboneTls === undefined ? {} : { hboneTls: inner.hboneTls }),
      ...(inner.certificate === undefined ? {} : { certificate: inner.certificate }),
      sourceBind: inner.sourceBind,
    });
  }
  const status = upstream.http ? localStatus(503, upstream.grpc) : null;
  return ending(upstream.connection, inner.action, inner.decidedBy, {
    ...upstream.fields,
    reason: `${addressTextOf(upstream)}: ${inner.reason ?? inner.action}`,
    status: inner.action === 'error' ? status : inner.status,
    policy: inner.policy,
  });
}

function addressTextOf(upstream: Upstream): string {
  return upstream.fields.endpoint ?? addressText(upstream.connection.local);
}
