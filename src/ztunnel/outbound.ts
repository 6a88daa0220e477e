import { joinHostPort } from '../formats/ip.js';
import type { DumpService, DumpWorkload, GatewayAddress } from '../formats/ztunnel-types.js';
import {
  drawn,
  findDraw,
  pickAddress,
  weightOf,
  withPort,
  type Choice,
  type Draw,
  type Picked,
  type Upstream,
} from './balance.js';
import type { KnownEndpoint } from './endpoints.js';
import type { ZtunnelOutcome } from './face.js';
import { lazyList } from './lazy.js';
import { throughNetworkGateway, toWaypoint } from './gateway.js';
import { fastPath, takesFastPath } from './fast-path.js';
import {
  certain,
  failure,
  outcome,
  serviceName,
  Settled,
  split,
  step,
  undecided,
  withShare,
  workloadIdentity,
  type Branch,
  type Step,
} from './outcome.js';
import { chosenStep, pickedFailure, sent, targetText, type Decided, type Outcomes, type Request } from './request.js';
import { Undecided, type State } from './state.js';
import { LOOKED_AT, type World } from './world.js';

/** The outcomes of one connection from `source` to `target` (Z:src/proxy/outbound.rs build_request). */
export function decideOutbound(request: Request): Decided {
  const { state, world, source, target } = request;
  const { network } = state.dump.config;
  const addressed = state.find(network, target.ip, source.namespace, world);
  const service = addressed?.kind === 'service' ? addressed.service : null;
  if (service === null) return direct(request, null, request.before);
  const found = step(`${targetText(request)} belongs to service ${serviceName(service)}`, service.evidence);
  const steps = [...request.before, found];
  const waypoints = serviceWaypoints(service);
  if (waypoints === null) return direct(request, service, steps);
  return split(waypoints, (waypoint) => throughServiceWaypoint(request, service, waypoint, steps));
}

/** 1.31 draws one of `weightedWaypoints` by weight, if any has weight; else `waypoint` (Z@1.31.0-rc.0:src/state.rs). */
function serviceWaypoints(service: DumpService): readonly Branch<GatewayAddress>[] | null {
  const total = service.weightedWaypoints.reduce((sum, entry) => sum + entry.weight, 0);
  if (total <= 0) return service.waypoint === null ? null : certain(service.waypoint);
  return service.weightedWaypoints
    .filter((entry) => entry.weight > 0)
    .map((entry) => ({ share: entry.weight / total, value: entry.destination }));
}

/** First branch of build_request: nothing about the Service's ports is asked, nor whether the caller is that waypoint. */
function throughServiceWaypoint(
  request: Request,
  service: DumpService,
  gateway: GatewayAddress,
  steps: readonly Step[],
): Outcomes {
  const { serviceWaypointNetwork, otherNetworks } = request.state.behaviour;
  const { destination } = gateway;
  const inOwnNetwork: GatewayAddress =
    serviceWaypointNetwork === 'own' && destination.kind === 'address'
      ? { ...gateway, destination: { ...destination, network: request.state.dump.config.network } }
      : gateway;
  return toWaypoint(request, inOwnNetwork, steps, { service, sans: 'waypoint', workload: null }, (choice, at) => {
    if (otherNetworks !== 'service-port' || choice.workload.network === request.source.network) return null;
    return throughNetworkGateway(request, choice, service.hostname, request.target.port, serviceName(service), at);
  });
}

/** Not through a Service's waypoint: build_request from fetch_upstream on. */
function direct(request: Request, service: DumpService | null, steps: readonly Step[]): Decided {
  const { source, state, target } = request;
  const found = findDraw(request, source.network, target, 'standard');
  if ('options' in found && isPlain(request, service, found)) return eachPlain(request, service, found, steps);
  const upstreams = 'options' in found ? drawn(state, found) : found;
  return split(upstreams, (upstream) => toEndpoint(request, service, upstream, steps));
}

function toEndpoint(
  request: Request,
  service: DumpService | null,
  upstream: Upstream,
  steps: readonly Step[],
): Outcomes {
  const { state, target } = request;
  if (upstream === 'none' || upstream === 'original') {
    return certain(withoutUpstream(request, service, upstream, steps));
  }
  if (upstream.workload.gatewayAddress !== null) {
    throw new Undecided({
      fact: `gatewayAddress of workload ${upstream.workload.uid}`,
      reason: 'a static gateway address is not followed by this program',
    });
  }
  return split(pickAddress(state, upstream, target.ip), (picked) =>
    toUpstream(request, service, upstream, picked, () => [...steps, chosenStep(upstream, 'endpoint')]),
  );
}

/** Fewer endpoints than this are decided at once: less work than keeping them to be decided. */
const FEW = 4;

/**
 * Whether each endpoint that may be drawn is one connection to the workload itself, whoever of its class the source is:
 * nothing is open, and nothing can fail.
 */
function isPlain(request: Request, service: DumpService | null, draw: Draw): boolean {
  const { state, source, spoofs } = request;
  const { behaviour } = state;
  if (draw.options.length < FEW || draw.missing > 0 || spoofs) return false;
  const table = state.endpointsOf(draw.service);
  return (
    table.plain &&
    behaviour.waypoints === 'client' &&
    (behaviour.otherNetworks === 'ignored' || table.network === source.network) &&
    (service !== null || table.withoutWaypoint) &&
    (draw.service.ipFamilies === null || draw.service.ipFamilies === 'Dual')
  );
}

/**
 * Of a large Service only few outcomes are ever read: those of plain endpoints are counted and put in order, and made as
 * all others are when they are read.
 */
function eachPlain(request: Request, service: DumpService | null, draw: Draw, steps: readonly Step[]): Settled {
  const { state } = request;
  const weight = ({ workload }: KnownEndpoint): number => weightOf(state, workload);
  const { capacity } = state.endpointsOf(draw.service);
  const equal = !state.behaviour.capacity || (capacity !== null && capacity > 0);
  const options = equal
    ? draw.options
    : draw.options.filter((option) => weight(option) > 0).sort((left, right) => weight(right) - weight(left));
  const each = state.behaviour.capacity ? (capacity ?? 0) : 1;
  const total = equal ? each * options.length : options.reduce((sum, option) => sum + weight(option), 0);
  if (options.length === 0) return new Settled([withoutUpstream(request, service, 'none', steps)]);
  return new Settled(
    lazyList(options.length, (index) => {
      const option = options[index];
      if (option === undefined) throw new Error('a list has no such element');
      const upstream = withPort(state, draw.service, option, draw.port);
      return withShare(toEndpoint(request, service, upstream, steps), weight(option) / total);
    }),
  );
}

function withoutUpstream(
  request: Request,
  service: DumpService | null,
  upstream: Extract<Upstream, string>,
  steps: readonly Step[],
): ZtunnelOutcome {
  const { target, state } = request;
  const address = targetText(request);
  const passthrough = service === null || service.loadBalancer?.mode === 'Passthrough';
  if (!passthrough && state.behaviour.noHealthyUpstream) {
    const why = step('no endpoint of the service can take this port', service.evidence);
    return failure(`no healthy upstream: ${address}`, [...steps, why], { service: serviceName(service) });
  }
  const why =
    upstream === 'original'
      ? 'load balancing of the service is Passthrough: the original destination is kept'
      : service === null
        ? `${address} is not known to ztunnel: passed through as plain TCP`
        : 'no endpoint of the service can take this port: passed through as plain TCP';
  const old = state.behaviour.waypoints === 'node';
  return outcome({
    action: 'forward',
    protocol: 'tcp',
    to: address,
    keepsSource: request.spoofs,
    log: old ? `Proxying to ${address} using TCP via ${address} type Passthrough` : `dst.addr=${address}`,
    decidedBy: service?.evidence ?? { file: state.dump.file, text: `${target.ip} is in no entry of the dump` },
    steps: [...steps, step(why, service?.evidence ?? null)],
  });
}

function toUpstream(
  request: Request,
  service: DumpService | null,
  choice: Choice,
  picked: Picked,
  steps: () => readonly Step[],
): Outcomes {
  const { state, source, target } = request;
  const { workload } = choice;
  const { otherNetworks } = state.behaviour;
  if (picked.kind === 'failed' || picked.kind === 'name') return certain(pickedFailure(choice, picked, steps()));
  if (otherNetworks !== 'ignored' && workload.network !== source.network) {
    const named = otherNetworks === 'service-port' ? service : choice.service;
    const port = otherNetworks === 'service-port' ? target.port : choice.port;
    if (named === null) return certain(failure(`no service for target address: ${targetText(request)}`, steps()));
    return throughNetworkGateway(request, choice, named.hostname, port, serviceName(named), steps());
  }
  if (workload.waypoint !== null && passesWaypoint(request, service, workload, workload.waypoint)) {
    const at = [...steps(), step(`${workload.namespace}/${workload.name} has a waypoint`, workload.evidence)];
    // up to 1.22.0 the names accepted were those of the destination's Service (Z@1.21.6:src/proxy/outbound.rs)
    const { waypointWords } = state.behaviour;
    const sans = waypointWords === 'workload' || waypointWords === 'upstream' ? 'destination' : 'waypoint';
    return toWaypoint(request, workload.waypoint, at, { service: choice.service, sans, workload }, () => null);
  }
  if (picked.kind === 'gateway') return certain(pickedFailure(choice, picked, steps()));
  return toWorkload(request, choice, picked.ip, steps);
}

/** Up to 1.21 every call of a workload with a waypoint; since then only calls of the workload itself, not by the waypoint. */
function passesWaypoint(
  request: Request,
  service: DumpService | null,
  workload: DumpWorkload,
  waypoint: GatewayAddress,
): boolean {
  const { state, source, downstream, world } = request;
  if (state.behaviour.waypoints === 'node') return true;
  if (service !== null) return false;
  request.world.touched.bits |= LOOKED_AT.person;
  return !isFromWaypoint(state, waypoint, source, downstream, world);
}

function toWorkload(request: Request, choice: Choice, ip: string, steps: () => readonly Step[]): Outcomes {
  const { workload } = choice;
  const address = joinHostPort(ip, choice.port);
  const service = choice.service === null ? null : serviceName(choice.service);
  if (workload.protocol === null) {
    const fact = `protocol of workload ${workload.uid}: ${workload.evidence.file}${workload.evidence.pointer ?? ''}/protocol`;
    const unknown = { fact, reason: 'a value that is not known' };
    return certain(undecided([unknown], steps(), { workload: workload.uid, service }));
  }
  if (workload.protocol === 'TCP') {
    const at = (): readonly Step[] => [
      ...steps(),
      step(`plain TCP to ${address}: the workload's protocol is TCP`, workload.evidence),
    ];
    const way = { protocol: 'tcp' as const, to: address, target: null, waypoint: null, service, steps: at };
    return certain(sent(request, choice, way, 'Direct'));
  }
  if (takesFastPath(request, workload)) return fastPath(request, choice, ip, steps());
  const to = joinHostPort(ip, request.state.dump.config.inboundPort);
  const at = (): readonly Step[] => [
    ...steps(),
    step(`HBONE to ${to} for ${address}: the workload's protocol is HBONE`, workload.evidence),
  ];
  const way = { protocol: 'hbone' as const, to, target: address, waypoint: null, service, steps: at };
  return certain(sent(request, choice, way, 'Direct'));
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
  return state
    .readable(found.service)
    .endpoints()
    .some((endpoint) => {
      const workload = state.workloadByUid(endpoint.workloadUid);
      return workload !== null && isSource(workload);
    });
}
