import { joinHostPort } from '../formats/ip.js';
import type { DumpService, DumpWorkload, GatewayAddress } from '../formats/ztunnel-types.js';
import {
  findUpstream,
  fromService,
  gatewayDebug,
  pickAddress,
  type Choice,
  type ResolutionMode,
  type Upstream,
} from './balance.js';
import { certain, failure, serviceName, split, step, type Branch, type Step } from './outcome.js';
import { chosenStep, pickedFailure, sent, targetText, type Outcomes, type Request } from './request.js';
import type { State } from './state.js';

/** A reference that leads nowhere, with ztunnel's words. */
interface NotFound {
  readonly error: string;
}

/** What the waypoint stands in for, as far as it shows in the outcome. */
interface Purpose {
  /** The Service that was called. */
  readonly service: DumpService | null;
  /** Whose subjectAltNames are accepted besides the waypoint's own identity. */
  readonly sans: 'waypoint' | 'destination';
  /** The workload whose waypoint it is; null for a Service's. */
  readonly workload: DumpWorkload | null;
}

/**
 * Endpoints behind a waypoint or gateway reference (Z:src/state.rs fetch_waypoint, fetch_network_gateway). The port is
 * looked up as a Service port; a reference to a workload uses it literally.
 */
function fromGateway(
  request: Request,
  gateway: GatewayAddress,
  mode: ResolutionMode,
): readonly Branch<Upstream>[] | null {
  const { state, world } = request;
  const { destination, port } = gateway;
  if (destination.kind === 'address') {
    return findUpstream(request, destination.network, { ip: destination.ip, port }, mode);
  }
  const found = state.findHostname(destination.namespace, destination.hostname, world);
  if (found === null) return null;
  if (found.kind === 'service') return fromService(request, found.service, port, mode);
  return certain<Upstream>({ workload: found.workload, port, service: null, endpoint: null });
}

/** The address behind a reference prefers this family: the reference's own address if it has one. */
function wantedAddress(gateway: GatewayAddress, target: string): string {
  return gateway.destination.kind === 'address' ? gateway.destination.ip : target;
}

/** ztunnel's words for a waypoint that cannot be had, by release (Behaviour.waypointWords). */
function waypointNotFound(state: State, gateway: GatewayAddress, purpose: Purpose, hostUnknown: boolean): NotFound {
  const { waypointWords, waypointBy } = state.behaviour;
  const { destination } = gateway;
  const unsupported = waypointBy === 'address' && destination.kind === 'hostname';
  if (waypointWords === 'workload' || (waypointWords === 'upstream' && purpose.workload !== null)) {
    const name = purpose.workload?.name ?? '';
    const why = unsupported
      ? 'unsupported feature: hostname lookup not supported yet'
      : `failed to find waypoint for workload: ${name}`;
    return { error: `unknown waypoint: ${why}` };
  }
  if (waypointWords === 'upstream') {
    const why = unsupported ? 'hostname lookup not supported yet' : 'unable to determine waypoint upstream';
    return { error: `unknown waypoint: ${why}` };
  }
  if (unsupported) return { error: 'unsupported feature: hostname lookup not supported yet' };
  if (waypointWords === 'address' && destination.kind === 'address') {
    return { error: `unknown waypoint: waypoint ${destination.ip} not found` };
  }
  if (hostUnknown && destination.kind === 'hostname') {
    return { error: `unknown waypoint: waypoint ${destination.hostname} not found` };
  }
  return { error: `unknown waypoint: waypoint ${gatewayDebug(gateway)} not found` };
}

/**
 * Resolves a waypoint and sends HBONE to it with the original destination as authority, whatever the waypoint's own
 * protocol. `elsewhere` may take over where the chosen waypoint is on another network.
 */
export function toWaypoint(
  request: Request,
  gateway: GatewayAddress,
  steps: readonly Step[],
  purpose: Purpose,
  elsewhere: (choice: Choice, steps: readonly Step[]) => Outcomes | null,
): Outcomes {
  const { state, target } = request;
  const unsupported = state.behaviour.waypointBy === 'address' && gateway.destination.kind === 'hostname';
  const upstreams = unsupported ? null : fromGateway(request, gateway, 'waypoint');
  const from = steps[steps.length - 1]?.evidence[0] ?? null;
  if (upstreams === null) {
    const { error } = waypointNotFound(state, gateway, purpose, true);
    return certain(failure(error, [...steps, step('its waypoint is not known to ztunnel', from)]));
  }
  const service = purpose.service === null ? null : serviceName(purpose.service);
  return split(upstreams, (upstream): Outcomes => {
    if (upstream === 'none' || upstream === 'original') {
      const { error } = waypointNotFound(state, gateway, purpose, false);
      return certain(failure(error, [...steps, step('its waypoint has no usable endpoint', from)]));
    }
    const at = [...steps, chosenStep(upstream, 'waypoint')];
    return split(pickAddress(state, upstream, wantedAddress(gateway, target.ip)), (picked): Outcomes => {
      if (picked.kind === 'failed' || picked.kind === 'name') return certain(pickedFailure(upstream, picked, at));
      const remote = elsewhere(upstream, at);
      if (remote !== null) return remote;
      if (picked.kind === 'gateway') return certain(pickedFailure(upstream, picked, at));
      const to = joinHostPort(picked.ip, upstream.port);
      const sans =
        purpose.sans === 'destination' ? purpose.service?.subjectAltNames : upstream.service?.subjectAltNames;
      const way = {
        protocol: 'hbone' as const,
        to,
        target: targetText(request),
        waypoint: waypointName(state, upstream, gateway),
        service,
        steps: () => [...at, step(`HBONE to ${to} for ${targetText(request)}`, upstream.workload.evidence)],
      };
      return certain(sent(request, upstream, way, 'ToServerWaypoint', sans ?? []));
    });
  });
}

/** The Service behind the reference, or, where it names a workload, the Service that this workload is an endpoint of. */
function waypointName(state: State, choice: Choice, gateway: GatewayAddress): string {
  const service = choice.service ?? waypointServiceOf(state, choice.workload, gateway.port);
  if (service !== null) return `${service.namespace}/${service.name}`;
  return gateway.destination.kind === 'address'
    ? gateway.destination.ip
    : `${gateway.destination.namespace ?? ''}/${gateway.destination.hostname}`;
}

/** Of several Services the one with the HBONE port: a waypoint's. An unhealthy pod is no endpoint, but still selected. */
function waypointServiceOf(state: State, workload: DumpWorkload, port: number): DumpService | null {
  const endpointOf = state.servicesOf(workload.uid);
  const candidates =
    endpointOf.length > 0
      ? endpointOf
      : state.dump.services.filter(
          (service) =>
            workload.services.includes(serviceName(service)) ||
            (service.namespace === workload.namespace && service.name === workload.workloadName),
        );
  return candidates.find((service) => service.ports[port] !== undefined) ?? candidates[0] ?? null;
}

/** Z:src/proxy/outbound.rs build_request_through_gateway: double HBONE, both tunnels with `hostname:port`. */
export function throughNetworkGateway(
  request: Request,
  choice: Choice,
  hostname: string,
  port: number,
  service: string,
  steps: readonly Step[],
): Outcomes {
  const { state, target } = request;
  const gateway = choice.workload.networkGateway;
  const far = step(
    `${choice.workload.uid} is on network ${JSON.stringify(choice.workload.network)}`,
    choice.workload.evidence,
  );
  if (gateway === null) return certain(pickedFailure(choice, { kind: 'failed' }, [...steps, far]));
  const upstreams = fromGateway(request, gateway, 'standard');
  if (upstreams === null) {
    const host = gateway.destination.kind === 'hostname' ? gateway.destination.hostname : gateway.destination.ip;
    return certain(failure(`unknown network gateway: network gateway ${host} not found`, [...steps, far], { service }));
  }
  return split(upstreams, (upstream): Outcomes => {
    if (upstream === 'none' || upstream === 'original') {
      const error = `unknown network gateway: network gateway ${gatewayDebug(gateway)} not found`;
      return certain(failure(error, [...steps, far], { service }));
    }
    const at = [...steps, far, chosenStep(upstream, 'network gateway')];
    return split(pickAddress(state, upstream, wantedAddress(gateway, target.ip)), (picked): Outcomes => {
      if (picked.kind !== 'ip') return certain(pickedFailure(upstream, picked, at));
      const to = joinHostPort(picked.ip, upstream.port);
      const way = {
        protocol: 'double-hbone' as const,
        to,
        target: joinHostPort(hostname, port),
        waypoint: null,
        service,
        steps: () => [...at, step(`double HBONE to ${to}`, upstream.workload.evidence)],
      };
      return certain(sent(request, upstream, way, 'Direct'));
    });
  });
}
