import type { JsonObject } from '../../src/formats/envoy-json.js';
import type { Certificates } from './certificates.js';
import { downstreamTls, httpManager, inspector, listener, rbac, tcpProxy } from './building.js';
import { httpQuestion, plainClusters } from './generate-routes.js';
import type { Random } from './random.js';
import { PEERS, type Ports, type Question, type Scenario } from './scenario.js';

const IDENTITIES = [...Object.values(PEERS), 'spiffe://cluster.local/ns/foo/sa/nobody'];

function range(random: Random): JsonObject {
  const [address, length] = random.pick([
    ['127.0.0.0', 24],
    ['127.0.1.0', 24],
    ['127.0.0.1', 32],
    ['127.0.0.0', 8],
    ['10.0.0.0', 8],
    ['203.0.113.7', 32],
    ['127.0.5.0', 24],
    ['0.0.0.0', 0],
  ] as const);
  return { address_prefix: address, prefix_len: length };
}

function text(random: Random, from: readonly string[]): JsonObject {
  const value = random.pick(from);
  switch (random.int(6)) {
    case 0:
      return { prefix: value.slice(0, 1 + random.int(value.length)) };
    case 1:
      return { suffix: value.slice(random.int(value.length)) };
    case 2:
      return { contains: value.slice(2, 6) === '' ? value : value.slice(2, 6) };
    case 3:
      return { safe_regex: { regex: `.*${value.slice(0, 3).replace(/\W/g, '.')}.*` } };
    case 4:
      return { exact: value.toUpperCase(), ignore_case: true };
    default:
      return { exact: value };
  }
}

function header(random: Random): JsonObject {
  const name = random.pick(['x-user', ':method', ':authority', ':path', 'x-num']);
  const invert = random.chance(0.25) ? { invert_match: true } : {};
  if (random.chance(0.3)) return { name, present_match: random.chance(0.7), ...invert };
  return { name, string_match: text(random, ['v1', 'GET', 'jason', 'httpbin.bar', '/api/v1']), ...invert };
}

function permission(random: Random, http: boolean, depth = 0): JsonObject {
  const nested = (): JsonObject => permission(random, http, depth + 1);
  const list = (): readonly JsonObject[] => Array.from({ length: 1 + random.int(3) }, nested);
  switch (random.int(depth > 2 ? 8 : 11)) {
    case 0:
      return { any: true };
    case 1:
      return http ? { header: header(random) } : { any: true };
    case 2:
      return http ? { url_path: { path: text(random, ['/api/v1', '/get', '/']) } } : { destination_ip: range(random) };
    case 3:
      return { destination_ip: range(random) };
    case 4:
      return { destination_port: random.pick([80, 8000]) };
    case 5: {
      const start = random.pick([0, 1024, 20000, 40000]);
      return { destination_port_range: { start, end: start + random.pick([1, 20000, 25000]) } };
    }
    case 6:
      return {
        requested_server_name: random.chance(0.3)
          ? { safe_regex: { regex: '.*' } }
          : text(random, ['a.example.com', 'httpbin.bar']),
      };
    case 7:
      return {
        metadata: {
          filter: 'x.y',
          path: [{ key: 'k' }],
          value: { string_match: { exact: 'v' } },
          invert: random.chance(0.5),
        },
      };
    case 8:
      return { and_rules: { rules: list() } };
    case 9:
      return { or_rules: { rules: list() } };
    default:
      return { not_rule: nested() };
  }
}

function principal(random: Random, http: boolean, depth = 0): JsonObject {
  const nested = (): JsonObject => principal(random, http, depth + 1);
  const list = (): readonly JsonObject[] => Array.from({ length: 1 + random.int(3) }, nested);
  switch (random.int(depth > 2 ? 8 : 11)) {
    case 0:
      return { any: true };
    case 1:
      return { authenticated: random.chance(0.2) ? {} : { principal_name: text(random, IDENTITIES) } };
    case 2:
      return { source_ip: range(random) };
    case 3:
      return { direct_remote_ip: range(random) };
    case 4:
      return { remote_ip: range(random) };
    case 5:
      return http ? { header: header(random) } : { source_ip: range(random) };
    case 6:
      return http ? { url_path: { path: text(random, ['/api/v1', '/get', '/']) } } : { remote_ip: range(random) };
    case 7:
      return { filter_state: { key: 'io.istio.peer_principal', string_match: text(random, IDENTITIES) } };
    case 8:
      return { and_ids: { ids: list() } };
    case 9:
      return { or_ids: { ids: list() } };
    default:
      return { not_id: nested() };
  }
}

function rules(random: Random, http: boolean): JsonObject {
  const policies: Record<string, JsonObject> = {};
  const names = random.some(['ns[foo]-policy[b]-rule[0]', 'ns[foo]-policy[a]-rule[1]', 'p10', 'p9', 'P1'], 0, 3);
  for (const name of names) {
    policies[name] = {
      permissions: Array.from({ length: 1 + random.int(2) }, () => permission(random, http)),
      principals: Array.from({ length: 1 + random.int(2) }, () => principal(random, http)),
    };
  }
  return { action: random.pick(['ALLOW', 'ALLOW', 'DENY', 'DENY', 'LOG']), policies };
}

export function rbacConfig(random: Random, http: boolean): JsonObject {
  return {
    ...(random.chance(0.9) ? { rules: rules(random, http) } : {}),
    ...(random.chance(0.3) ? { shadow_rules: rules(random, http), shadow_rules_stat_prefix: 'dry_' } : {}),
  };
}

/** The peer of a TLS connection as filter state, as Istio's listeners put it there. */
const PEER_STATE: JsonObject = {
  name: 'peer',
  typed_config: {
    '@type': 'type.googleapis.com/envoy.extensions.filters.network.set_filter_state.v3.Config',
    on_new_connection: [
      {
        object_key: 'io.istio.peer_principal',
        factory_key: 'envoy.string',
        format_string: { text_format_source: { inline_string: '%DOWNSTREAM_PEER_URI_SAN%' } },
      },
    ],
  },
};

export function tlsQuestion(random: Random, question: Question): Question {
  if (random.chance(0.3)) return question;
  const tls = {
    sni: random.pick([null, 'a.example.com', 'httpbin.bar', 'A.example.com', 'b.a.example.com', 'com']),
    alpn: random.pick([
      [],
      ['istio'],
      ['http/1.1'],
      ['istio-http/1.1', 'istio', 'http/1.1'],
      ['istio-peer-exchange', 'istio'],
    ]),
    peer: random.pick([null, ...Object.values(PEERS)]),
  };
  return { ...question, tls };
}

/** HTTP and network RBAC, on chains with TLS and without. */
export function rbacScenario(
  random: Random,
  port: number,
  ports: Ports,
  questions: number,
  certificates: Certificates,
): Scenario {
  const name = `rbac-${port}`;
  const prefix = `s${port}`;
  const table = {
    name: 'table',
    virtual_hosts: [
      {
        name: 'all',
        domains: ['*'],
        routes: [{ name: 'default', match: { prefix: '/' }, route: { cluster: `${prefix}-c0` } }],
      },
    ],
  };
  const network = random.chance(0.4) ? [rbac('network', rbacConfig(random, false))] : [];
  const state = random.chance(0.5) ? [PEER_STATE] : [];
  const http = random.chance(0.7);
  const filters = http
    ? [
        ...state,
        ...network,
        httpManager(
          name,
          table,
          random.some([0, 1], 1, 2).map(() => rbac('http', rbacConfig(random, true))),
          random.chance(0.3) ? { use_remote_address: true } : {},
        ),
      ]
    : [...state, rbac('network', rbacConfig(random, false)), tcpProxy(name, { cluster: `${prefix}-c0` })];
  const names = random.chance(0.3) ? [{ prefix: 'spiffe://cluster.local/' }] : [];
  const alpn = random.pick([[], ['http/1.1'], ['istio-http/1.1', 'istio', 'http/1.1']]);
  const body = {
    listener_filters: [inspector('tls')],
    filter_chains: [
      {
        name: 'tls',
        filter_chain_match: { transport_protocol: 'tls' },
        transport_socket: downstreamTls(certificates, random.chance(0.5), alpn, names),
        filters,
      },
      { name: 'plain', filters },
    ],
  };
  return {
    name,
    family: 'rbac',
    port,
    listeners: [listener(name, port, body)],
    clusters: plainClusters(random, prefix, ports),
    questions: Array.from({ length: questions }, () => {
      const question = httpQuestion(random, port);
      return tlsQuestion(random, http && random.chance(0.97) ? question : { ...question, http: null });
    }),
  };
}
