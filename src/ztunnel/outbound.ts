import { joinHostPort } from '../formats/ip.js';
import type { DumpService, DumpWorkload, GatewayAddress } from '../formats/ztunnel-types.js';
import {
  findUpstream,
  fromGateway,
  gatewayDebug,
  pickAddress,
  UnknownHost,
  type Choice,
  type Picked,
  type Upstream,
} from './balance.js';
import type { ZtunnelOutcome } from './face.js';
import { parseIdentity } from './identity.js';
import {
  certain,
  failure,
  outcome,
  serviceName,
  split,
  step,
  undecided,
  workloadDisplay,
  workloadIdentity,
  type Branch,
  type Step,
} from './outcome.js';
import type { State } from './state.js';
import type { World } from './world.js';

export interface Target {
  readonly ip: string;
  readonly port: number;
}

type Outcomes = readonly Branch<ZtunnelOutcome>[];

/** Everything that one outbound decision carries along (Z:src/proxy/outbound.rs build_request). */
interface Request {
  readonly state: State;
  readonly world: World;
  readonly source: DumpWorkload;
  readonly downstream: string;
  readonly target: Target;
}

const text = (target: Target): string => joinHostPort(target.ip, target.port);

/** The outcomes of one connection from `source` to `target`. */
export function decideOutbound(request: Request): Outcomes {
  const { state, world, source, target } = request;
  const { network } = state.dump.config;
  const sourceStep = step(`source is ${source.namespace}/${source.name}`, source.evidence);
  const addressed = state.find(network, target.ip, source.namespace, world);
  const service = addressed?.kind === 'service' ? addressed.service : null;
  if (service !== null) {
    const found = step(`${text(target)} belongs to service ${serviceName(service)}`, service.evidence);
    const waypoints = serviceWaypoints(service);
    return split(waypoints, (waypoint) =>
      waypoint === null
        ? direct(request, service, [sourceStep, found])
        : throughServiceWaypoint(request, service, waypoint, [sourceStep, found]),
    );
  }
  return direct(request, null, [sourceStep]);
}

/** 1.31 draws one of `weightedWaypoints` by weight, if any has weight; else `waypoint` (Z@1.31.0-rc.0:src/state.rs). */
function serviceWaypoints(service: DumpService): readonly Branch<GatewayAddress | null>[] {
  const total = service.weightedWaypoints.reduce((sum, entry) => sum + entry.weight, 0);
  if (total <= 0) return certain(service.waypoint);
  return service.weightedWaypoints
    .filter((entry) => entry.weight > 0)
    .map((entry) => ({ share: entry.weight / total, value: entry.destination }));
}

/** Sans of the Service that are SPIFFE identities, then the workload's own (Z:src/state.rs workload_and_services_san). */
function acceptedIdentities(choice: Choice): readonly string[] {
  const own = workloadIdentity(choice.workload);
  if (choice.service === null || choice.service.subjectAltNames.length === 0) return [own];
  return [...choice.service.subjectAltNames.filter((san) => parseIdentity(san) !== null), own];
}

/** The address behind a reference to a waypoint or gateway prefers this family: its own address if it is one. */
function wantedAddress(gateway: GatewayAddress, target: Target): string {
  return gateway.destination.kind === 'address' ? gateway.destination.ip : target.ip;
}

/** The Service behind the reference, or, where it names a workload, the Service that this workload is an endpoint of. */
function gatewayName(state: State, choice: Choice, gateway: GatewayAddress): string {
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

function pickedFailure(
  choice: Choice,
  picked: Exclude<Picked, { kind: 'ip' }>,
  steps: readonly Step[],
): ZtunnelOutcome {
  const { workload } = choice;
  const more = { workload: workload.uid, service: choice.service === null ? null : serviceName(choice.service) };
  if (picked.kind === 'name') {
    return undecided(
      [
        {
          fact: `addresses of ${picked.hostname} as ztunnel's resolver gives them`,
          reason: `workload ${workload.uid} has a hostname instead of an address; ztunnel resolves it for each connection`,
        },
      ],
      [...steps, step(`${workload.uid} is known by hostname only: ${picked.hostname}`, workload.evidence)],
      more,
    );
  }
  const error = `no valid routing destination for workload: ${workloadDisplay(workload)}`;
  return failure(error, [...steps, step(`${workload.uid} has no usable address`, workload.evidence)], more);
}

function chosenStep(choice: Choice, what: string): Step {
  const via = choice.endpoint === null ? null : choice.endpoint.evidence;
  return step(`${what} ${choice.workload.namespace}/${choice.workload.name}`, choice.workload.evidence, via);
}

/** Z:src/proxy/outbound.rs build_request, first branch: no test whether the caller is that waypoint itself. */
function throughServiceWaypoint(
  request: Request,
  service: DumpService,
  gateway: GatewayAddress,
  steps: readonly Step[],
): Outcomes {
  return toWaypoint(request, gateway, steps, service, (choice, picked, at) => {
    if (choice.workload.network === request.source.network) return null;
    return throughNetworkGateway(request, choice, picked, service, at);
  });
}

/** Resolves a waypoint and sends HBONE to it with the original destination as authority. */
function toWaypoint(
  request: Request,
  gateway: GatewayAddress,
  steps: readonly Step[],
  service: DumpService | null,
  elsewhere: (choice: Choice, picked: Picked, steps: readonly Step[]) => Outcomes | null,
): Outcomes {
  const { state, world, source, target } = request;
  const upstreams = fromGateway(state, gateway, source, 'waypoint', world);
  const from = steps[steps.length - 1]?.evidence[0] ?? null;
  if (upstreams instanceof UnknownHost) {
    const error = `unknown waypoint: waypoint ${upstreams.hostname} not found`;
    return certain(failure(error, [...steps, step('its waypoint is not known to ztunnel', from)]));
  }
  return split(upstreams, (upstream): Outcomes => {
    if (upstream === 'none' || upstream === 'original') {
      const error = `unknown waypoint: waypoint ${gatewayDebug(gateway)} not found`;
      return certain(failure(error, [...steps, step('its waypoint has no usable endpoint', from)]));
    }
    const at = [...steps, chosenStep(upstream, 'waypoint')];
    const picked = pickAddress(upstream, wantedAddress(gateway, target));
    if (picked.kind === 'failed' || picked.kind === 'name') return certain(pickedFailure(upstream, picked, at));
    const remote = elsewhere(upstream, picked, at);
    if (remote !== null) return remote;
    if (picked.kind === 'gateway') return certain(pickedFailure(upstream, picked, at));
    return certain(
      sent(upstream, {
        protocol: 'hbone',
        to: joinHostPort(picked.ip, upstream.port),
        target: text(target),
        waypoint: gatewayName(state, upstream, gateway),
        service: service === null ? null : serviceName(service),
        steps: [
          ...at,
          step(`HBONE to ${joinHostPort(picked.ip, upstream.port)} for ${text(target)}`, upstream.workload.evidence),
        ],
      }),
    );
  });
}

function sent(
  choice: Choice,
  fields: Pick<ZtunnelOutcome, 'protocol' | 'to' | 'target' | 'waypoint' | 'service' | 'steps'>,
): ZtunnelOutcome {
  const secured = fields.protocol !== 'tcp';
  return outcome({
    action: 'forward',
    ...fields,
    workload: choice.workload.uid,
    identity: secured ? workloadIdentity(choice.workload) : null,
    identities: secured ? acceptedIdentities(choice) : [],
    log: secured ? `dst.addr=${fields.to ?? ''} dst.hbone_addr=${fields.target ?? ''}` : `dst.addr=${fields.to ?? ''}`,
    decidedBy: choice.workload.evidence,
  });
}

/** Not through a Service's waypoint: Z:src/proxy/outbound.rs build_request from fetch_upstream on. */
function direct(request: Request, service: DumpService | null, steps: readonly Step[]): Outcomes {
  const { state, world, source, target } = request;
  const upstreams = findUpstream(state, source.network, source, target, 'standard', world);
  return split(upstreams, (upstream) => {
    if (upstream === 'none' || upstream === 'original')
      return certain(withoutUpstream(request, service, upstream, steps));
    return toUpstream(request, service, upstream, [...steps, chosenStep(upstream, 'endpoint')]);
  });
}

function withoutUpstream(
  request: Request,
  service: DumpService | null,
  upstream: Extract<Upstream, string>,
  steps: readonly Step[],
): ZtunnelOutcome {
  const { target, state } = request;
  const passthrough = service === null || service.loadBalancer?.mode === 'Passthrough';
  if (!passthrough && state.behaviour.noHealthyUpstream) {
    const error = `no healthy upstream: ${text(target)}`;
    return failure(error, [...steps, step('no endpoint of the service can take this port', service.evidence)], {
      service: serviceName(service),
    });
  }
  const why =
    upstream === 'original'
      ? 'load balancing of the service is Passthrough: the original destination is kept'
      : `${text(target)} is not known to ztunnel: passed through as plain TCP`;
  return outcome({
    action: 'forward',
    protocol: 'tcp',
    to: text(target),
    log: `dst.addr=${text(target)}`,
    decidedBy: service?.evidence ?? { file: state.dump.file, text: `${target.ip} is in no entry of the dump` },
    steps: [...steps, step(why, service?.evidence ?? null)],
  });
}

function toUpstream(request: Request, service: DumpService | null, choice: Choice, steps: readonly Step[]): Outcomes {
  const { state, world, source, downstream, target } = request;
  const picked = pickAddress(choice, target.ip);
  if (picked.kind === 'failed' || picked.kind === 'name') return certain(pickedFailure(choice, picked, steps));
  if (state.behaviour.doubleHbone && choice.workload.network !== source.network) {
    if (service === null) return certain(failure(`no service for target address: ${text(target)}`, steps));
    return throughNetworkGateway(request, choice, picked, service, steps);
  }
  const { waypoint } = choice.workload;
  if (service === null && waypoint !== null && !isFromWaypoint(state, waypoint, source, downstream, world)) {
    const at = [
      ...steps,
      step(`${choice.workload.namespace}/${choice.workload.name} has a waypoint`, choice.workload.evidence),
    ];
    return toWaypoint(request, waypoint, at, choice.service, () => null);
  }
  if (picked.kind === 'gateway') return certain(pickedFailure(choice, picked, steps));
  return certain(toWorkload(request, choice, picked.ip, steps));
}

function toWorkload(request: Request, choice: Choice, ip: string, steps: readonly Step[]): ZtunnelOutcome {
  const { workload } = choice;
  const address = joinHostPort(ip, choice.port);
  const service = choice.service === null ? null : serviceName(choice.service);
  if (workload.protocol === null) {
    return undecided(
      [
        {
          fact: `protocol of workload ${workload.uid}: ${workload.evidence.file}${workload.evidence.pointer ?? ''}/protocol`,
          reason: 'a value that is not known',
        },
      ],
      steps,
      { workload: workload.uid, service },
    );
  }
  if (workload.protocol === 'TCP') {
    const at = [...steps, step(`plain TCP to ${address}: the workload's protocol is TCP`, workload.evidence)];
    return sent(choice, { protocol: 'tcp', to: address, target: null, waypoint: null, service, steps: at });
  }
  const to = joinHostPort(ip, request.state.dump.config.inboundPort);
  const at = [...steps, step(`HBONE to ${to} for ${address}: the workload's protocol is HBONE`, workload.evidence)];
  return sent(choice, { protocol: 'hbone', to, target: address, waypoint: null, service, steps: at });
}

/** Z:src/proxy.rs check_from_waypoint: the caller has the identity and an address of one of the waypoint's workloads. */
function isFromWaypoint(
  state: State,
  waypoint: GatewayAddress,
  source: DumpWorkload,
  downstream: string,
  world: World,
): boolean {
  const identity = workloadIdentity(source);
  const isSource = (workload: DumpWorkload): boolean =>
    workloadIdentity(workload) === identity && workload.ips.includes(downstream);
  const found = state.findDestination(waypoint, null, world);
  if (found === null) return false;
  if (found.kind === 'workload') return isSource(found.workload);
  return found.service.endpoints().some((endpoint) => {
    const workload = state.workloadByUid(endpoint.workloadUid);
    return workload !== null && isSource(workload);
  });
}

/** Z:src/proxy/outbound.rs build_request_through_gateway: double HBONE, both with `service hostname:service port`. */
function throughNetworkGateway(
  request: Request,
  choice: Choice,
  picked: Picked,
  service: DumpService,
  steps: readonly Step[],
): Outcomes {
  const { state, world, source, target } = request;
  const gateway = choice.workload.networkGateway;
  const far = step(
    `${choice.workload.uid} is on network ${JSON.stringify(choice.workload.network)}`,
    choice.workload.evidence,
  );
  if (gateway === null) return certain(pickedFailure(choice, { kind: 'failed' }, [...steps, far]));
  const upstreams = fromGateway(state, gateway, source, 'standard', world);
  if (upstreams instanceof UnknownHost) {
    const error = `unknown network gateway: network gateway ${upstreams.hostname} not found`;
    return certain(failure(error, [...steps, far], { service: serviceName(service) }));
  }
  return split(upstreams, (upstream) => {
    if (upstream === 'none' || upstream === 'original') {
      const error = `unknown network gateway: network gateway ${gatewayDebug(gateway)} not found`;
      return certain(failure(error, [...steps, far], { service: serviceName(service) }));
    }
    const at = [...steps, far, chosenStep(upstream, 'network gateway')];
    const address = pickAddress(upstream, wantedAddress(gateway, target));
    if (address.kind !== 'ip') return certain(pickedFailure(upstream, address, at));
    return certain(
      sent(upstream, {
        protocol: 'double-hbone',
        to: joinHostPort(address.ip, upstream.port),
        target: joinHostPort(service.hostname, target.port),
        waypoint: null,
        service: serviceName(service),
        steps: [...at, step(`double HBONE to ${joinHostPort(address.ip, upstream.port)}`, upstream.workload.evidence)],
      }),
    );
  });
}
