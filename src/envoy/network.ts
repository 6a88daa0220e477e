import type { Evidence } from '../formats/evidence.js';
import {
  boolean,
  list,
  number,
  object,
  objectOrNull,
  string,
  strings,
  typed,
  type JsonObject,
} from '../formats/envoy-json.js';
import { findChain, isLocal } from './chain-match.js';
import { addressText, ending, type Connection, type End, type Payload } from './connection.js';
import type { Engine } from './engine.js';
import { builtInTelemetry, setFilterState } from './filter-state.js';
import { formatted } from './format.js';
import { httpConnection } from './http.js';
import type { Filter, FilterChain, ListenerModel } from './listener.js';
import { AUTHORITY_PORT_STATE, AUTHORITY_STATE, runListenerFilters } from './listener-filters.js';
import { matchTree, type Input } from './matcher-tree.js';
import { fork, step, weigh, withUnknown, type Path } from './path.js';
import { networkSubject, runRbac } from './rbac-run.js';
import { stringMatcher } from './strings.js';
import { any, doubt } from './tri.js';
import { toCluster } from './upstream.js';

/** Takes a connection at a listener: listener filters, chain, TLS, network filters. */
export function accept(
  engine: Engine,
  listener: ListenerModel,
  arrived: Connection,
  path: Path,
  depth: number,
  end: End,
): void {
  const evidence = engine.evidence(listener.entry, `listener ${listener.name ?? addressesOf(listener)}`);
  const connection = { ...arrived, listener: listener.name, filterChain: null };
  const taken = step(path, `listener ${listener.name ?? addressesOf(listener)} takes the connection`, evidence);
  runListenerFilters(listener.body(), engine.dump.file, connection, taken, (filtered, next) => {
    if (filtered.listener === null && listener.name !== null) {
      end(ending(connection, 'unknown', evidence, { reason: 'a listener filter is not known to this program' }), next);
      return;
    }
    chooseChain(engine, listener, filtered, next, depth, end);
  });
}

function addressesOf(listener: ListenerModel): string {
  return listener.addresses.map(addressText).join(', ');
}

const NETWORK_INPUTS = 'envoy.extensions.matching.common_inputs.network.v3';

/** Inputs of `filter_chain_matcher`, as envoy 1.40 source/extensions/matching/network/common/inputs.cc gives them. */
export function networkInput(connection: Connection): Input {
  const { local, remote } = connection;
  return (type, config) => {
    switch (type) {
      case `${NETWORK_INPUTS}.DestinationIPInput`:
        return local.kind === 'ip' ? local.host : null;
      case `${NETWORK_INPUTS}.DestinationPortInput`:
        return local.kind === 'ip' ? String(local.port) : null;
      case `${NETWORK_INPUTS}.DirectSourceIPInput`:
        return connection.direct?.kind === 'ip' ? connection.direct.host : null;
      case `${NETWORK_INPUTS}.SourceIPInput`:
        return remote?.kind === 'ip' ? remote.host : null;
      case `${NETWORK_INPUTS}.SourcePortInput`:
        return remote?.kind === 'ip' ? String(remote.port) : null;
      case `${NETWORK_INPUTS}.SourceTypeInput`:
        return isLocal(connection) ? 'local' : null;
      case `${NETWORK_INPUTS}.ServerNameInput`:
        return connection.sni === '' ? null : connection.sni;
      case `${NETWORK_INPUTS}.TransportProtocolInput`:
        return connection.transport;
      case `${NETWORK_INPUTS}.ApplicationProtocolInput`:
        return connection.alpn.length === 0 ? null : connection.alpn.map((name) => `'${name}'`).join(',');
      case `${NETWORK_INPUTS}.FilterStateInput`: {
        const key = string(config['key']) ?? '';
        const value = connection.filterState.get(key);
        if (value === null) return doubt(`filter state ${key} matches`, 'its value is not known');
        return value ?? null;
      }
      default:
        return doubt(`input ${type} matches`, 'not known to this program');
    }
  };
}

function chooseChain(
  engine: Engine,
  listener: ListenerModel,
  connection: Connection,
  path: Path,
  depth: number,
  end: End,
): void {
  const body = listener.body();
  const { file } = engine.dump;
  const use = (chain: FilterChain, next: Path): void => enterChain(engine, chain, connection, next, depth, end);
  const none = (next: Path, pointer: string): void => {
    const evidence: Evidence = { file, pointer, text: `listener ${listener.name ?? addressesOf(listener)}` };
    const text = `no filter chain fits ${addressText(connection.local)}`;
    end(ending(connection, 'error', evidence, { reason: 'NR' }), step(next, text, evidence));
  };
  if (body.matcher !== null) {
    const found = matchTree(body.matcher.value, body.matcher.pointer, networkInput(connection));
    if (found.kind === 'doubt') {
      const evidence: Evidence = { file, pointer: body.matcher.pointer, text: 'filter_chain_matcher' };
      const next = withUnknown(path, found.doubt.fact, found.doubt.reason);
      end(ending(connection, 'unknown', evidence, { reason: 'the filter chain matcher is not understood' }), next);
      return;
    }
    if (found.kind === 'none') {
      if (body.defaultChain === null) none(path, body.matcher.pointer);
      else use(body.defaultChain, path);
      return;
    }
    const name = string(typed(found.value['typed_config']).value['value']) ?? string(found.value['name']) ?? '';
    const evidence: Evidence = { file, pointer: found.pointer, text: `filter chain ${name}` };
    const next = step(path, `matcher chooses filter chain ${name}`, evidence);
    const chain = body.chains.find((item) => item.name === name);
    // A name without a chain ends the connection, the default chain notwithstanding.
    if (chain === undefined) none(next, found.pointer);
    else use(chain, next);
    return;
  }
  const open = body.chains.find((chain) => chain.match.unsupported.length > 0);
  const fitting = findChain(body.chains, connection);
  if (open !== undefined) {
    const evidence: Evidence = { file, pointer: open.pointer, text: `filter chain ${open.name ?? ''}` };
    const fact = `filter chain ${open.name ?? open.pointer} fits the connection`;
    const reason = `its match has ${open.match.unsupported.join(', ')}, not known to this program`;
    end(ending(connection, 'unknown', evidence, { reason }), withUnknown(path, fact, reason));
    return;
  }
  const chain = fitting[0] ?? body.defaultChain;
  if (chain === null) none(path, listener.entry.pointer);
  else use(chain, path);
}

const TLS_CONTEXT = 'envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext';

function enterChain(engine: Engine, chain: FilterChain, found: Connection, path: Path, depth: number, end: End): void {
  const { file } = engine.dump;
  const evidence: Evidence = { file, pointer: chain.pointer, text: `filter chain ${chain.name ?? '(no name)'}` };
  const connection = { ...found, filterChain: chain.name };
  const next = step(path, `filter chain ${chain.name ?? '(no name)'}`, evidence);
  const go = (ready: Connection, after: Path): void => runNetworkFilters(engine, chain, 0, ready, after, depth, end);
  if (chain.transport === null || chain.transport.type.endsWith('.RawBuffer')) return go(connection, next);
  if (chain.transport.type !== TLS_CONTEXT) {
    const reason = `transport socket ${chain.transport.type} is not known to this program`;
    end(
      ending(connection, 'unknown', evidence, { reason }),
      withUnknown(next, `transport of ${chain.pointer}`, reason),
    );
    return;
  }
  const at: Evidence = { file, pointer: chain.transport.pointer, text: 'DownstreamTlsContext' };
  const refused = refusal(chain.transport.config, connection);
  if (refused !== null) {
    end(ending(connection, 'error', at, { reason: `downstream_tls:${refused}` }), step(next, refused, at));
    return;
  }
  const { tls } = connection.payload;
  const inner: Payload = { tls: null, app: connection.payload.app };
  const peer = tls?.peer ?? null;
  const text = `TLS ends here, the client is ${peer ?? 'without a certificate'}`;
  go(
    { ...connection, payload: inner, terminated: tls ?? undefined, negotiated: negotiate(chain.transport.config, tls) },
    step(next, text, at),
  );
}

/** The server's order decides among what the client offers. */
function negotiate(config: JsonObject, tls: Connection['payload']['tls']): string | null {
  const offered = tls?.alpn ?? [];
  return strings(object(config['common_tls_context'])['alpn_protocols']).find((name) => offered.includes(name)) ?? null;
}

/**
 * Why the handshake fails, null where it succeeds. Names to check make a client certificate obligatory (envoy 1.40
 * source/common/tls/cert_validator/default_validator.cc, initializeSslContexts).
 */
function refusal(config: JsonObject, connection: Connection): string | null {
  const { tls } = connection.payload;
  if (tls === null) return 'the chain ends TLS, and the connection is plain text';
  const context = object(config['common_tls_context']);
  const combined = object(context['combined_validation_context']);
  const validation = objectOrNull(combined['default_validation_context']) ?? object(context['validation_context']);
  const matchers = [
    ...list(validation['match_subject_alt_names']).map(object),
    ...list(validation['match_typed_subject_alt_names']).map((item) => object(object(item)['matcher'])),
  ];
  const pinned =
    list(validation['verify_certificate_hash']).length > 0 || list(validation['verify_certificate_spki']).length > 0;
  if (tls.peer === null) {
    const untrusted = validation['trust_chain_verification'] === 'ACCEPT_UNTRUSTED';
    const checked = (matchers.length > 0 || pinned) && !untrusted;
    if (!checked && boolean(config['require_client_certificate']) !== true) return null;
    return 'PEER_DID_NOT_RETURN_A_CERTIFICATE: the chain demands a client certificate';
  }
  const { peer } = tls;
  if (matchers.length === 0) return null;
  return any(matchers, (matcher) => stringMatcher(matcher)(peer)) === false
    ? `CERTIFICATE_VERIFY_FAILED: ${peer} is none of the accepted names`
    : null;
}

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

function runNetworkFilters(
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
export function subsetCriteria(value: JsonObject | null): JsonObject | null {
  return objectOrNull(object(value?.['filter_metadata'])['envoy.lb']);
}

function tcpProxy(engine: Engine, filter: Filter, connection: Connection, path: Path, depth: number, end: End): void {
  const { config } = filter;
  const evidence: Evidence = { file: engine.dump.file, pointer: filter.pointer, text: 'tcp_proxy' };
  const criteria = subsetCriteria(objectOrNull(config['metadata_match']));
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
        fields: { decidedBy: evidence },
        http: false,
        grpc: false,
        headers: {},
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
  return (result, path) => {
    if (result.to === null) return end(result, path);
    const text = string(tunnel['hostname']) ?? '';
    const authority = formatted(text, { connection, request: null });
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
}
