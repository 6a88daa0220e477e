import type { Evidence, Unknown } from '../formats/evidence.js';
import type { AuthorizationPolicy, Service } from '../formats/kubernetes-types.js';
import type { Mesh, WaypointBinding } from '../mesh/model.js';

/** What a waypoint does for a Service beyond carrying it: who skips it, skips this. */
interface Burden {
  readonly policies: readonly Evidence[];
  readonly routes: readonly Evidence[];
  readonly unknowns: readonly Unknown[];
}

/** AuthorizationPolicies attached to the Gateway, its class or the Service; routes and VirtualServices of the Service. */
export function waypointBurden(mesh: Mesh, binding: WaypointBinding, service: Service | null): Burden {
  const policies =
    binding.requested === null
      ? []
      : policiesAt(mesh, binding.requested, binding.gateway?.className ?? null, service).map(
          (policy) => policy.evidence,
        );
  const routes = [...mesh.list('httpRoutes').items, ...mesh.list('grpcRoutes').items]
    .filter(
      (route) =>
        service !== null &&
        route.parents.some(
          (parent) =>
            parent.kind === 'Service' &&
            parent.name === service.name &&
            (parent.namespace ?? route.namespace) === service.namespace,
        ),
    )
    .map((route) => route.evidence);
  const virtual = mesh
    .list('virtualServices')
    .items.filter(
      (entry) => service !== null && entry.hosts.some((host) => namesService(host, entry.namespace, service)),
    )
    .map((entry) => entry.evidence);
  const unknowns = [mesh.unknownOf('authorizationPolicies', 'policies of the waypoint')].flatMap((one) =>
    one === null ? [] : [one],
  );
  return { policies, routes: [...routes, ...virtual], unknowns };
}

function namesService(host: string, namespace: string, service: Service): boolean {
  if (!host.includes('.')) return host === service.name && namespace === service.namespace;
  return (
    host === `${service.name}.${service.namespace}` || host.startsWith(`${service.name}.${service.namespace}.svc.`)
  );
}

/** AuthorizationPolicies that a waypoint or gateway enforces: attached to it, to its class, or to the Service. */
export function policiesAt(
  mesh: Mesh,
  gateway: { readonly namespace: string; readonly name: string },
  className: string | null,
  service: Service | null,
): readonly AuthorizationPolicy[] {
  return mesh.list('authorizationPolicies').items.filter(
    (policy) =>
      !policy.dryRun &&
      policy.targets.some((target) => {
        const namespace = target.namespace ?? policy.namespace;
        if (target.kind === 'Gateway') return target.name === gateway.name && namespace === gateway.namespace;
        if (target.kind === 'GatewayClass') return target.name === className;
        return (
          target.kind === 'Service' &&
          service !== null &&
          target.name === service.name &&
          namespace === service.namespace
        );
      }),
  );
}
