import { objectsAt } from '../formats/kubernetes-narrow.js';
import type { Pod } from '../formats/kubernetes-types.js';
import type { Mesh } from '../mesh/model.js';
import type { HttpSeen } from './policy-match.js';
import { byHttpRoutes, byVirtualService, ended, hostCovers, type Branch } from './routes.js';

/** Where a gateway sends a request that came to one of its ports. */
export function routesOfGateway(mesh: Mesh, pod: Pod, port: number, http: HttpSeen): readonly Branch[] {
  for (const kind of ['gateways', 'httpRoutes', 'istioGateways', 'virtualServices'] as const) {
    const missing = mesh.unknownOf(kind, `routes of gateway ${pod.namespace}/${pod.name}`);
    if (missing !== null) return ended('unknown', `${missing.fact}: ${missing.reason}`);
  }
  const host = http.host.replace(/:\d+$/, '').toLowerCase();
  const name = pod.labels['gateway.networking.k8s.io/gateway-name'] ?? pod.labels['istio.io/gateway-name'];
  const gateway = mesh.list('gateways').items.find((entry) => entry.namespace === pod.namespace && entry.name === name);
  if (gateway !== undefined) {
    const listeners = gateway.listeners.filter(
      (entry) => entry.port === port && (entry.hostname === null || hostCovers(entry.hostname, host)),
    );
    if (listeners.length === 0)
      return ended(
        'error',
        `Gateway ${gateway.namespace}/${gateway.name} has no listener on port ${port} for ${host}`,
        [gateway.evidence],
      );
    const routes = mesh
      .list('httpRoutes')
      .items.filter((route) =>
        route.parents.some(
          (parent) =>
            parent.kind === 'Gateway' &&
            parent.name === gateway.name &&
            (parent.namespace ?? route.namespace) === gateway.namespace &&
            (parent.port === null || parent.port === port) &&
            (parent.sectionName === null || listeners.some((entry) => entry.name === parent.sectionName)),
        ),
      )
      .filter((route) =>
        listeners.some(
          (listener) =>
            listener.allowFrom === 'All' || route.namespace === gateway.namespace || listener.allowFrom === 'Selector',
        ),
      )
      .filter((route) => route.hostnames.length === 0 || route.hostnames.some((pattern) => hostCovers(pattern, host)));
    if (routes.length === 0)
      return ended('error', `no HTTPRoute of Gateway ${gateway.namespace}/${gateway.name} is for ${host}: 404`, [
        gateway.evidence,
      ]);
    return byHttpRoutes(mesh, routes, http);
  }
  return byIstioGateway(mesh, pod, port, host, http);
}

function byIstioGateway(mesh: Mesh, pod: Pod, port: number, host: string, http: HttpSeen): readonly Branch[] {
  const gateways = mesh
    .list('istioGateways')
    .items.filter(
      (entry) =>
        entry.selector !== null && Object.entries(entry.selector).every(([key, value]) => pod.labels[key] === value),
    );
  const serving = gateways.filter((entry) => objectsAt(entry.spec, 'servers').length > 0);
  const names = serving.flatMap((entry) => [`${entry.namespace ?? ''}/${entry.name}`]);
  const virtual = mesh
    .list('virtualServices')
    .items.filter((entry) =>
      entry.gateways.some((name) => names.includes(name.includes('/') ? name : `${entry.namespace}/${name}`)),
    )
    .filter((entry) => entry.hosts.some((pattern) => hostCovers(pattern, host)));
  const [first, second] = virtual;
  if (first === undefined)
    return ended(
      'error',
      `no VirtualService of this gateway is for ${host}: 404`,
      serving.map((entry) => entry.evidence),
    );
  if (second !== undefined)
    return ended(
      'unknown',
      `several VirtualServices are for ${host}`,
      virtual.map((entry) => entry.evidence),
    );
  const gatewayName = first.gateways.find((name) => name !== 'mesh') ?? '';
  return byVirtualService(mesh, first, http, { namespace: null, labels: {}, gateway: gatewayName }, port);
}
