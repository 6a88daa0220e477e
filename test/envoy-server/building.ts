import type { JsonObject } from '../../src/formats/envoy-json.js';
import type { Certificates } from './certificates.js';
import type { Ports } from './scenario.js';

/** The pieces of configuration that all generators share. */
const TYPE = 'type.googleapis.com/envoy';

export function any(type: string, value: JsonObject = {}): JsonObject {
  return { '@type': `${TYPE}.${type}`, ...value };
}

/** Lines of the access log say which listener and which part of it wrote them. */
export function accessLog(listener: string, kind: 'http' | 'tcp' | 'connection'): readonly JsonObject[] {
  const json_format = {
    kind,
    listener,
    chain: '%FILTER_CHAIN_NAME%',
    route: '%ROUTE_NAME%',
    cluster: '%UPSTREAM_CLUSTER_RAW%',
    host: '%UPSTREAM_HOST%',
    code: '%RESPONSE_CODE%',
    details: '%RESPONSE_CODE_DETAILS%',
    flags: '%RESPONSE_FLAGS%',
    ended: '%CONNECTION_TERMINATION_DETAILS%',
    direct: '%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%',
    remote: '%DOWNSTREAM_REMOTE_ADDRESS%',
    failure: '%DOWNSTREAM_TRANSPORT_FAILURE_REASON%',
  };
  const config = { path: 'ACCESS_LOG_FILE', log_format: { json_format } };
  return [{ name: 'file', typed_config: any('extensions.access_loggers.file.v3.FileAccessLog', config) }];
}

export function tcpProxy(listener: string, target: JsonObject): JsonObject {
  return {
    name: 'envoy.filters.network.tcp_proxy',
    typed_config: any('extensions.filters.network.tcp_proxy.v3.TcpProxy', {
      stat_prefix: 'tcp',
      access_log: accessLog(listener, 'tcp'),
      ...target,
    }),
  };
}

const ROUTER = { name: 'envoy.filters.http.router', typed_config: any('extensions.filters.http.router.v3.Router') };

export function httpManager(
  listener: string,
  routes: JsonObject,
  filters: readonly JsonObject[] = [],
  options: JsonObject = {},
): JsonObject {
  return {
    name: 'envoy.filters.network.http_connection_manager',
    typed_config: any('extensions.filters.network.http_connection_manager.v3.HttpConnectionManager', {
      stat_prefix: 'http',
      access_log: accessLog(listener, 'http'),
      route_config: { validate_clusters: false, ...routes },
      http_filters: [...filters, ROUTER],
      ...options,
    }),
  };
}

export function rbac(kind: 'http' | 'network', config: JsonObject): JsonObject {
  const stat = kind === 'network' ? { stat_prefix: 'rbac' } : {};
  return {
    name: `envoy.filters.${kind}.rbac`,
    typed_config: any(`extensions.filters.${kind}.rbac.v3.RBAC`, { ...stat, ...config }),
  };
}

export function inspector(kind: 'tls' | 'http'): JsonObject {
  const type = kind === 'tls' ? 'TlsInspector' : 'HttpInspector';
  return {
    name: `envoy.filters.listener.${kind}_inspector`,
    typed_config: any(`extensions.filters.listener.${kind}_inspector.v3.${type}`),
  };
}

export function listener(name: string, port: number, body: JsonObject): JsonObject {
  return {
    name,
    address: { socket_address: { address: '0.0.0.0', port_value: port } },
    access_log: accessLog(name, 'connection'),
    ...body,
  };
}

function validation(certificates: Certificates, names: readonly JsonObject[]): JsonObject {
  return {
    trusted_ca: { inline_string: certificates.ca },
    ...(names.length === 0
      ? {}
      : { match_typed_subject_alt_names: names.map((matcher) => ({ san_type: 'URI', matcher })) }),
  };
}

function inline(certificates: Certificates): JsonObject {
  const { cert, key } = certificates.peers.httpbin;
  return { certificate_chain: { inline_string: cert }, private_key: { inline_string: key } };
}

/** A transport socket that ends TLS. */
export function downstreamTls(
  certificates: Certificates,
  required: boolean,
  alpn: readonly string[],
  names: readonly JsonObject[],
): JsonObject {
  return {
    name: 'tls',
    typed_config: any('extensions.transport_sockets.tls.v3.DownstreamTlsContext', {
      common_tls_context: {
        tls_certificates: [inline(certificates)],
        validation_context: validation(certificates, names),
        alpn_protocols: alpn,
      },
      require_client_certificate: required,
    }),
  };
}

export function upstreamTls(certificates: Certificates, mutual: boolean, alpn: readonly string[]): JsonObject {
  return {
    name: 'tls',
    typed_config: any('extensions.transport_sockets.tls.v3.UpstreamTlsContext', {
      common_tls_context: {
        ...(mutual ? { tls_certificates: [inline(certificates)] } : {}),
        alpn_protocols: alpn,
      },
      sni: 'outbound_.80_._.httpbin.bar.svc.cluster.local',
    }),
  };
}

export const RAW: JsonObject = {
  name: 'raw',
  typed_config: any('extensions.transport_sockets.raw_buffer.v3.RawBuffer'),
};

/** Raw bytes to an internal listener, with the metadata of the endpoint. */
export const INTERNAL: JsonObject = {
  name: 'internal_upstream',
  typed_config: any('extensions.transport_sockets.internal_upstream.v3.InternalUpstreamTransport', {
    passthrough_metadata: [{ kind: { host: {} }, name: 'envoy.filters.listener.original_dst' }],
    transport_socket: RAW,
  }),
};

export function socketAddress(host: string, port: number): JsonObject {
  return { socket_address: { address: host, port_value: port } };
}

/** A cluster with fixed endpoints, one locality of one priority. */
export function fixedCluster(name: string, endpoints: readonly JsonObject[], body: JsonObject = {}): JsonObject {
  return {
    name,
    type: 'STATIC',
    connect_timeout: '2s',
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: endpoints }] },
    ...body,
  };
}

export function plainEndpoint(host: string, ports: Ports): JsonObject {
  return { endpoint: { address: socketAddress(host, ports.plain) } };
}
