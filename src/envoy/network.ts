import type { Evidence } from '../formats/evidence.js';
import { boolean, list, number, object, objectOrNull, string, type JsonObject } from '../formats/envoy-json.js';
import { eachEnding, ending, NOTHING_KNOWN, type Connection, type End, type Ending } from './connection.js';
import type { Engine } from './engine.js';
import { builtInTelemetry, setFilterState } from './filter-state.js';
import { formatted } from './format.js';
import { httpConnection } from './http.js';
import type { Filter, FilterChain } from './listener.js';
import { AUTHORITY_PORT_STATE, AUTHORITY_STATE } from './listener-filters.js';
import { openFields } from './open-fields.js';
import { fork, step, weigh, withUnknown, type Path } from './path.js';
import { networkSubject, runRbac } from './rbac-run.js';
import { doubt } from './tri.js';
import { toCluster } from './upstream.js';

const RBAC = 'envoy.extensions.filters.network.rbac.v3.RBAC';
const TCP_PROXY = 'envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy';
const HCM = 'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';
const SET_STATE = 'envoy.extensions.filters.network.set_filter_state.v3.Config';
const AUTHN = 'io.istio.network.authn.Config';
const CONNECT_AUTHORITY = 'io.istio.http.connect_authority.Config';
const SNI_CLUSTER = 'envoy.extensions.filters.network.sni_cluster.v3.SniCluster';
const CLUSTER_REWRITE = 'istio.envoy.config.filter.network.tcp_cluster_rewrite.v2alpha1.TcpClusterRewrite';
const CLUSTER_STATE = 'envoy.tcp_proxy.cluster';

/** Filters that count or tell, and change nothing of where the bytes go. */
const PASSIVE = new Set([
  'envoy.tcp.metadataexchange.config.MetadataExchange',
  'io.istio.network.metadata_exchange.Config',
  'stats.PluginConfig',
  'io.istio.stats.Config',
  'io.istio.http.peer_metadata.Config',
  'envoy.extensions.network_filters.peer_metadata.Config',
  'envoy.extensions.filters.network.mongo_proxy.v3.MongoProxy',
  'envoy.extensions.filters.network.mysql_proxy.v3.MySQLProxy',
  'envoy.extensions.filters.network.postgres_proxy.v3alpha.PostgresProxy',
  'envoy.extensions.filters.network.zookeeper_proxy.v3.ZooKeeperProxy',
  'envoy.extensions.filters.network.kafka_broker.v3.KafkaBroker',
]);

/** The peer's certificate as filter state, as Istio's authn network filter sets it (istio/proxy 1.18). */
function authn(connection: Connection): Connection {
  const peer = connection.terminated?.peer ?? null;
  if (peer === null) return connection;
  const filterState = new Map(connection.filterState);
  filterState.set('io.istio.peer_principal', peer);
  return { ...connection, filterState, shared: new Set([...connection.shared, 'io.istio.peer_principal']) };
}

/** Runs the network filters of a chain from `index` on; the terminal one sends the bytes on. */
export function runNetworkFilters(
  engine: Engine,
  chain: FilterChain,
  index: number,
  connection: Connection,
  path: Path,
  depth: number,
  end: End,
): void {
  const filter = chain.filters[index];
  const { file } = engine.dump;
  if (filter === undefined) {
    const evidence: Evidence = { file, pointer: chain.pointer, text: 'filter chain without a terminal filter' };
    end(ending(connection, 'error', evidence, { reason: 'no terminal network filter' }), path);
    return;
  }
  const evidence: Evidence = { file, pointer: filter.pointer, text: `network filter ${filter.name}` };
  const goOn = (changed: Connection, next: Path): void =>
    runNetworkFilters(engine, chain, index + 1, changed, next, depth, end);
  if (PASSIVE.has(filter.type) || builtInTelemetry(filter.config)) return goOn(connection, path);
  switch (filter.type) {
    case RBAC: {
      const subject = networkSubject(connection);
      const denied = (policy: string | null, at: Evidence, next: Path): void =>
        end(ending(connection, 'deny', at, { policy, reason: 'rbac_access_denied' }), next);
      return runRbac(engine, filter, subject, connection.metadata, path, denied, (metadata, next) =>
        goOn({ ...connection, metadata }, next),
      );
    }
    case SET_STATE: {
      // A new connection has no TLS peer yet: the handshake comes after.
      const early = { ...connection, terminated: undefined };
      const first = setFilterState(list(filter.config['on_new_connection']).map(object), connection, (text) =>
        formatted(text, { connection: early, request: null }),
      );
      const late = connection.terminated === undefined ? [] : list(filter.config['on_downstream_tls_handshake']);
      return goOn(
        setFilterState(late.map(object), first, (text) => formatted(text, { connection: first, request: null })),
        path,
      );
    }
    case AUTHN:
      return goOn(authn(connection), path);
    case CONNECT_AUTHORITY:
      return goOn(
        { ...connection, shared: new Set([...connection.shared, AUTHORITY_STATE, AUTHORITY_PORT_STATE]) },
        path,
      );
    case SNI_CLUSTER:
    case CLUSTER_REWRITE: {
      const filterState = new Map(connection.filterState);
      if (filter.type === SNI_CLUSTER && connection.sni !== '') filterState.set(CLUSTER_STATE, connection.sni);
      if (filter.type === CLUSTER_REWRITE) filterState.set(CLUSTER_STATE, null);
      return goOn({ ...connection, filterState }, path);
    }
    case TCP_PROXY:
      return tcpProxy(engine, filter, connection, path, depth, end);
    case HCM:
      return httpConnection(engine, filter, connection, path, depth, end);
    case 'envoy.extensions.filters.network.redis_proxy.v3.RedisProxy':
      return opaqueProxy(connection, filter, evidence, path, end);
    case 'envoy.extensions.filters.network.ext_authz.v3.ExtAuthz': {
      const question = doubt(`external authorization of ${filter.name} allows the connection`, 'asked while it runs');
      const denied = { reason: 'ext_authz_denied', policy: filter.name };
      return fork(
        path,
        question,
        'condition',
        (yes) => goOn(connection, yes),
        (no) => end(ending(connection, 'deny', evidence, denied), no),
      );
    }
    case 'envoy.extensions.filters.network.local_ratelimit.v3.LocalRateLimit':
    case 'envoy.extensions.filters.network.ratelimit.v3.RateLimit':
    case 'envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit': {
      const question = doubt(`the limit of ${filter.name} is not reached`, 'depends on the load');
      return fork(
        path,
        question,
        'condition',
        (yes) => goOn(connection, yes),
        (no) => end(ending(connection, 'error', evidence, { reason: 'connection limit' }), no),
      );
    }
    default: {
      const question = doubt(
        `network filter ${filter.name} leaves the connection as it is`,
        `${filter.type === '' ? filter.name : filter.type} is not known to this program`,
      );
      return fork(
        path,
        question,
        'unknown',
        (yes) => goOn(connection, yes),
        (no) => end(ending(connection, 'unknown', evidence, { reason: question.reason }), no),
      );
    }
  }
}

function opaqueProxy(connection: Connection, filter: Filter, evidence: Evidence, path: Path, end: End): void {
  const routes = object(filter.config['prefix_routes']);
  const cluster = string(object(routes['catch_all_route'])['cluster']);
  const reason = `${filter.name} chooses the endpoint by the command and its key`;
  end(ending(connection, 'unknown', evidence, { cluster, reason }), withUnknown(path, 'the command', reason));
}

/** `envoy.lb` part of a metadata_match. */
function subsetCriteria(value: JsonObject | null): JsonObject | null {
  return objectOrNull(object(value?.['filter_metadata'])['envoy.lb']);
}

function tcpProxy(engine: Engine, filter: Filter, connection: Connection, path: Path, depth: number, end: End): void {
  const { config } = filter;
  const evidence: Evidence = { file: engine.dump.file, pointer: filter.pointer, text: 'tcp_proxy' };
  const criteria = subsetCriteria(objectOrNull(config['metadata_match']));
  const open = engine.compiled('open tcp_proxy', config, () => openFields('tcp_proxy', config, filter.pointer));
  if (open !== null) {
    end(ending(connection, 'unknown', evidence, { reason: open.reason }), withUnknown(path, open.fact, open.reason));
    return;
  }
  const send = (name: string, own: JsonObject | null, next: Path): void => {
    const merged = criteria === null ? own : own === null ? criteria : { ...criteria, ...own };
    const tunnel = objectOrNull(config['tunneling_config']);
    const finish = tunnel === null ? end : tunnelled(tunnel, connection, end);
    toCluster(
      engine,
      name,
      {
        connection,
        payload: connection.payload,
        criteria: merged,
        fields: { ...NOTHING_KNOWN, decidedBy: evidence },
        http: false,
        grpc: false,
        headers: {},
        changesHeader: () => false,
        onDemand: config['on_demand'] !== undefined,
        alpn: null,
        notFoundStatus: 503,
        terminates: false,
        depth,
      },
      step(next, `tcp_proxy to ${name}`, evidence),
      finish,
    );
  };
  const fixed = connection.filterState.get(CLUSTER_STATE);
  if (fixed === null) {
    const reason = 'the cluster is named by filter state that this program does not know';
    end(ending(connection, 'unknown', evidence, { reason }), withUnknown(path, 'cluster of the connection', reason));
    return;
  }
  if (fixed !== undefined) return send(fixed, null, path);
  const single = string(config['cluster']);
  if (single !== null) return send(single, null, path);
  const weighted = list(object(config['weighted_clusters'])['clusters']).map(object);
  const total = weighted.reduce((sum, item) => sum + (number(item['weight']) ?? 0), 0);
  if (total === 0) {
    const reason = 'tcp_proxy names no cluster';
    end(ending(connection, 'unknown', evidence, { reason }), withUnknown(path, 'cluster of the connection', reason));
    return;
  }
  for (const item of weighted) {
    const weight = number(item['weight']) ?? 0;
    if (weight === 0) continue;
    send(string(item['name']) ?? '', subsetCriteria(objectOrNull(item['metadata_match'])), weigh(path, weight / total));
  }
}

/** tcp_proxy sends the bytes inside a CONNECT: the address that it connects to becomes `hbone.to`. */
function tunnelled(tunnel: JsonObject, connection: Connection, end: End): End {
  const wrap = (result: Ending, path: Path): void => {
    if (result.to === null) return end(result, path);
    const text = string(tunnel['hostname']) ?? '';
    const posts = boolean(tunnel['use_post']) === true;
    const authority = posts ? null : formatted(text, { connection, request: null });
    const next = authority === null ? withUnknown(path, `CONNECT authority ${text}`, 'its value is not known') : path;
    const shown = authority ?? text;
    if (result.hbone !== null) return end({ ...result, innerAuthority: shown }, next);
    end(
      {
        ...result,
        hbone: { to: result.to, authority: shown },
        hboneTls: { tls: result.tls, upstreamTls: result.upstreamTls },
      },
      step(next, `tunnels by CONNECT ${shown}`, result.decidedBy),
    );
  };
  return (result, path) => eachEnding(result, path, wrap);
}
