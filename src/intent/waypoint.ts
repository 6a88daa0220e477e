import type { Service, ServiceEntry, ServicePort } from '../formats/kubernetes-types.js';
import type { WaypointBinding } from '../mesh/model.js';
import { each, identityOf, noEndpoint, type Asked } from './asked.js';
import { envoyAnswer, policiesOfWaypoint } from './policies.js';
import { routesOfService, type Branch } from './routes.js';
import { arrive, judged, type Caller } from './server.js';
import { targetsOfService } from './targets.js';
import { tunnelTransport } from './transport.js';
import { end, go, hboneLink, note, share, stopOfPod, type Ended, type Way } from './way.js';

/**
 * HBONE to a pod of the waypoint where the binding is ready, with its policies; else straight on. Whatever else than ready
 * fails open.
 */
export function throughWaypoint(
  asked: Asked,
  way: Way,
  binding: WaypointBinding | null,
  inner: string,
  caller: Caller,
  service: Service | ServiceEntry | null,
  onward: (way: Way, caller: Caller) => readonly Ended[],
): readonly Ended[] {
  const { mesh } = asked;
  if (binding === null || binding.state === 'none') return onward(way, caller);
  if (binding.state === 'unknown') return [end(way, 'unknown', `its waypoint: ${binding.reason}`, binding.evidence)];
  if (binding.state !== 'ready' || binding.gateway === null) {
    return onward(note(way, 'proxy', `${binding.reason}: traffic goes direct`, binding.evidence), caller);
  }
  const { gateway } = binding;
  const noted = note(way, 'proxy', binding.reason, binding.evidence);
  const ready = binding.pods.filter((pod) => pod.ready === true && pod.ips.length > 0);
  if (ready.length === 0) {
    return [end(noted, 'error', `no pod of waypoint ${gateway.namespace}/${gateway.name} is ready`, binding.evidence)];
  }
  const target =
    service === null
      ? null
      : {
          kind: service.kind === 'ServiceEntry' ? ('ServiceEntry' as const) : ('Service' as const),
          namespace: service.namespace,
          name: service.name,
        };
  return ready.flatMap((pod): readonly Ended[] => {
    const ip = pod.ips[0] ?? '';
    const at = go(share(noted, 1 / ready.length), hboneLink(ip, inner), stopOfPod('waypoint', pod));
    const seen = {
      identity: caller.identity,
      sourceIp: caller.sourceIp,
      destinationIp: null,
      port: asked.question.destination.port,
      http: asked.http,
    };
    const by: Caller = { ...caller, identity: identityOf(mesh, pod), sourceIp: ip, waypoint: true };
    const answer = envoyAnswer(mesh, policiesOfWaypoint(mesh, gateway, target), seen);
    const result = judged<readonly Ended[]>(at, answer, (allowed) => onward(allowed, by));
    return Array.isArray(result) ? result : [result].flat();
  });
}

/** A waypoint follows the routes of the Service, then goes to endpoints by HBONE or plain text. */
export function fromWaypoint(
  asked: Asked,
  way: Way,
  service: Service,
  servicePort: ServicePort,
  caller: Caller,
  binding: WaypointBinding,
): readonly Ended[] {
  const { mesh, http } = asked;
  const toEndpoints = (at: Way, to: Service, port: ServicePort): readonly Ended[] =>
    each(
      at,
      targetsOfService(mesh, to, port),
      (none) => end(none, 'error', noEndpoint(to)),
      (one, target) => [arrive(mesh, one, target, tunnelTransport(mesh, target), caller)],
    );
  const namespace = binding.gateway?.namespace ?? service.namespace;
  const branches =
    http === null ? null : routesOfService(mesh, service, servicePort, http, { by: 'waypoint', namespace, labels: {} });
  if (branches === null) return toEndpoints(way, service, servicePort);
  return branches.flatMap((branch) => followed(way, branch, (at, to, port) => toEndpoints(at, to, port)));
}

/** One branch of a route: to the endpoints of its Service, or to its end. */
export function followed(
  way: Way,
  branch: Branch,
  take: (way: Way, service: Service, port: ServicePort, subset: string | null) => readonly Ended[],
): readonly Ended[] {
  const at = share(way, branch.share);
  if (branch.kind === 'end') return [end(at, branch.verdict, branch.reason, branch.evidence)];
  const noted = note(at, 'proxy', branch.reason, branch.evidence);
  if (branch.servicePort === null) {
    const { service, port } = branch;
    return [end(noted, 'error', `Service ${service.namespace}/${service.name} has no port ${port}`, branch.evidence)];
  }
  return take(noted, branch.service, branch.servicePort, branch.subset);
}
