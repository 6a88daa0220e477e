import { assertNever } from '../formats/evidence.js';
import type {
  DumpEndpoint,
  DumpService,
  DumpWorkload,
  GatewayAddress,
  LoadBalancer,
  RoutingScope,
} from '../formats/ztunnel-types.js';
import type { Branch } from './outcome.js';
import { certain } from './outcome.js';
import type { KnownEndpoint } from './endpoints.js';
import { Undecided, type State } from './state.js';
import { LOOKED_AT, type World } from './world.js';

/** For whom endpoints are drawn. */
export interface Drawing {
  readonly state: State;
  readonly world: World;
  readonly source: DumpWorkload;
}

/** Standard: a call of the Service itself. Waypoint: the port need not exist where there is an application tunnel. */
export type ResolutionMode = 'standard' | 'waypoint';

/** A chosen endpoint before its address is picked (Z:src/state.rs UpstreamDestination::UpstreamParts). */
export interface Choice {
  readonly workload: DumpWorkload;
  readonly port: number;
  readonly service: DumpService | null;
  /** Null where the workload itself was addressed. */
  readonly endpoint: DumpEndpoint | null;
}

/** `original`: load balancing is Passthrough, the original destination is kept. `none`: nothing usable. */
export type Upstream = Choice | 'original' | 'none';

/** What of the source each routing preference looks at; its network is always looked at. */
const SCOPE_BITS: Readonly<Record<RoutingScope, number>> = {
  Region: LOOKED_AT.region,
  Zone: LOOKED_AT.zone,
  Subzone: LOOKED_AT.subzone,
  Node: LOOKED_AT.node,
  Cluster: LOOKED_AT.cluster,
  Network: 0,
};

function scopeMatches(scope: RoutingScope, source: DumpWorkload, target: DumpWorkload): boolean {
  switch (scope) {
    case 'Region':
      return source.locality.region === target.locality.region;
    case 'Zone':
      return source.locality.zone === target.locality.zone;
    case 'Subzone':
      return source.locality.subzone === target.locality.subzone;
    case 'Node':
      return source.node === target.node;
    case 'Cluster':
      return source.clusterId === target.clusterId;
    case 'Network':
      return source.network === target.network;
    default:
      return assertNever(scope);
  }
}

/**
 * Leading preferences that match; 1.31 goes on after a first `Network` that does not, and lets one that does outweigh all
 * others (Z@1.31.0-rc.0:src/state.rs load_balance). Null where load balancing is Strict and not all match.
 */
function rankOf(
  scopes: readonly RoutingScope[],
  source: DumpWorkload,
  target: DumpWorkload,
  networkFirst: boolean,
  strict: boolean,
): number | null {
  let rank = 0;
  let adjust = 0;
  for (const scope of scopes) {
    const matches = scopeMatches(scope, source, target);
    if (scope === 'Network' && networkFirst && scopes[0] === 'Network') {
      if (!matches) continue;
      adjust = scopes.length - 1;
    }
    if (!matches) break;
    rank++;
  }
  return strict && rank !== scopes.length ? null : rank + adjust;
}

/** Endpoints that load_balance() would draw from, before ranks. */
function usable(
  state: State,
  source: DumpWorkload,
  service: DumpService,
  port: number,
  mode: ResolutionMode,
): readonly KnownEndpoint[] {
  const target = service.ports[port];
  const { portFilter, addresslessFilter } = state.behaviour;
  if (mode === 'standard' && target === undefined) return [];
  const table = state.endpointsOf(service);
  const named = portFilter && mode === 'standard' && target === 0;
  const options = named ? table.withPort(port) : table.known;
  if (table.plain && mode === 'standard') return options;
  return options.filter(({ workload }) => {
    if (addresslessFilter && workload.ips.length === 0 && workload.hostname === '') {
      // reachable only through a gateway, which is never used inside one's own network
      if (workload.network === source.network || workload.networkGateway === null) return false;
    }
    return !portFilter || mode === 'standard' || target !== undefined || workload.applicationTunnel !== null;
  });
}

/** Up to 1.22.1 an endpoint whose workload is not known is drawn all the same, and then nothing is found. */
function undrawable(state: State, service: DumpService, port: number): number {
  return service.ports[port] === undefined ? 0 : state.endpointsOf(service).unknown;
}

/** Those of the best rank, by the Service's routing preferences. */
function bestRanked(
  drawing: Drawing,
  service: DumpService,
  balancer: LoadBalancer,
  options: readonly KnownEndpoint[],
): readonly KnownEndpoint[] {
  const { state, source, world } = drawing;
  const scopes = balancer.preferences.filter((scope): scope is RoutingScope => scope !== null);
  if (balancer.mode === null || scopes.length < balancer.preferences.length) {
    throw new Undecided({
      fact: `load balancing of ${service.namespace}/${service.hostname}: ${service.evidence.file}${service.evidence.pointer ?? ''}`,
      reason: 'the mode or a routing preference is not known',
    });
  }
  for (const scope of scopes) world.touched.bits |= SCOPE_BITS[scope];
  const networkFirst = state.behaviour.networkFirstRank;
  const strict = balancer.mode === 'Strict';
  let best = -1;
  let found: KnownEndpoint[] = [];
  for (const option of options) {
    const rank = rankOf(scopes, source, option.workload, networkFirst, strict);
    if (rank === null) continue;
    if (rank > best) {
      best = rank;
      found = [];
    }
    if (rank === best) found.push(option);
  }
  return found;
}

/** The endpoints of a Service from which one is drawn, weighted by capacity. */
export interface Draw {
  readonly service: DumpService;
  readonly port: number;
  readonly options: readonly KnownEndpoint[];
  /** Up to 1.22.1: endpoints that are drawn and then not found. */
  readonly missing: number;
}

/** Z:src/state.rs find_upstream_from_service, load_balance: the endpoints of the best rank. */
function drawFrom(drawing: Drawing, service: DumpService, port: number, mode: ResolutionMode): Draw {
  const { state, source } = drawing;
  // up to 1.22.1 a port is looked up on the Service first, whatever is asked for
  const known = state.behaviour.portFilter ? mode : 'standard';
  const options = usable(state, source, service, port, known);
  const balancer = service.loadBalancer;
  if (balancer !== null && balancer.mode !== 'Standard') {
    return { service, port, options: bestRanked(drawing, service, balancer, options), missing: 0 };
  }
  return { service, port, options, missing: state.behaviour.portFilter ? 0 : undrawable(state, service, port) };
}

/** What one endpoint counts in a draw. */
export function weightOf(state: State, workload: DumpWorkload): number {
  return state.behaviour.capacity ? workload.capacity : 1;
}

/** Each endpoint with its share and its target port. */
export function drawn(state: State, { service, port, options, missing }: Draw): readonly Branch<Upstream>[] {
  let total = missing;
  for (const { workload } of options) total += weightOf(state, workload);
  if (total === 0) return certain('none');
  const branches: Branch<Upstream>[] = [];
  for (const option of options) {
    const share = weightOf(state, option.workload) / total;
    if (share > 0) branches.push({ share, value: withPort(state, service, option, port) });
  }
  if (missing > 0) branches.push({ share: missing / total, value: 'none' });
  return branches;
}

/** The endpoints of a Service that may be taken for a port. */
export function fromService(
  drawing: Drawing,
  service: DumpService,
  port: number,
  mode: ResolutionMode,
): readonly Branch<Upstream>[] {
  return drawn(drawing.state, drawFrom(drawing, service, port, mode));
}

/** The endpoint's own port, the Service's, or (waypoints) the application tunnel's leave to keep it. */
export function withPort(
  state: State,
  service: DumpService,
  { endpoint, workload }: KnownEndpoint,
  port: number,
): Upstream {
  const own = endpoint.ports[port];
  const target = service.ports[port] ?? 0;
  // up to 1.22.1 a named port that the endpoint does not have is taken as it is: 0
  if (!state.behaviour.portFilter) return { workload, port: own ?? target, service, endpoint };
  const tunnelled =
    state.behaviour.tunnelPort && workload.applicationTunnel !== null && workload.applicationTunnel.port !== null;
  const chosen = own ?? (target > 0 ? target : tunnelled ? port : null);
  return chosen === null ? 'none' : { workload, port: chosen, service, endpoint };
}

/** Z:src/state.rs find_upstream: a Service by VIP before a workload by address, the reverse of State.find(). */
export function findUpstream(
  drawing: Drawing,
  network: string,
  target: { readonly ip: string; readonly port: number },
  mode: ResolutionMode,
): readonly Branch<Upstream>[] {
  const found = findDraw(drawing, network, target, mode);
  return 'options' in found ? drawn(drawing.state, found) : found;
}

/** The same, with the endpoints of a Service still to be drawn from. */
export function findDraw(
  drawing: Drawing,
  network: string,
  target: { readonly ip: string; readonly port: number },
  mode: ResolutionMode,
): Draw | readonly Branch<Upstream>[] {
  const { state, source, world } = drawing;
  const service = state.serviceByVip(network, target.ip, source.namespace, world);
  if (service !== null) {
    if (service.loadBalancer?.mode === 'Passthrough') return certain('original');
    return drawFrom(drawing, service, target.port, mode);
  }
  const workload = state.workloadByAddress(network, target.ip, world);
  return certain(workload === null ? 'none' : { workload, port: target.port, service: null, endpoint: null });
}

/** `failed` carries ztunnel's words; `name` a hostname that ztunnel resolves itself. */
export type Picked =
  | { readonly kind: 'ip'; readonly ip: string }
  /** Reachable only through its network gateway. */
  | { readonly kind: 'gateway' }
  | { readonly kind: 'failed' }
  | { readonly kind: 'name'; readonly hostname: string };

/**
 * Z:src/state.rs pick_workload_destination_or_resolve: the address that was asked for, else the first of the same family,
 * else the first that the Service's ipFamilies admit.
 */
export function pickAddress(state: State, choice: Choice, wanted: string): readonly Branch<Picked>[] {
  const { addressChoice, gatewayWithoutAddress } = state.behaviour;
  const { ips } = choice.workload;
  if (addressChoice === 'family' || ips.length < 2 || (addressChoice === 'asked' && ips.includes(wanted))) {
    return certain(byFamily(choice, wanted, gatewayWithoutAddress));
  }
  return ips.map((ip) => ({ share: 1 / ips.length, value: { kind: 'ip', ip } }));
}

function byFamily(choice: Choice, wanted: string, gatewayWithoutAddress: boolean): Picked {
  const { workload } = choice;
  if (workload.ips.includes(wanted)) return { kind: 'ip', ip: wanted };
  const families = choice.service?.ipFamilies ?? null;
  const [only] = workload.ips;
  if (only !== undefined && workload.ips.length === 1 && families === null) return { kind: 'ip', ip: only };
  const isV6 = (ip: string): boolean => ip.includes(':');
  const admitted = workload.ips.filter(
    (ip) => families === null || families === 'Dual' || (families === 'IPv6') === isV6(ip),
  );
  const ip = admitted.find((candidate) => isV6(candidate) === isV6(wanted)) ?? admitted[0];
  if (ip !== undefined) return { kind: 'ip', ip };
  if (workload.hostname !== '') return { kind: 'name', hostname: workload.hostname };
  return gatewayWithoutAddress && workload.networkGateway !== null ? { kind: 'gateway' } : { kind: 'failed' };
}

/** The Rust Debug form of a gateway in error texts. */
export function gatewayDebug(gateway: GatewayAddress): string {
  const quoted = (text: string): string => JSON.stringify(text);
  const { destination } = gateway;
  const inner =
    destination.kind === 'address'
      ? `Address(NetworkAddress { network: ${quoted(destination.network)}, address: ${destination.ip} })`
      : `Hostname(NamespacedHostname { namespace: ${quoted(destination.namespace ?? '')}, hostname: ${quoted(destination.hostname)} })`;
  return `GatewayAddress { destination: ${inner}, hbone_mtls_port: ${gateway.port} }`;
}
