import type { Pod, Service } from '../formats/kubernetes-types.js';
import type { Mesh } from '../mesh/model.js';
import type { Destination, Question } from '../mesh/question.js';
import type { HttpSeen } from './policy-match.js';
import { headlessTargets, targetAt, targetsOfService, type Target, type Targets } from './targets.js';
import { end, share, type Ended, type Identity, type Way } from './way.js';

/** Everything about one question that does not change on its way. */
export interface Asked {
  readonly mesh: Mesh;
  readonly question: Question;
  readonly http: HttpSeen | null;
}

/** One way for each target, with its share; `empty`: where no address is ready. */
export function each(
  way: Way,
  targets: Targets,
  empty: (way: Way) => Ended,
  take: (way: Way, target: Target) => readonly Ended[],
): readonly Ended[] {
  if ('unknown' in targets) return [end(way, 'unknown', `${targets.unknown.fact}: ${targets.unknown.reason}`)];
  const count = targets.targets.length;
  if (count === 0) return [empty(way)];
  return targets.targets.flatMap((target) => take(share(way, 1 / count), target));
}

export function identityOf(mesh: Mesh, pod: Pod): Identity {
  return { trustDomain: mesh.trustDomain(), namespace: pod.namespace, serviceAccount: pod.serviceAccount };
}

export function noEndpoint(service: Service): string {
  return `Service ${service.namespace}/${service.name} has no ready endpoint`;
}

export function noSuchPort(way: Way, destination: Destination & { readonly kind: 'service' }): Ended {
  const { service, port } = destination;
  const reason = `Service ${service.namespace}/${service.name} has no port ${port}`;
  return end(way, 'error', reason, [service.evidence]);
}

/** Addresses behind a Service as a plain client gets them; null: it has no such port. */
export function clientTargets(mesh: Mesh, destination: Destination & { readonly kind: 'service' }): Targets | null {
  const { service, port, servicePort } = destination;
  if (service.externalName !== null) {
    return { unknown: { fact: `address of ${service.externalName}`, reason: 'an ExternalName Service: DNS decides' } };
  }
  if (destination.ip === null) return headlessTargets(mesh, service, port);
  return servicePort === null ? null : targetsOfService(mesh, service, servicePort);
}

/** The addresses of a pod (or of the pods meant with it), node or plain address. */
export function podTargets(
  { mesh }: Asked,
  destination: Extract<Destination, { readonly kind: 'pod' | 'node' | 'address' }>,
): readonly (readonly [Target, number])[] {
  if (destination.kind !== 'pod') return [[targetAt(mesh, destination.ip, destination.port), 1]];
  const { pod, also, ip, port } = destination;
  const others = also.flatMap((other) => (other.ips[0] === undefined ? [] : [{ pod: other, ip: other.ips[0] }]));
  const all = [{ pod, ip }, ...others];
  return all.map((one) => [{ pod: one.pod, ip: one.ip, port, evidence: [one.pod.evidence] }, 1 / all.length]);
}
