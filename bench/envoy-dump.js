// A config_dump?include_eds of a sidecar of Istio 1.30 that sees 5,000 Services (HTTP listeners by port, TCP listeners
// by VIP, RDS by port, CDS and EDS), filled up with endpoints to the size that is asked for, and printed as Envoy prints
// it (indented by one space). The same size gives the same bytes.

export const SERVICES = 5_000;
const HTTP_PORTS = [80, 8000, 8080, 9080, 9090];
/** Every tenth Service is TCP: a listener of its own. */
const TCP = 10;

/** Small, fixed-seed generator (Lehmer): benchmarks are compared between runs. */
function generator(seed) {
  let state = seed;
  return (below) => {
    state = (state * 48271) % 2147483647;
    return state % below;
  };
}

const type = (name) => `type.googleapis.com/${name}`;
const vip = (index) => `10.96.${Math.floor(index / 250)}.${1 + (index % 250)}`;
const podIp = (index) => `10.${64 + Math.floor(index / 65536)}.${Math.floor(index / 256) % 256}.${index % 256}`;
const hostOf = (index) => `service-${index}.team-${index % 120}.svc.cluster.local`;
export const portOf = (index) => (index % TCP === 0 ? 6379 : HTTP_PORTS[index % HTTP_PORTS.length]);
const clusterOf = (index) => `outbound|${portOf(index)}||${hostOf(index)}`;

const SDS = {
  api_config_source: {
    api_type: 'GRPC',
    grpc_services: [{ envoy_grpc: { cluster_name: 'sds-grpc' } }],
    set_node_on_first_message_only: true,
    transport_api_version: 'V3',
  },
  initial_fetch_timeout: '0s',
  resource_api_version: 'V3',
};
const RAW = {
  name: 'envoy.transport_sockets.raw_buffer',
  typed_config: { '@type': type('envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer') },
};

function upstreamTls(sni, san, alpn) {
  const validation = san === null ? {} : { match_subject_alt_names: [{ exact: san }] };
  return {
    name: 'envoy.transport_sockets.tls',
    typed_config: {
      '@type': type('envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext'),
      common_tls_context: {
        tls_params: { tls_minimum_protocol_version: 'TLSv1_2', tls_maximum_protocol_version: 'TLSv1_3' },
        alpn_protocols: alpn,
        tls_certificate_sds_secret_configs: [{ name: 'default', sds_config: SDS }],
        combined_validation_context: {
          default_validation_context: validation,
          validation_context_sds_secret_config: { name: 'ROOTCA', sds_config: SDS },
        },
      },
      ...(sni === null ? {} : { sni }),
    },
  };
}

const INTERNAL = {
  name: 'envoy.transport_sockets.internal_upstream',
  typed_config: {
    '@type': type('envoy.extensions.transport_sockets.internal_upstream.v3.InternalUpstreamTransport'),
    passthrough_metadata: [
      { kind: { host: {} }, name: 'envoy.filters.listener.original_dst' },
      { kind: { cluster: {} }, name: 'istio' },
      { kind: { host: {} }, name: 'istio' },
    ],
    transport_socket: RAW,
  },
};

function cluster(index) {
  const name = clusterOf(index);
  const namespace = `team-${index % 120}`;
  return {
    cluster: {
      '@type': type('envoy.config.cluster.v3.Cluster'),
      name,
      type: 'EDS',
      eds_cluster_config: {
        eds_config: { ads: {}, initial_fetch_timeout: '0s', resource_api_version: 'V3' },
        service_name: name,
      },
      connect_timeout: '10s',
      lb_policy: 'LEAST_REQUEST',
      metadata: {
        filter_metadata: { istio: { services: [{ namespace, name: `service-${index}`, host: hostOf(index) }] } },
      },
      common_lb_config: {},
      transport_socket_matches: [
        { name: 'hbone', match: { tunnel: 'http' }, transport_socket: INTERNAL },
        {
          name: 'tlsMode-istio',
          match: { tlsMode: 'istio' },
          transport_socket: upstreamTls(
            `outbound_.${portOf(index)}_._.${hostOf(index)}`,
            `spiffe://cluster.local/ns/${namespace}/sa/service-${index}`,
            ['istio-peer-exchange', 'istio'],
          ),
        },
        { name: 'tlsMode-disabled', match: {}, transport_socket: RAW },
      ],
    },
    last_updated: '2026-11-21T05:08:47.000Z',
  };
}

const ORIGINATE = {
  cluster: {
    '@type': type('envoy.config.cluster.v3.Cluster'),
    name: 'connect_originate',
    type: 'ORIGINAL_DST',
    lb_policy: 'CLUSTER_PROVIDED',
    transport_socket: upstreamTls(null, null, ['h2']),
    original_dst_lb_config: {
      upstream_port_override: 15008,
      metadata_key: { key: 'envoy.filters.listener.original_dst', path: [{ key: 'waypoint' }] },
    },
  },
};

function endpoint(index, port, ambient) {
  const ip = podIp(index);
  const address = ambient
    ? { envoy_internal_address: { server_listener_name: 'connect_originate', endpoint_id: `${ip}:${port}` } }
    : { socket_address: { address: ip, port_value: port } };
  const metadata = ambient
    ? {
        'envoy.filters.listener.original_dst': { local: `${ip}:${port}` },
        'envoy.transport_socket_match': { tunnel: 'http' },
      }
    : { 'envoy.transport_socket_match': { tlsMode: 'istio' } };
  return {
    endpoint: { address, health_check_config: {} },
    health_status: 'HEALTHY',
    metadata: {
      filter_metadata: {
        ...metadata,
        istio: { workload: `app-${index};team-${index % 120};app-${index};v1;Kubernetes` },
      },
    },
    load_balancing_weight: 1,
  };
}

function assignment(index, count, next) {
  const groups = ['a', 'b', 'c'].map((zone) => ({
    locality: { region: 'eu-1', zone: `eu-1${zone}` },
    lb_endpoints: [],
    load_balancing_weight: 0,
  }));
  for (let i = 0; i < count; i++) {
    const group = groups[i % groups.length];
    group.lb_endpoints.push(endpoint(next(2_000_000), portOf(index), index % 2 === 0));
    group.load_balancing_weight++;
  }
  return {
    endpoint_config: {
      '@type': type('envoy.config.endpoint.v3.ClusterLoadAssignment'),
      cluster_name: clusterOf(index),
      endpoints: groups.filter((group) => group.lb_endpoints.length > 0),
      policy: { overprovisioning_factor: 140 },
    },
  };
}

function virtualHost(index) {
  const [short, namespace] = hostOf(index).split('.');
  return {
    name: `${hostOf(index)}:${portOf(index)}`,
    domains: [hostOf(index), `${hostOf(index)}.`, `${short}.${namespace}`, `${short}.${namespace}.svc`, vip(index)],
    routes: [
      {
        match: { prefix: '/' },
        route: {
          cluster: clusterOf(index),
          timeout: '0s',
          retry_policy: { retry_on: 'connect-failure', num_retries: 2 },
        },
        decorator: { operation: `${hostOf(index)}:${portOf(index)}/*` },
        name: 'default',
      },
    ],
    include_request_attempt_count: true,
  };
}

function tcpProxy(target) {
  return {
    name: 'envoy.filters.network.tcp_proxy',
    typed_config: {
      '@type': type('envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy'),
      stat_prefix: target,
      cluster: target,
    },
  };
}

function httpListener(port) {
  const router = { '@type': type('envoy.extensions.filters.http.router.v3.Router') };
  return {
    '@type': type('envoy.config.listener.v3.Listener'),
    name: `0.0.0.0_${port}`,
    address: { socket_address: { address: '0.0.0.0', port_value: port } },
    filter_chains: [
      {
        filter_chain_match: { transport_protocol: 'raw_buffer', application_protocols: ['http/1.1', 'h2c'] },
        filters: [
          {
            name: 'envoy.filters.network.http_connection_manager',
            typed_config: {
              '@type': type('envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager'),
              rds: { config_source: { ads: {} }, route_config_name: String(port) },
              http_filters: [{ name: 'envoy.filters.http.router', typed_config: router }],
              normalize_path: true,
            },
          },
        ],
      },
    ],
    listener_filters: [
      {
        name: 'envoy.filters.listener.http_inspector',
        typed_config: { '@type': type('envoy.extensions.filters.listener.http_inspector.v3.HttpInspector') },
      },
    ],
    default_filter_chain: { filters: [tcpProxy('PassthroughCluster')], name: 'PassthroughFilterChain' },
    bind_to_port: false,
  };
}

function tcpListener(index) {
  return {
    '@type': type('envoy.config.listener.v3.Listener'),
    name: `${vip(index)}_${portOf(index)}`,
    address: { socket_address: { address: vip(index), port_value: portOf(index) } },
    filter_chains: [{ filters: [tcpProxy(clusterOf(index))] }],
    bind_to_port: false,
  };
}

function originateListener() {
  const proxy = tcpProxy('connect_originate');
  const tunneling_config = { hostname: '%DOWNSTREAM_LOCAL_ADDRESS%' };
  return {
    '@type': type('envoy.config.listener.v3.Listener'),
    name: 'connect_originate',
    filter_chains: [{ filters: [{ ...proxy, typed_config: { ...proxy.typed_config, tunneling_config } }] }],
    listener_filters: [
      {
        name: 'envoy.filters.listener.original_dst',
        typed_config: { '@type': type('envoy.extensions.filters.listener.original_dst.v3.OriginalDst') },
      },
    ],
    internal_listener: {},
  };
}

const OUTBOUND = {
  '@type': type('envoy.config.listener.v3.Listener'),
  name: 'virtualOutbound',
  address: { socket_address: { address: '0.0.0.0', port_value: 15001 } },
  filter_chains: [{ name: 'virtualOutbound-catchall-tcp', filters: [tcpProxy('PassthroughCluster')] }],
  use_original_dst: true,
};

/** The dump as text, at least `megabytes` long. */
export function generateDump(megabytes) {
  const next = generator(7);
  const all = Array.from({ length: SERVICES }, (_, index) => index);
  const listeners = [
    OUTBOUND,
    originateListener(),
    ...HTTP_PORTS.map(httpListener),
    ...all.filter((index) => index % TCP === 0).map(tcpListener),
  ];
  const routes = HTTP_PORTS.map((port) => ({
    route_config: {
      '@type': type('envoy.config.route.v3.RouteConfiguration'),
      name: String(port),
      virtual_hosts: all.filter((index) => portOf(index) === port).map(virtualHost),
      validate_clusters: false,
    },
  }));
  const fixed = {
    clusters: all.map(cluster),
    listeners: listeners.map((listener) => ({ name: listener.name, active_state: { listener } })),
  };
  const render = (endpointsEach) =>
    JSON.stringify(
      {
        configs: [
          {
            '@type': type('envoy.admin.v3.BootstrapConfigDump'),
            bootstrap: { node: { id: 'sidecar~10.64.0.1~a.b~b.svc.cluster.local' } },
          },
          {
            '@type': type('envoy.admin.v3.ClustersConfigDump'),
            dynamic_active_clusters: [ORIGINATE, ...fixed.clusters],
          },
          {
            '@type': type('envoy.admin.v3.EndpointsConfigDump'),
            dynamic_endpoint_configs: all.map((index) => assignment(index, endpointsEach, next)),
          },
          { '@type': type('envoy.admin.v3.ListenersConfigDump'), dynamic_listeners: fixed.listeners },
          { '@type': type('envoy.admin.v3.RoutesConfigDump'), dynamic_route_configs: routes },
        ],
      },
      null,
      1,
    );
  const bare = render(0).length;
  const each = (render(1).length - bare) / SERVICES;
  return render(Math.max(1, Math.ceil((megabytes * 1e6 - bare) / (each * SERVICES) / 0.95)));
}

/** Requests of the sidecar's own pod to one Service after the other. */
export function requests(kind, count) {
  const next = generator(11);
  return Array.from({ length: count }, () => {
    let index = next(SERVICES);
    while ((index % TCP === 0) !== (kind === 'tcp')) index = next(SERVICES);
    const http = { method: 'GET', authority: hostOf(index), path: '/get?x=1', headers: { 'user-agent': 'bench' } };
    return {
      listener: '0.0.0.0:15001',
      src: '10.64.0.1:40000',
      dst: `${vip(index)}:${portOf(index)}`,
      tls: null,
      connect: null,
      innerTls: null,
      http: kind === 'tcp' ? null : http,
    };
  });
}
