import { assertNever } from '../formats/evidence.js';
import type {
  DumpEndpoint,
  DumpService,
  DumpWorkload,
  GatewayAddress,
  RoutingScope,
} from '../formats/ztunnel-types.js';
import type { Branch } from './outcome.js';
import { certain } from './outcome.js';
import { Undecided, type State } from './state.js';
import type { World } from './world.js';

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

/** Leading preferences that match; 1.31 goes on after a first `Network` that does not (Z@1.31.0-rc.0:src/state.rs load_balance). */
function rankOf(
  scopes: readonly RoutingScope[],
  source: DumpWorkload,
  target: DumpWorkload,
  networkFirst: boolean,
): number {
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
  return rank + adjust;
}

/** Endpoints that load_balance() would draw from, before ranks. */
function usable(
  state: State,
  source: DumpWorkload,
  service: DumpService,
  port: number,
  mode: ResolutionMode,
): readonly { readonly endpoint: DumpEndpoint; readonly workload: DumpWorkload }[] {
  const target = service.ports[port];
  const { portFilter, addresslessFilter } = state.behaviour;
  if (mode === 'standard' && target === undefined) return [];
  const out: { endpoint: DumpEndpoint; workload: DumpWorkload }[] = [];
  for (const endpoint of service.endpoints()) {
    const workload = state.workloadByUid(endpoint.workloadUid);
    if (workload === null) continue;
    if (addresslessFilter && workload.ips.length === 0 && workload.hostname === '') {
      // reachable only through a gateway, which is never used inside one's own network
      if (workload.network === source.network || workload.networkGateway === null) continue;
    }
    if (portFilter && mode === 'standard') {
      if ((target ?? 0) === 0 && endpoint.ports[port] === undefined) continue;
    } else if (portFilter && target === undefined && workload.applicationTunnel === null) continue;
    out.push({ endpoint, workload });
  }
  return out;
}

/** Up to 1.22.1 an endpoint whose workload is not known is drawn all the same, and then nothing is found. */
function undrawable(state: State, service: DumpService, port: number): number {
  if (service.ports[port] === undefined) return 0;
  return service.endpoints().filter((endpoint) => state.workloadByUid(endpoint.workloadUid) === null).length;
}

/** Z:src/state.rs find_upstream_from_service: weighted by capacity among the best rank; then the target port. */
export function fromService(
  drawing: Drawing,
  service: DumpService,
  port: number,
  mode: ResolutionMode,
): readonly Branch<Upstream>[] {
  const { state, source } = drawing;
  // up to 1.22.1 a port is looked up on the Service first, whatever is asked for
  const known = state.behaviour.portFilter ? mode : 'standard';
  let options = usable(state, source, service, port, known);
  let missing = state.behaviour.portFilter ? 0 : undrawable(state, service, port);
  const balancer = service.loadBalancer;
  if (balancer !== null && balancer.mode !== 'Standard') {
    const scopes = balancer.preferences.filter((scope): scope is RoutingScope => scope !== null);
    if (balancer.mode === null || scopes.length < balancer.preferences.length) {
      throw new Undecided({
        fact: `load balancing of ${service.namespace}/${service.hostname}: ${service.evidence.file}${service.evidence.pointer ?? ''}`,
        reason: 'the mode or a routing preference is not known',
      });
    }
    drawing.world.touched.place = true;
    const networkFirst = state.behaviour.networkFirstRank;
    const ranked = options.map((option) => ({ option, rank: rankOf(scopes, source, option.workload, networkFirst) }));
    const strict = balancer.mode === 'Strict' ? ranked.filter(({ rank }) => rank === scopes.length) : ranked;
    const best = Math.max(...strict.map(({ rank }) => rank));
    options = strict.filter(({ rank }) => rank === best).map(({ option }) => option);
    missing = 0;
  }
  const weight = (workload: DumpWorkload): number => (state.behaviour.capacity ? workload.capacity : 1);
  const total = options.reduce((sum, { workload }) => sum + weight(workload), 0) + missing;
  if (total === 0) return certain('none');
  const branches: Branch<Upstream>[] = options
    .filter(({ workload }) => weight(workload) > 0)
    .map(({ endpoint, workload }) => ({
      share: weight(workload) / total,
      value: withPort(state, service, endpoint, workload, port),
    }));
  if (missing > 0) branches.push({ share: missing / total, value: 'none' });
  return branches;
}

/** The endpoint's own port, the Service's, or (waypoints) the application tunnel's leave to keep it. */
function withPort(
  state: State,
  service: DumpService,
  endpoint: DumpEndpoint,
  workload: DumpWorkload,
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
  const { state, source, world } = drawing;
  const service = state.serviceByVip(network, target.ip, source.namespace, world);
  if (service !== null) {
    if (service.loadBalancer?.mode === 'Passthrough') return certain('original');
    return fromService(drawing, service, target.port, mode);
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
