import { joinHostPort } from '../formats/ip.js';
import type { DumpWorkload } from '../formats/ztunnel-types.js';
import type { Address, Authority } from './authority.js';
import { parseIdentity } from './identity.js';
import { connectionTo, enter, keepsCaller, plaintextDoor, towardsPod, type InboundRequest } from './inbound.js';
import { bypassedWaypoint, certain, failure, step, workloadIdentity } from './outcome.js';
import { decideOutbound } from './outbound.js';
import { checkPolicies } from './policies.js';
import type { Decided, Outcomes } from './request.js';
import type { State } from './state.js';
import type { World } from './world.js';

/**
 * Inbound of 1.19–1.21 (Z@1.21.6:src/proxy/inbound.rs serve_connect, inbound_passthrough.rs): the destination is found by
 * address, its waypoint alone may pass, and plaintext for a workload with a waypoint is sent there.
 */
export function decideNodeConnect(
  request: InboundRequest,
  authority: Authority,
  peer: string,
  address: Address,
): Outcomes {
  const { local, state, arrivedIp } = request;
  const steps = [step(`HBONE for ${local.namespace}/${local.name}`, local.evidence)];
  const identity = parseIdentity(peer);
  if (identity === null || identity.trustDomain !== local.trustDomain) {
    const error = 'TLS handshake error: the client is of another trust domain';
    return certain(failure(error, [...steps, step(`peer ${peer}`)], { log: 'TLS handshake error' }));
  }
  if (authority.kind === 'host') {
    return certain(failure('http status: 400 Bad Request', steps, { log: 'Sending 400' }));
  }
  if (authority.ip !== arrivedIp) {
    const mismatch = step(`ip mismatch ${joinHostPort(authority.ip, authority.port)} != ${arrivedIp}`);
    const more = { log: 'Sending 400, ip mismatch' };
    return certain(failure('http status: 400 Bad Request', [...steps, mismatch], more));
  }
  const to = { ip: authority.ip, port: authority.port };
  const door = { kind: 'guarded', request, port: to.port, to, hidesCaller: false, steps } as const;
  const caller = { address, identity };
  if (isFromWaypoint(state, local, identity.text, request.world)) {
    const skipped = step('from its waypoint: policies are not asked again', local.evidence);
    return certain(towardsPod(request, to, keepsCaller(door, caller), [...steps, skipped]));
  }
  if (local.waypoint === null) return enter(door, caller);
  const verdict = checkPolicies(state, local, connectionTo(door, caller));
  if (verdict.outcomes !== null) {
    const all = [...steps, verdict.step];
    return verdict.outcomes.map(({ share, value }) => ({
      share,
      value: { ...value, workload: local.uid, steps: all },
    }));
  }
  return certain(bypassedWaypoint({ workload: local.uid, evidence: local.evidence }, [...steps, verdict.step]));
}

/** By identity alone (Z@1.21.6:src/proxy/inbound.rs check_gateway_address). */
function isFromWaypoint(state: State, local: DumpWorkload, identity: string, world: World): boolean {
  if (local.waypoint === null) return false;
  const found = state.findDestination(local.waypoint, null, world);
  if (found === null) return false;
  if (found.kind === 'workload') return workloadIdentity(found.workload) === identity;
  return state
    .readable(found.service)
    .endpoints()
    .some((endpoint) => {
      const workload = state.workloadByUid(endpoint.workloadUid);
      return workload !== null && workloadIdentity(workload) === identity;
    });
}

/** Plaintext for a workload with a waypoint: ztunnel calls the waypoint on behalf of the client. */
export function decideNodePlaintext(
  request: InboundRequest,
  port: number,
  source: DumpWorkload | null,
  address: Address,
): Decided {
  const { local, state, world, arrivedIp } = request;
  if (local.waypoint === null) return enter(plaintextDoor(request, port), { address, identity: null });
  const steps = [step(`plain TCP for ${local.namespace}/${local.name}`, local.evidence)];
  const before = [...steps, step('it has a waypoint: ztunnel sends the connection there itself', local.evidence)];
  if (source === null) return certain(failure(`unknown source: ${address.text}`, before));
  const target = { ip: arrivedIp, port };
  return decideOutbound({ state, world, source, downstream: address.text, target, spoofs: false, before });
}
