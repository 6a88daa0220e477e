import { joinHostPort } from '../formats/ip.js';
import type { Pod } from '../formats/kubernetes-types.js';
import type { Destination } from '../mesh/question.js';
import { atLeast } from '../mesh/release.js';
import { waypointOfObject, waypointOfPod, waypointOfService } from '../mesh/waypoints.js';
import { clientTargets, each, identityOf, noEndpoint, noSuchPort, podTargets, type Asked } from './asked.js';
import { arrive, type Caller } from './server.js';
import { toEntry } from './service-entry.js';
import { targetsOfService, type Target } from './targets.js';
import { tunnelTransport } from './transport.js';
import { fromWaypoint, throughWaypoint } from './waypoint.js';
import { end, share, type Ended, type Way } from './way.js';

/** ztunnel of the client's node: Service with waypoint, endpoint by HBONE or plain; everything else passes through. */
export function ztunnelClient(asked: Asked, way: Way, source: Pod): readonly Ended[] {
  const { mesh, question, http } = asked;
  const caller: Caller = {
    identity: identityOf(mesh, source),
    sourceIp: source.ips[0] ?? null,
    http,
    hostOf: null,
    waypoint: false,
    udp: false,
  };
  const direct = (at: Way, target: Target): readonly Ended[] => {
    const binding = target.pod === null || target.pod.hostNetwork ? null : waypointOfPod(mesh, target.pod);
    return throughWaypoint(asked, at, binding, joinHostPort(target.ip, target.port), caller, null, (onward, by) => [
      arrive(mesh, onward, target, tunnelTransport(mesh, target), by),
    ]);
  };
  const { destination } = question;
  switch (destination.kind) {
    case 'service': {
      const { service, servicePort, ip } = destination;
      if (ip === null) {
        const targets = clientTargets(mesh, destination) ?? { targets: [] };
        return each(way, targets, (at) => end(at, 'unknown', `DNS has no address for ${destination.host}`), direct);
      }
      if (servicePort === null) return [noSuchPort(way, destination)];
      const targets = targetsOfService(mesh, service, servicePort);
      const release = mesh.release('istiod');
      if (release !== null && !atLeast(release, 22)) {
        // until 1.21 the waypoint is that of the chosen pod
        return each(
          way,
          targets,
          (at) => end(at, 'error', noEndpoint(service)),
          (at, target) => {
            const binding = target.pod === null ? null : waypointOfPod(mesh, target.pod);
            return throughWaypoint(
              asked,
              at,
              binding,
              joinHostPort(target.ip, target.port),
              caller,
              null,
              (onward, by) => [arrive(mesh, onward, target, tunnelTransport(mesh, target), by)],
            );
          },
        );
      }
      const binding = waypointOfService(mesh, service);
      const onward = (at: Way, by: Caller): readonly Ended[] =>
        by.waypoint
          ? fromWaypoint(asked, at, service, servicePort, by, binding)
          : each(
              at,
              targets,
              (none) => end(none, 'error', `no healthy upstream: ${noEndpoint(service)}`),
              (one, target) => [arrive(mesh, one, target, tunnelTransport(mesh, target), by)],
            );
      return throughWaypoint(asked, way, binding, joinHostPort(ip, destination.port), caller, service, onward);
    }
    case 'serviceEntry':
      return entryByZtunnel(asked, way, destination, caller);
    case 'host':
      return [end(way, 'unknown', `what ${destination.host} resolves to is in no file`)];
    case 'pod':
    case 'node':
    case 'address':
      return podTargets(asked, destination).flatMap(([target, part]) => direct(share(way, part), target));
  }
}

function entryByZtunnel(
  asked: Asked,
  way: Way,
  destination: Destination & { readonly kind: 'serviceEntry' },
  caller: Caller,
): readonly Ended[] {
  const { mesh } = asked;
  const binding = waypointOfObject(mesh, destination.entry, 'service');
  const inner = joinHostPort(destination.ip ?? destination.host, destination.port);
  return throughWaypoint(asked, way, binding, inner, caller, destination.entry, (at, by) =>
    toEntry(asked, at, destination, (one, target) => [arrive(mesh, one, target, tunnelTransport(mesh, target), by)]),
  );
}
