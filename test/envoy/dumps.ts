import { loadEnvoy } from '../../src/envoy/load.js';
import type { Envoy, EnvoyOutcome, EnvoyRequest } from '../../src/envoy/face.js';
import type { Json, JsonObject } from '../../src/formats/envoy-json.js';

/** Small dumps: one listener on 0.0.0.0:80, one cluster `c`, and whatever a test changes of them. */
export function any(type: string, value: JsonObject = {}): JsonObject {
  return { '@type': `type.googleapis.com/${type}`, ...value };
}

export function endpoint(host: string, more: JsonObject = {}): JsonObject {
  return { endpoint: { address: { socket_address: { address: host, port_value: 8080 } } }, ...more };
}

export function cluster(name: string, endpoints: readonly Json[], more: JsonObject = {}): JsonObject {
  const load_assignment = { cluster_name: name, endpoints: [{ lb_endpoints: endpoints }] };
  return { name, type: 'STATIC', load_assignment, ...more };
}

export const ROUTER: JsonObject = {
  name: 'envoy.filters.http.router',
  typed_config: any('envoy.extensions.filters.http.router.v3.Router'),
};

export function manager(routes: readonly JsonObject[], more: JsonObject = {}): JsonObject {
  const virtual_hosts = [{ name: 'all', domains: ['*'], routes }];
  return {
    name: 'http',
    typed_config: any('envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager', {
      route_config: { name: 'table', virtual_hosts },
      http_filters: [ROUTER],
      ...more,
    }),
  };
}

export function tcpProxy(more: JsonObject): JsonObject {
  return { name: 'tcp', typed_config: any('envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy', more) };
}

export function listener(chain: JsonObject, more: JsonObject = {}): JsonObject {
  const address = { socket_address: { address: '0.0.0.0', port_value: 80 } };
  return { name: 'in', address, filter_chains: [chain], ...more };
}

export const TO_C: JsonObject = { match: { prefix: '/' }, route: { cluster: 'c' } };

interface Parts {
  readonly listeners?: readonly JsonObject[];
  readonly clusters?: readonly JsonObject[];
  readonly bootstrap?: JsonObject;
  readonly others?: readonly JsonObject[];
}

/** A dump of these resources as Envoy prints it. */
export function dump({ listeners = [], clusters = [], bootstrap = {}, others = [] }: Parts): string {
  return JSON.stringify({
    configs: [
      any('envoy.admin.v3.BootstrapConfigDump', { bootstrap }),
      any('envoy.admin.v3.ClustersConfigDump', { static_clusters: clusters.map((item) => ({ cluster: item })) }),
      any('envoy.admin.v3.ListenersConfigDump', { static_listeners: listeners.map((item) => ({ listener: item })) }),
      ...others,
    ],
  });
}

export function load(parts: Parts, health: string | null = null): Envoy {
  const clusters = health === null ? null : { file: 'clusters.json', text: health };
  return loadEnvoy('dump.json', dump(parts), clusters);
}

export function ask(envoy: Envoy, more: Partial<EnvoyRequest> = {}): readonly EnvoyOutcome[] {
  const http = { method: 'GET', authority: 'a.test', path: '/x', headers: {} };
  const base = {
    listener: '0.0.0.0:80',
    src: '10.0.0.1:4000',
    dst: '10.0.0.9:80',
    tls: null,
    connect: null,
    innerTls: null,
  };
  return envoy.decide({ ...base, http, ...more });
}

/** A certain answer in a word, or the facts that are missing. */
export function told(outcomes: readonly EnvoyOutcome[]): readonly string[] {
  return outcomes.map((item) => {
    const open = item.unknowns.map((unknown) => unknown.fact).join('; ');
    const what =
      item.action === 'forward' ? `to ${item.to ?? '?'}` : `${item.action} ${item.status ?? item.reason ?? ''}`;
    const share = item.probability === null || item.probability === 1 ? '' : ` ${item.probability}`;
    return `${what}${share}${open === '' ? '' : ` if ${open}`}`;
  });
}
