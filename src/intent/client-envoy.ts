import { joinHostPort } from '../formats/ip.js';
import { goBool } from '../formats/kubernetes-istio.js';
import type { Pod, Service, ServicePort } from '../formats/kubernetes-types.js';
import { destinationRuleOf } from '../mesh/destination-rules.js';
import { labelsMatch } from '../mesh/labels.js';
import type { Mesh, WaypointBinding } from '../mesh/model.js';
import type { Destination } from '../mesh/question.js';
import { atLeast } from '../mesh/release.js';
import { waypointOfPod, waypointOfService } from '../mesh/waypoints.js';
import { each, noEndpoint, podTargets, type Asked } from './asked.js';
import { envoyAnswer, policiesOfPod, policiesOfWaypoint } from './policies.js';
import { routesOfService } from './routes.js';
import { arrive, type Caller } from './server.js';
import { toEntry } from './service-entry.js';
import { headlessTargets, targetsOfService, type Target } from './targets.js';
import { envoyTransport, tunnelTransport, type Called, type Transport } from './transport.js';
import { followed, throughWaypoint } from './waypoint.js';
import { end, share, type Ended, type Way } from './way.js';

/** A sidecar or gateway: routes, cluster, endpoint, transport of its own configuration. */
export function envoyClient(
  asked: Asked,
  way: Way,
  proxy: Pod,
  by: 'sidecar' | 'gateway',
  caller: Caller,
): readonly Ended[] {
  const { mesh, question, http } = asked;
  const { destination } = question;
  switch (destination.kind) {
    case 'service': {
      const { service, servicePort, ip } = destination;
      if (service.externalName !== null)
        return [end(way, 'unknown', `an ExternalName Service: DNS decides where ${service.externalName} is`)];
      if (ip === null) return headlessByEnvoy(asked, way, destination, proxy, caller);
      if (servicePort === null)
        return [
          end(
            way,
            'unknown',
            `Service ${service.namespace}/${service.name} has no port ${destination.port}: the sidecar passes it through to the address`,
          ),
        ];
      const follower = { by: 'sidecar' as const, namespace: proxy.namespace, labels: proxy.labels };
      // a gateway's own routes end at a Service: those of the Service are its callers' or its waypoint's
      const branches =
        http === null || by === 'gateway' ? null : routesOfService(mesh, service, servicePort, http, follower);
      if (branches === null) return toServiceByEnvoy(asked, way, service, servicePort, null, proxy, by, caller);
      return branches.flatMap((branch) =>
        followed(way, branch, (at, to, port, subset) =>
          toServiceByEnvoy(asked, at, to, port, subset, proxy, by, caller),
        ),
      );
    }
    case 'serviceEntry':
      return toEntry(asked, way, destination, (at, target) => [
        arrive(
          mesh,
          at,
          target,
          envoyTransport(mesh, proxy, target, {
            host: destination.host,
            namespace: destination.entry.namespace,
            port: destination.port,
            subset: null,
          }),
          caller,
        ),
      ]);
    case 'host':
      return [end(way, 'unknown', `what ${destination.host} resolves to is in no file`)];
    case 'pod':
    case 'node':
    case 'address':
      return podTargets(asked, destination).flatMap(([target, part]) =>
        passThrough(asked, share(way, part), target, caller),
      );
  }
}

/** Addresses of nothing in the registry go through PassthroughCluster as they are, or are refused (REGISTRY_ONLY). */
function passThrough({ mesh }: Asked, way: Way, target: Target, caller: Caller): readonly Ended[] {
  const config = mesh.config();
  if (config === null) {
    const missing = mesh.unknownOf('configMaps', 'outboundTrafficPolicy of the mesh');
    return [
      end(
        way,
        'unknown',
        missing === null ? 'the mesh configuration is not known' : `${missing.fact}: ${missing.reason}`,
      ),
    ];
  }
  if (config.config.outboundTrafficPolicy === 'REGISTRY_ONLY') {
    return [end(way, 'error', 'REGISTRY_ONLY: the sidecar refuses addresses of no Service', [config.evidence])];
  }
  const transport: Transport = { by: 'plain', reason: 'an address of no Service: PassthroughCluster', evidence: [] };
  return [arrive(mesh, way, target, transport, { ...caller, identity: null })];
}

/** ORIGINAL_DST without EDS: no HBONE; TLS where all of its endpoints have sidecars. */
function headlessByEnvoy(
  asked: Asked,
  way: Way,
  destination: Destination & { readonly kind: 'service' },
  proxy: Pod,
  caller: Caller,
): readonly Ended[] {
  const { mesh } = asked;
  const { service, servicePort, port } = destination;
  const targets = headlessTargets(mesh, service, port);
  return each(
    way,
    targets,
    (at) => end(at, 'unknown', `DNS has no address for ${destination.host}`),
    (at, target) => {
      if (servicePort === null) return passThrough(asked, at, target, caller);
      const labelled =
        'unknown' in targets
          ? []
          : targets.targets.map((one) => one.pod?.labels['security.istio.io/tlsMode'] === 'istio');
      if (!labelled.every((has) => has === labelled[0])) {
        return [
          end(
            at,
            'unknown',
            'some endpoints of the headless Service have a sidecar: the client guesses one TLS for all',
          ),
        ];
      }
      const called: Called = { host: destination.host, namespace: service.namespace, port, subset: null };
      const transport = envoyTransport(mesh, proxy, target, called);
      const plain: Transport = {
        by: 'plain',
        reason: 'a headless Service: no HBONE without EDS',
        evidence: [service.evidence],
      };
      return [arrive(mesh, at, target, transport.by === 'hbone' ? plain : transport, caller)];
    },
  );
}

function toServiceByEnvoy(
  asked: Asked,
  way: Way,
  service: Service,
  servicePort: ServicePort,
  subset: string | null,
  proxy: Pod,
  by: 'sidecar' | 'gateway',
  caller: Caller,
): readonly Ended[] {
  const { mesh } = asked;
  const host = `${service.name}.${service.namespace}.svc.${mesh.clusterDomain()}`;
  const called: Called = { host, namespace: service.namespace, port: servicePort.port, subset };
  const all = targetsOfService(mesh, service, servicePort);
  const targets =
    'unknown' in all || subset === null ? all : { targets: ofSubset(mesh, all.targets, proxy, called, subset) };
  return each(
    way,
    targets,
    (none) => end(none, 'error', `no healthy upstream: ${noEndpoint(service)}`),
    (at, target) => {
      const transport = envoyTransport(mesh, proxy, target, called);
      const straight = (onward: Way, as: Caller): readonly Ended[] => [
        arrive(mesh, onward, target, as.waypoint ? tunnelTransport(mesh, target) : transport, as),
      ];
      const binding = waypointForEnvoy(mesh, service, target, by);
      if (binding === null || transport.by !== 'hbone') return straight(at, caller);
      return throughWaypoint(asked, at, binding, joinHostPort(target.ip, target.port), caller, service, straight);
    },
  );
}

function ofSubset(
  mesh: Mesh,
  targets: readonly Target[],
  proxy: Pod,
  called: Called,
  subset: string,
): readonly Target[] {
  const rule = destinationRuleOf(mesh, proxy, called.host, called.namespace);
  const labels = rule?.subsets.find((entry) => entry.name === subset)?.labels;
  if (labels === undefined) return [];
  return targets.filter((target) => target.pod !== null && labelsMatch(labels, target.pod.labels));
}

/**
 * Sidecars and gateways go through waypoints until 1.21; since 1.22 never, but for a gateway where
 * `istio.io/ingress-use-waypoint` says so (1.24+ on the Service, 1.25+ on the namespace).
 */
function waypointForEnvoy(
  mesh: Mesh,
  service: Service,
  target: Target,
  by: 'sidecar' | 'gateway',
): WaypointBinding | null {
  const release = mesh.release('istiod');
  if (release === null) return null;
  if (!atLeast(release, 22)) return target.pod === null ? null : waypointOfPod(mesh, target.pod);
  if (by !== 'gateway' || !atLeast(release, 24)) return null;
  const label = 'istio.io/ingress-use-waypoint';
  const namespace = atLeast(release, 25) ? mesh.namespace(service.namespace)?.labels[label] : undefined;
  return (goBool(service.labels[label]) ?? goBool(namespace)) === true ? waypointOfService(mesh, service) : null;
}

/** Policies of a gateway for what it takes in. */
export function gatewayAnswer(asked: Asked, pod: Pod, sourceIp: string | null): ReturnType<typeof envoyAnswer> {
  const { mesh, question, http } = asked;
  const gatewayName = pod.labels['gateway.networking.k8s.io/gateway-name'];
  const gateway = mesh
    .list('gateways')
    .items.find((entry) => entry.namespace === pod.namespace && entry.name === gatewayName);
  const attached = gateway === undefined ? [] : policiesOfWaypoint(mesh, gateway, null);
  const seen = { identity: null, sourceIp, destinationIp: pod.ips[0] ?? null, port: question.destination.port, http };
  return envoyAnswer(mesh, [...policiesOfPod(mesh, pod), ...attached], seen);
}
