import type { Evidence } from '../formats/evidence.js';
import { arrayAt, isObject, numberAt, objectAt, objectsAt, stringAt } from '../formats/kubernetes-narrow.js';
import { evidenceAt } from '../formats/kubernetes-object.js';
import type {
  BackendRef,
  JsonObject,
  Labels,
  Route,
  RouteRule,
  Service,
  ServicePort,
  VirtualService,
} from '../formats/kubernetes-types.js';
import { fullHost } from '../mesh/destination-rules.js';
import type { Mesh } from '../mesh/model.js';
import { gatewayMatch, virtualServiceMatch } from './http-match.js';
import type { HttpSeen } from './policy-match.js';

/** One way that a request can be routed. `share` of those that reach the route. */
export type Branch =
  | {
      readonly kind: 'backend';
      readonly share: number;
      readonly service: Service;
      readonly port: number;
      readonly servicePort: ServicePort | null;
      readonly subset: string | null;
      readonly reason: string;
      readonly evidence: readonly Evidence[];
    }
  | {
      readonly kind: 'end';
      readonly share: number;
      readonly verdict: 'error' | 'unknown';
      readonly reason: string;
      readonly evidence: readonly Evidence[];
    };

export function ended(
  verdict: 'error' | 'unknown',
  reason: string,
  evidence: readonly Evidence[] = [],
): readonly Branch[] {
  return [{ kind: 'end', share: 1, verdict, reason, evidence }];
}

/** Who follows the routes of a Service: a sidecar for itself, a waypoint for the Service. */
interface Follower {
  readonly by: 'sidecar' | 'waypoint';
  readonly namespace: string;
  readonly labels: Labels;
}

/** Null: nothing routes requests to this port of the Service, they go to its own endpoints. */
export function routesOfService(
  mesh: Mesh,
  service: Service,
  port: ServicePort,
  http: HttpSeen,
  follower: Follower,
): readonly Branch[] | null {
  for (const kind of ['httpRoutes', 'virtualServices'] as const) {
    const missing = mesh.unknownOf(kind, `routes of Service ${service.namespace}/${service.name}`);
    if (missing !== null) return ended('unknown', `${missing.fact}: ${missing.reason}`);
  }
  const host = `${service.name}.${service.namespace}.svc.${mesh.clusterDomain()}`;
  const virtual = mesh
    .list('virtualServices')
    .items.filter((entry) => entry.gateways.length === 0 || entry.gateways.includes('mesh'))
    .filter((entry) => entry.hosts.some((name) => hostCovers(fullHost(mesh, name, entry.namespace), host)))
    .filter((entry) => follows(entry, service, follower));
  const routes = mesh
    .list('httpRoutes')
    .items.filter(
      (route) =>
        route.namespace === service.namespace || (follower.by === 'sidecar' && route.namespace === follower.namespace),
    )
    .filter((route) =>
      route.parents.some(
        (parent) =>
          parent.kind === 'Service' &&
          parent.name === service.name &&
          (parent.namespace ?? route.namespace) === service.namespace &&
          (parent.port === null || parent.port === port.port),
      ),
    );
  if (virtual.length > 0 && routes.length > 0) {
    return ended(
      'unknown',
      'both a VirtualService and an HTTPRoute are for this Service',
      [...virtual, ...routes].map((entry) => entry.evidence),
    );
  }
  const [first] = [...virtual].sort((a, b) =>
    `${a.created ?? '9'} ${a.name}` < `${b.created ?? '9'} ${b.name}` ? -1 : 1,
  );
  if (first !== undefined) {
    if (first.http.length === 0) return null;
    const client = {
      namespace: follower.by === 'sidecar' ? follower.namespace : null,
      labels: follower.labels,
      gateway: 'mesh',
    };
    return byVirtualService(mesh, first, http, client, port.port);
  }
  return routes.length === 0 ? null : byHttpRoutes(mesh, routes, http);
}

/** A waypoint takes VirtualServices of the Service's namespace only (or its own, which is mostly the same). */
function follows(entry: VirtualService, service: Service, follower: Follower): boolean {
  if (follower.by === 'waypoint')
    return entry.namespace === service.namespace || entry.namespace === follower.namespace;
  const { exportTo, namespace } = entry;
  if (exportTo.length === 0 || exportTo.includes('*') || exportTo.includes(follower.namespace)) return true;
  return exportTo.includes('.') && namespace === follower.namespace;
}

export function hostCovers(pattern: string, host: string): boolean {
  if (pattern === '*') return true;
  return pattern.startsWith('*') ? host.endsWith(pattern.slice(1)) : pattern.toLowerCase() === host.toLowerCase();
}

/** Routes of the Gateway API, all rules together, the best match first (ties: older route, then order). */
export function byHttpRoutes(mesh: Mesh, routes: readonly Route[], http: HttpSeen): readonly Branch[] {
  const candidates: {
    readonly route: Route;
    readonly rule: RouteRule;
    readonly rank: number;
    readonly fits: boolean | null;
  }[] = [];
  for (const route of [...routes].sort((a, b) =>
    `${a.created ?? '9'} ${a.name}` < `${b.created ?? '9'} ${b.name}` ? -1 : 1,
  )) {
    for (const rule of route.rules) {
      const matches = rule.matches.length === 0 ? [{}] : rule.matches;
      for (const match of matches) {
        const { fits, rank } = gatewayMatch(match, http);
        if (fits !== false) candidates.push({ route, rule, rank, fits });
      }
    }
  }
  const best = [...candidates].sort((a, b) => b.rank - a.rank)[0];
  if (best === undefined)
    return ended(
      'error',
      'no route matches the request: 404',
      routes.map((route) => route.evidence),
    );
  const open = candidates.find((entry) => entry.fits === null);
  if (open !== undefined && (best.fits === null || open.rank >= best.rank)) {
    return ended('unknown', `whether ${open.rule.evidence.text} matches is not known`, [open.rule.evidence]);
  }
  return byRule(mesh, best.route, best.rule);
}

function byRule(mesh: Mesh, route: Route, rule: RouteRule): readonly Branch[] {
  const redirect = rule.filters.find((filter) => stringAt(filter, 'type') === 'RequestRedirect');
  if (redirect !== undefined) return ended('error', 'the route answers with a redirect', [rule.evidence]);
  const total = rule.backends.reduce((sum, backend) => sum + backend.weight, 0);
  if (total === 0) return ended('error', 'the route has no backend: 500', [rule.evidence]);
  return rule.backends
    .filter((backend) => backend.weight > 0)
    .map((backend) => byBackend(mesh, route, rule, backend, backend.weight / total));
}

function byBackend(mesh: Mesh, route: Route, rule: RouteRule, backend: BackendRef, part: number): Branch {
  const end = (verdict: 'error' | 'unknown', reason: string): Branch => ({
    kind: 'end',
    share: part,
    verdict,
    reason,
    evidence: [rule.evidence],
  });
  if (backend.kind !== 'Service' || backend.group !== '')
    return end('unknown', `a backend of kind ${backend.kind} is not followed`);
  const namespace = backend.namespace ?? route.namespace;
  const service = mesh.service(namespace, backend.name);
  if (service === null) {
    const missing = mesh.unknownOf('services', `Service ${namespace}/${backend.name}`, namespace);
    return missing === null
      ? end('error', `the route's Service ${namespace}/${backend.name} does not exist`)
      : end('unknown', `${missing.fact}: ${missing.reason}`);
  }
  if (backend.port === null) return end('error', 'the backend of the route has no port');
  if (namespace !== route.namespace && !granted(mesh, route, namespace, backend.name)) {
    return end('error', `no ReferenceGrant lets the route reach Service ${namespace}/${backend.name}`);
  }
  const { port } = backend;
  return {
    kind: 'backend',
    share: part,
    service,
    port,
    servicePort: service.ports.find((entry) => entry.port === port && entry.protocol === 'TCP') ?? null,
    subset: null,
    reason: `${rule.evidence.text} sends it to Service ${namespace}/${backend.name}`,
    evidence: [rule.evidence],
  };
}

/** Not read: granted, as nobody writes a route across namespaces without one that works. */
function granted(mesh: Mesh, route: Route, namespace: string, name: string): boolean {
  const grants = mesh.list('referenceGrants');
  if (grants.state !== 'read') return true;
  return grants.items.some(
    (grant) =>
      grant.namespace === namespace &&
      objectsAt(grant.spec, 'from').some(
        (from) => stringAt(from, 'kind') === route.kind && stringAt(from, 'namespace') === route.namespace,
      ) &&
      objectsAt(grant.spec, 'to').some(
        (to) => stringAt(to, 'kind') === 'Service' && (stringAt(to, 'name') ?? name) === name,
      ),
  );
}

type Client = Parameters<typeof virtualServiceMatch>[2];

/** http entries of a VirtualService in their order; the first that matches decides. */
export function byVirtualService(
  mesh: Mesh,
  entry: VirtualService,
  http: HttpSeen,
  client: Client,
  port: number,
): readonly Branch[] {
  for (const [index, route] of entry.http.entries()) {
    const evidence = evidenceAt(entry, `/spec/http/${index}`, `${entry.evidence.text}, http ${index + 1}`);
    const fits = virtualServiceMatch(route, http, client, port);
    if (fits === null) return ended('unknown', `whether ${evidence.text} matches is not known`, [evidence]);
    if (!fits) continue;
    if (objectAt(route, 'redirect') !== null) return ended('error', 'the route answers with a redirect', [evidence]);
    if (objectAt(route, 'directResponse') !== null) return ended('error', 'the route answers by itself', [evidence]);
    if (objectAt(route, 'delegate') !== null)
      return ended('unknown', 'a delegated VirtualService is not followed', [evidence]);
    return byDestinations(mesh, entry, route, port, evidence);
  }
  return ended('error', 'no route matches the request: 404', [entry.evidence]);
}

function byDestinations(
  mesh: Mesh,
  entry: VirtualService,
  route: JsonObject,
  port: number,
  evidence: Evidence,
): readonly Branch[] {
  const list = arrayAt(route, 'route').filter(isObject);
  const weights = list.map((item) => numberAt(item, 'weight') ?? (list.length === 1 ? 1 : 0));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  if (total === 0) return ended('error', 'the route has no destination', [evidence]);
  return list.flatMap((item, index): readonly Branch[] => {
    const part = (weights[index] ?? 0) / total;
    if (part === 0) return [];
    const destination = objectAt(item, 'destination') ?? {};
    const host = fullHost(mesh, stringAt(destination, 'host') ?? '', entry.namespace);
    const match = /^([^.]+)\.([^.]+)(?:\.svc(?:\..*)?)?$/.exec(host);
    const service = match === null ? null : mesh.service(match[2] ?? '', match[1] ?? '');
    if (service === null)
      return [
        {
          kind: 'end',
          share: part,
          verdict: 'unknown',
          reason: `the route's destination ${host} is no Service that is known`,
          evidence: [evidence],
        },
      ];
    const only = service.ports.length === 1 ? service.ports[0]?.port : undefined;
    const number = numberAt(objectAt(destination, 'port') ?? {}, 'number') ?? only ?? port;
    return [
      {
        kind: 'backend',
        share: part,
        service,
        port: number,
        servicePort:
          service.ports.find((candidate) => candidate.port === number && candidate.protocol === 'TCP') ?? null,
        subset: stringAt(destination, 'subset'),
        reason: `${evidence.text} sends it to Service ${service.namespace}/${service.name}`,
        evidence: [evidence],
      },
    ];
  });
}
