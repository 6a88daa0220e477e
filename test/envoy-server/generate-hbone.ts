import type { JsonObject } from '../../src/formats/envoy-json.js';
import type { Certificates } from './certificates.js';
import {
  any,
  accessLog,
  downstreamTls,
  fixedCluster,
  httpManager,
  INTERNAL,
  inspector,
  listener,
  rbac,
  socketAddress,
  tcpProxy,
  upstreamTls,
} from './building.js';
import { rbacConfig } from './generate-rbac.js';
import { httpQuestion } from './generate-routes.js';
import type { Random } from './random.js';
import { ENDPOINTS, PEERS, type Ports, type Question, type Scenario } from './scenario.js';

const ORIGINAL_DST_FILTER: JsonObject = {
  name: 'envoy.filters.listener.original_dst',
  typed_config: any('extensions.filters.listener.original_dst.v3.OriginalDst'),
};

const HTTP2 = {
  'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
    '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
    explicit_http_config: { http2_protocol_options: { allow_connect: true } },
  },
};

/** The client side of HBONE as istiod writes it for sidecars, gateways and waypoints (1.20 on). */
function originate(
  name: string,
  ports: Ports,
  certificates: Certificates,
): { listener: JsonObject; cluster: JsonObject } {
  return {
    listener: {
      name,
      internal_listener: {},
      listener_filters: [ORIGINAL_DST_FILTER],
      filter_chains: [
        { filters: [tcpProxy(name, { cluster: name, tunneling_config: { hostname: '%DOWNSTREAM_LOCAL_ADDRESS%' } })] },
      ],
    },
    cluster: {
      name,
      type: 'ORIGINAL_DST',
      lb_policy: 'CLUSTER_PROVIDED',
      connect_timeout: '2s',
      transport_socket: upstreamTls(certificates, true, ['h2']),
      typed_extension_protocol_options: HTTP2,
      original_dst_lb_config: {
        upstream_port_override: ports.hbone,
        metadata_key: { key: 'envoy.filters.listener.original_dst', path: [{ key: 'waypoint' }] },
      },
    },
  };
}

function tunnelEndpoint(random: Random, internal: string, host: string, ports: Ports): JsonObject {
  const local = `${host}:${random.pick([80, 8000, ports.plain])}`;
  const waypoint = random.chance(0.3) ? { waypoint: `127.2.0.${1 + random.int(3)}:15008` } : {};
  return {
    endpoint: { address: { envoy_internal_address: { server_listener_name: internal, endpoint_id: local } } },
    metadata: {
      filter_metadata: {
        'envoy.filters.listener.original_dst': { local, ...waypoint },
        'envoy.transport_socket_match': { tunnel: 'http' },
      },
    },
  };
}

/** Endpoints behind an internal address, mixed with plain ones. */
export function outboundHbone(
  random: Random,
  port: number,
  ports: Ports,
  questions: number,
  certificates: Certificates,
): Scenario {
  const name = `hbone-out-${port}`;
  const internal = `originate-${port}`;
  const { listener: inner, cluster: tunnel } = originate(internal, ports, certificates);
  const missing = random.chance(0.1);
  const clusters = ['c0', 'c1'].map((cluster) =>
    fixedCluster(
      `s${port}-${cluster}`,
      random
        .some(ENDPOINTS, 1, 3)
        .map((host) =>
          random.chance(0.7)
            ? tunnelEndpoint(random, internal, host, ports)
            : { endpoint: { address: socketAddress(host, ports.plain) } },
        ),
      {
        transport_socket_matches: [
          { name: 'hbone', match: { tunnel: 'http' }, transport_socket: INTERNAL },
          {
            name: 'tlsMode-disabled',
            match: {},
            transport_socket: {
              name: 'raw',
              typed_config: any('extensions.transport_sockets.raw_buffer.v3.RawBuffer'),
            },
          },
        ],
      },
    ),
  );
  const routes = [
    { name: 'first', match: { prefix: '/api' }, route: { cluster: `s${port}-c1` } },
    { name: 'rest', match: { prefix: '/' }, route: { cluster: `s${port}-c0` } },
  ];
  const table = { name: 'table', virtual_hosts: [{ name: 'all', domains: ['*'], routes }] };
  const http = random.chance(0.7);
  const filters = http ? [httpManager(name, table)] : [tcpProxy(name, { cluster: `s${port}-c0` })];
  return {
    name,
    family: 'hbone-out',
    port,
    listeners: [listener(name, port, { filter_chains: [{ filters }] }), ...(missing ? [] : [inner])],
    clusters: [...clusters, tunnel],
    questions: Array.from({ length: http ? questions : 4 }, () => {
      const question = httpQuestion(random, port);
      return http ? question : { ...question, http: null };
    }),
  };
}

function state(key: string, format: string): JsonObject {
  return {
    object_key: key,
    factory_key: key.startsWith('envoy.filters') ? key : 'envoy.hashable_string',
    format_string: { text_format_source: { inline_string: format } },
    shared_with_upstream: 'ONCE',
  };
}

const CONNECT_STATE: JsonObject = {
  name: 'connect_authority',
  typed_config: any('extensions.filters.http.set_filter_state.v3.Config', {
    on_request_headers: [
      state('envoy.filters.listener.original_dst.local_ip', '%REQ(:AUTHORITY)%'),
      state('envoy.filters.listener.original_dst.remote_ip', '%DOWNSTREAM_REMOTE_ADDRESS%'),
      state('io.istio.peer_principal', '%DOWNSTREAM_PEER_URI_SAN%'),
    ],
  }),
};

function byAddress(random: Random, ports: Ports): JsonObject {
  const action = (name: string): JsonObject => ({
    action: { name, typed_config: { '@type': 'type.googleapis.com/google.protobuf.StringValue', value: name } },
  });
  const byPort: JsonObject = {
    matcher: {
      matcher_tree: {
        input: { name: 'port', typed_config: any('extensions.matching.common_inputs.network.v3.DestinationPortInput') },
        exact_match_map: { map: { '80': action('vip-http'), [String(ports.plain)]: action('vip-tcp') } },
      },
    },
  };
  const sniffed: JsonObject = {
    matcher: {
      matcher_tree: {
        input: {
          name: 'proto',
          typed_config: any('extensions.matching.common_inputs.network.v3.ApplicationProtocolInput'),
        },
        exact_match_map: { map: { "'http/1.1'": action('direct-http'), "'h2c'": action('direct-http') } },
      },
      on_no_match: action('direct-tcp'),
    },
  };
  return {
    matcher_tree: {
      input: { name: 'ip', typed_config: any('extensions.matching.common_inputs.network.v3.DestinationIPInput') },
      custom_match: {
        name: 'ip',
        typed_config: {
          '@type': 'type.googleapis.com/xds.type.matcher.v3.IPMatcher',
          range_matchers: [
            {
              ranges: [
                { address_prefix: '127.1.0.1', prefix_len: 32 },
                { address_prefix: '127.1.0.2', prefix_len: 32 },
              ],
              on_match: byPort,
            },
            { ranges: [{ address_prefix: '127.1.1.0', prefix_len: 24 }], on_match: sniffed },
          ],
        },
      },
    },
    ...(random.chance(0.2) ? { on_no_match: action('direct-tcp') } : {}),
  };
}

/** A waypoint: CONNECT ends, the inner connection goes through the matcher tree of an internal listener. */
export function inboundHbone(
  random: Random,
  port: number,
  ports: Ports,
  questions: number,
  certificates: Certificates,
): Scenario {
  const name = `hbone-in-${port}`;
  const inner = `main-internal-${port}`;
  const direct = `s${port}-direct`;
  const connect = {
    stat_prefix: 'connect_terminate',
    access_log: accessLog(name, 'http'),
    route_config: {
      name: 'default',
      virtual_hosts: [
        {
          name: 'default',
          domains: ['*'],
          routes: [
            {
              match: { connect_matcher: {} },
              route: { cluster: inner, upgrade_configs: [{ upgrade_type: 'CONNECT', connect_config: {} }] },
            },
          ],
        },
      ],
    },
    http_filters: [
      ...(random.chance(0.2) ? [rbac('http', rbacConfig(random, false))] : []),
      CONNECT_STATE,
      { name: 'envoy.filters.http.router', typed_config: any('extensions.filters.http.router.v3.Router') },
    ],
    http2_protocol_options: { allow_connect: true },
    upgrade_configs: [{ upgrade_type: 'CONNECT' }],
  };
  const outer = {
    filter_chains: [
      {
        filters: [
          {
            name: 'hcm',
            typed_config: any('extensions.filters.network.http_connection_manager.v3.HttpConnectionManager', connect),
          },
        ],
        transport_socket: downstreamTls(
          certificates,
          true,
          ['h2'],
          random.chance(0.4) ? [{ prefix: 'spiffe://cluster.local/' }] : [],
        ),
      },
    ],
  };
  const table = (label: string): JsonObject => ({
    name: label,
    virtual_hosts: [
      { name: 'all', domains: ['*'], routes: [{ name: 'default', match: { prefix: '/' }, route: { cluster: label } }] },
    ],
  });
  const guarded = random.chance(0.7) ? [rbac('http', rbacConfig(random, true))] : [];
  const watched = random.chance(0.5) ? [rbac('network', rbacConfig(random, false))] : [];
  const options = random.chance(0.5) ? { use_remote_address: false } : {};
  const main = {
    name: inner,
    internal_listener: {},
    access_log: accessLog(inner, 'connection'),
    listener_filters: [ORIGINAL_DST_FILTER, inspector('http')],
    filter_chain_matcher: byAddress(random, ports),
    filter_chains: [
      { name: 'vip-http', filters: [...watched, httpManager(inner, table(`s${port}-c0`), guarded, options)] },
      { name: 'vip-tcp', filters: [...watched, tcpProxy(inner, { cluster: `s${port}-c0` })] },
      { name: 'direct-http', filters: [httpManager(inner, table(direct), guarded, options)] },
      { name: 'direct-tcp', filters: [tcpProxy(inner, { cluster: direct })] },
    ],
  };
  const ask = (): Question => {
    const { src, dst, http } = httpQuestion(random, port);
    const host = random.pick(['127.1.0.1', '127.1.0.2', '127.1.1.1', '127.1.1.2', '127.1.2.1']);
    return {
      src,
      dst,
      tls: { sni: null, alpn: ['h2'], peer: random.chance(0.95) ? random.pick(Object.values(PEERS)) : null },
      connect: { authority: `${host}:${random.pick([80, ports.plain, ports.plain, 8000])}` },
      // The log knows an inner request by its client, which x-forwarded-for would change.
      http:
        random.chance(0.75) && http !== null
          ? { ...http, headers: { 'x-user': http.headers['x-user'] ?? 'v1' } }
          : null,
    };
  };
  return {
    name,
    family: 'hbone-in',
    port,
    listeners: [listener(name, port, outer), main],
    clusters: [
      fixedCluster(inner, [{ endpoint: { address: { envoy_internal_address: { server_listener_name: inner } } } }], {
        transport_socket: INTERNAL,
      }),
      fixedCluster(`s${port}-c0`, [{ endpoint: { address: socketAddress(random.pick(ENDPOINTS), ports.plain) } }]),
      { name: direct, type: 'ORIGINAL_DST', lb_policy: 'CLUSTER_PROVIDED', connect_timeout: '1s' },
    ],
    questions: Array.from({ length: questions }, ask),
  };
}
