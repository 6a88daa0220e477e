import { joinHostPort } from '../formats/ip.js';
import type { DumpService, DumpWorkload } from '../formats/ztunnel-types.js';
import { knownIp, type Address, type Authority } from './authority.js';
import type { ZtunnelOutcome } from './face.js';
import type { Identity } from './identity.js';
import { certain, failure, outcome, step, type Step } from './outcome.js';
import { checkPolicies } from './policies.js';
import type { RbacConnection } from './rbac.js';
import type { Outcomes } from './request.js';
import type { State } from './state.js';
import type { World } from './world.js';

export interface InboundRequest {
  readonly state: State;
  readonly world: World;
  /** The pod that ztunnel serves here. */
  readonly local: DumpWorkload;
  /** Address on which the connection arrived: the pod's own. */
  readonly arrivedIp: string;
}

/** Who calls, as far as it is known: plaintext has no identity. */
export interface Caller {
  readonly address: Address;
  readonly identity: Identity | null;
}

/** What awaits an inbound connection, whoever calls. */
export type Door =
  | { readonly kind: 'ended'; readonly outcomes: Outcomes }
  /** The policies of the pod, then its application. */
  | {
      readonly kind: 'guarded';
      readonly request: InboundRequest;
      /** Port that the policies see. */
      readonly port: number;
      readonly to: { readonly ip: string; readonly port: number };
      /** The application does not see the caller's address. */
      readonly hidesCaller: boolean;
      readonly steps: readonly Step[];
    };

function ended(value: ZtunnelOutcome): Door {
  return { kind: 'ended', outcomes: certain(value) };
}

export const SELF_CALL = 'attempted recursive call to ourselves';

export function selfCall(request: { readonly state: State }, what: string, steps: readonly Step[]): ZtunnelOutcome {
  const evidence = { file: request.state.dump.file, pointer: '/config/illegalPorts', text: 'ports of ztunnel itself' };
  return failure(SELF_CALL, [...steps, step(`${what} is ztunnel itself`, evidence)]);
}

/** Whether inbound calls of ztunnel's own ports are refused at all (Behaviour.illegalPorts). */
export function refusesPort(state: State, port: number): boolean {
  const { config } = state.dump;
  const { illegalPorts } = state.behaviour;
  const asked =
    illegalPorts === 'always' ||
    (illegalPorts === 'inpod' && config.inpod) ||
    (illegalPorts === 'shared' && config.proxyMode === 'Shared');
  return asked && config.illegalPorts.includes(port);
}

/** Z:src/proxy/inbound_passthrough.rs, by release: calls of ztunnel's own address, then (1.22) of its ports. */
export function isPlaintextSelfCall(state: State, target: { readonly ip: string; readonly port: number }): boolean {
  const { proxyMode, localIp, inpod } = state.dump.config;
  const ownAddress = proxyMode === 'Shared' && localIp === target.ip;
  switch (state.behaviour.illegalPorts) {
    case 'never':
      return ownAddress;
    case 'inpod':
      return inpod ? refusesPort(state, target.port) : ownAddress;
    case 'shared':
      return ownAddress || refusesPort(state, target.port);
    case 'always':
      return refusesPort(state, target.port);
  }
}

/** Z:src/proxy/inbound_passthrough.rs proxy_inbound_plaintext. */
export function plaintextDoor(request: InboundRequest, port: number): Door {
  const { local, arrivedIp } = request;
  const steps = [step(`plain TCP for ${local.namespace}/${local.name}`, local.evidence)];
  return { kind: 'guarded', request, port, to: { ip: arrivedIp, port }, hidesCaller: false, steps };
}

/** Policies, then the connection to the application. */
export function enter(door: Door, caller: Caller): Outcomes {
  if (door.kind === 'ended') return door.outcomes;
  const { request, steps } = door;
  const { state, local } = request;
  const verdict = checkPolicies(state, local, connectionTo(door, caller));
  const all = [...steps, verdict.step];
  if (verdict.outcomes !== null) {
    return verdict.outcomes.map(({ share, value }) => ({
      share,
      value: { ...value, workload: local.uid, steps: all },
    }));
  }
  return certain(towardsPod(request, door.to, keepsCaller(door, caller), all));
}

/** What the policies of a guarded door are held against. */
export function connectionTo(door: Extract<Door, { kind: 'guarded' }>, caller: Caller): RbacConnection {
  const destinationIp = knownIp(door.request.arrivedIp);
  return { sourceIp: caller.address.ip, destinationIp, port: door.port, identity: caller.identity };
}

/** Whether the application sees the caller's address. */
export function keepsCaller(door: Extract<Door, { kind: 'guarded' }>, caller: Caller): boolean {
  const { config } = door.request.state.dump;
  return !door.hidesCaller && config.requireOriginalSource !== false && caller.address.text !== door.to.ip;
}

export function towardsPod(
  request: InboundRequest,
  to: { readonly ip: string; readonly port: number },
  keepsSource: boolean,
  steps: readonly Step[],
): ZtunnelOutcome {
  const { state, local } = request;
  const address = joinHostPort(to.ip, to.port);
  const last = steps[steps.length - 1];
  return outcome({
    action: 'forward',
    protocol: 'tcp',
    to: address,
    workload: local.uid,
    keepsSource,
    log: state.behaviour.waypoints === 'node' ? `got CONNECT request to ${address}` : `dst.hbone_addr=${address}`,
    decidedBy: last?.evidence[0] ?? local.evidence,
    steps: [...steps, step(`connects to ${address}`, local.evidence)],
  });
}

/** Z:src/proxy/inbound.rs, 1.22 on: authority, its validation, next hop; TLS was before. */
export function connectDoor(request: InboundRequest, authority: Authority): Door {
  const { local, state } = request;
  const { illegalPortsWhen, hostnameAuthority } = state.behaviour;
  const steps = connectSteps(local);
  if (authority.kind === 'host' && !hostnameAuthority) {
    const text = joinHostPort(authority.hostname, authority.port);
    return ended(failure(`invalid CONNECT address ${text}`, steps));
  }
  const refusedAt = (when: typeof illegalPortsWhen, port: number): boolean =>
    illegalPortsWhen === when && refusesPort(state, port);
  if (refusedAt('first', authority.port)) return ended(selfCall(request, `port ${authority.port}`, steps));
  const mismatch = validateDestination(request, authority);
  if (mismatch !== null) return ended(failure(mismatch, steps));
  if (refusedAt('looked-up', authority.port)) return ended(selfCall(request, `port ${authority.port}`, steps));
  const resolved = resolveAuthority(request, authority);
  if ('error' in resolved) return ended(failure(resolved.error, steps));
  if (refusedAt('resolved', resolved.port)) return ended(selfCall(request, `port ${resolved.port}`, steps));
  return applicationDoor(request, authority, resolved, steps);
}

export function connectSteps(local: DumpWorkload): readonly Step[] {
  return [step(`HBONE for ${local.namespace}/${local.name}`, local.evidence)];
}

/** Z:src/tls/workload.rs TrustDomainVerifier: the client certificate must be of the pod's own trust domain. */
export function wrongTrustDomain(local: DumpWorkload, peer: string, identity: Identity | null): string | null {
  if (identity !== null && identity.trustDomain === local.trustDomain) return null;
  const quoted = (text: string): string => JSON.stringify(text);
  const presented =
    identity === null
      ? ''
      : `Spiffe { trust_domain: ${quoted(identity.trustDomain)}, namespace: ${quoted(identity.namespace)}, service_account: ${quoted(identity.serviceAccount)} }`;
  return (
    'tls handshake error: Custom { kind: InvalidData, error: InvalidCertificate(Other(OtherError(' +
    `SanTrustDomainError(${quoted(local.trustDomain)}, [${presented}])))) }`
  );
}

/** Z:src/proxy/inbound.rs validate_destination (1.22, 1.23: find_inbound_upstream, find_sandwich_upstream). */
function validateDestination(request: InboundRequest, authority: Authority): string | null {
  const { state, world, local, arrivedIp } = request;
  if (authority.kind === 'host' || authority.ip === arrivedIp) return null;
  if (state.behaviour.tunnelLiftsCheck && local.applicationTunnel !== null) return null;
  const mismatch = `ip mismatch: ${arrivedIp} != ${authority.ip}`;
  const found = state.find(state.dump.config.network, authority.ip, null, world);
  const waypoint = found === null ? null : found.kind === 'service' ? found.service.waypoint : found.workload.waypoint;
  if (waypoint === null) return mismatch;
  const resolved = state.findDestination(waypoint, null, world);
  if (resolved === null) return mismatch;
  const ours =
    resolved.kind === 'service'
      ? state.readable(resolved.service).hasEndpoint(local.uid)
      : resolved.workload.ips.includes(arrivedIp);
  return ours ? null : mismatch;
}

interface Resolved {
  readonly port: number;
  readonly service: DumpService | null;
}

/** The port that the authority stands for, before any application tunnel (Z:src/proxy/inbound.rs find_inbound_upstream). */
function resolveAuthority(request: InboundRequest, authority: Authority): Resolved | { readonly error: string } {
  const { state, local } = request;
  if (authority.kind === 'address') return { port: authority.port, service: null };
  const service = state.serviceByHost(authority.hostname, local.namespace);
  if (service === null) return { error: `no service or workload for hostname: ${authority.hostname}` };
  const own = state.readable(service).endpoint(local.uid)?.ports[authority.port];
  const port = own ?? service.ports[authority.port] ?? 0;
  if (own === undefined && port === 0) {
    return { error: `requested service ${authority.hostname}:${authority.port} found, but cannot resolve port` };
  }
  return { port, service };
}

/** The application tunnel may move the port, and a PROXY tunnel goes to localhost; policies see the tunnel's port. */
function applicationDoor(
  request: InboundRequest,
  authority: Authority,
  resolved: Resolved,
  steps: readonly Step[],
): Door {
  const { state, local, arrivedIp } = request;
  const tunnel = local.applicationTunnel;
  if (tunnel !== null && authority.kind === 'host' && resolved.service?.vips.length === 0) {
    return ended(failure(`requested service ${authority.hostname} found, but has no IP addresses`, steps));
  }
  const port = tunnel?.port ?? resolved.port;
  const door = { kind: 'guarded', request, port, to: { ip: arrivedIp, port }, hidesCaller: false, steps } as const;
  if (tunnel === null) return door;
  const at = [...steps, step(`application tunnel ${tunnel.protocol} on port ${port}`, local.evidence)];
  const toLocalhost =
    tunnel.protocol === 'PROXY' && state.behaviour.localhostTunnel && state.dump.config.localhostAppTunnel;
  if (!toLocalhost) return { ...door, steps: at };
  const loopback = { ip: arrivedIp.includes(':') ? '::1' : '127.0.0.1', port };
  return { ...door, to: loopback, hidesCaller: true, steps: at };
}
