import { canonicalIp, joinHostPort, splitHostPort } from '../formats/ip.js';
import type { LegacyWorkload } from '../formats/ztunnel-types.js';
import { canonicalAddress, parseAuthority } from './authority.js';
import type { ZtunnelConnection, ZtunnelOutcome } from './face.js';
import { identityOf, parseIdentity } from './identity.js';
import { SELF_CALL } from './inbound.js';
import { outbound } from './legacy-outbound.js';
import {
  find,
  isOwnAddress,
  keepsSource,
  nameOf,
  rbac,
  withSteps,
  type Outcomes,
  type Request,
  type Target,
} from './legacy-request.js';
import { bypassedWaypoint, certain, failure, outcome, step, type Step } from './outcome.js';
import { Undecided } from './state.js';

/** inbound.rs serve_connect. */
export function inbound(request: Request, connection: ZtunnelConnection): Outcomes {
  const authority = parseAuthority(connection.dst);
  if (authority === null || authority.kind === 'host') {
    return certain(
      failure('http status: 400 Bad Request', [step(`authority ${connection.dst} is no ip:port`)], {
        log: 'Sending 400',
      }),
    );
  }
  const arrived = connection.arrivedAt === null ? authority.ip : arrivedIp(connection.arrivedAt);
  if (arrived !== authority.ip) {
    const mismatch = `ip mismatch ${connection.dst} != ${connection.arrivedAt ?? ''}`;
    return certain(failure('http status: 400 Bad Request', [step(mismatch)], { log: 'Sending 400, ip mismatch' }));
  }
  const workload = find(request, authority.ip);
  if (workload === null) {
    // TLS asks for the destination's certificate before any CONNECT is read (inbound.rs InboundCertProvider)
    const error = `certificate lookup error: ${authority.ip} is not a known destination`;
    const steps = [step(`${authority.ip} is in no entry of the dump`)];
    return certain(failure(error, steps, { log: `TLS handshake error: ${error}` }));
  }
  if (connection.identity === null) throw new Undecided({ fact: 'identity of the peer', reason: 'it is not given' });
  const identity = parseIdentity(connection.identity);
  const steps = [step(`HBONE for ${nameOf(workload)}`, workload.evidence)];
  if (identity === null || identity.trustDomain !== workload.trustDomain) {
    const error = 'TLS handshake error: the client is of another trust domain';
    return certain(
      failure(error, [...steps, step(`trust domain of ${connection.identity}`)], { log: 'TLS handshake error' }),
    );
  }
  const fromWaypoint = workload.waypointAddresses.some((ip) => {
    const waypoint = find(request, ip);
    return waypoint !== null && identityOf(waypoint) === identity.text;
  });
  if (fromWaypoint) {
    const skipped = step('from its waypoint: policies are not asked again', workload.evidence);
    return certain(delivered(request, workload, authority, [...steps, skipped]));
  }
  const verdict = rbac(request, workload, authority, identity);
  if (verdict.outcomes !== null) {
    return withSteps(verdict.outcomes, [...steps, verdict.step], { workload: nameOf(workload), log: 'RBAC rejected' });
  }
  if (workload.waypointAddresses.length > 0) {
    const named = { workload: nameOf(workload), evidence: workload.evidence };
    return certain(bypassedWaypoint(named, [...steps, verdict.step]));
  }
  return certain(delivered(request, workload, authority, [...steps, verdict.step]));
}

function arrivedIp(text: string): string | null {
  return canonicalAddress(splitHostPort(text)?.host ?? text) ?? canonicalIp(text);
}

function delivered(request: Request, workload: LegacyWorkload, target: Target, steps: readonly Step[]): ZtunnelOutcome {
  const to = joinHostPort(target.ip, target.port);
  return outcome({
    action: 'forward',
    protocol: 'tcp',
    to,
    workload: nameOf(workload),
    keepsSource: keepsSource(request.state),
    log: `got CONNECT request to ${to}`,
    decidedBy: steps[steps.length - 1]?.evidence[0] ?? workload.evidence,
    steps: [...steps, step(`connects to ${to}`, workload.evidence)],
  });
}

/** inbound_passthrough.rs proxy_inbound_plaintext: a destination with a waypoint is sent there, on behalf of the client. */
export function plaintext(request: Request, target: Target): Outcomes {
  const to = joinHostPort(target.ip, target.port);
  if (isOwnAddress(request, target)) {
    return certain(
      failure(SELF_CALL, [step(`${to} is ztunnel's own address`)], { log: `proxying failed: ${SELF_CALL}` }),
    );
  }
  const workload = find(request, target.ip);
  if (workload === null) {
    const error = `unknown destination: ${target.ip}`;
    return certain(
      failure(error, [step(`${target.ip} is in no entry of the dump`)], { log: `proxying failed: ${error}` }),
    );
  }
  const steps = [step(`plain TCP for ${nameOf(workload)}`, workload.evidence)];
  if (workload.waypointAddresses.length > 0) {
    const hairpin = step('it has a waypoint: ztunnel sends the connection there itself', workload.evidence);
    // the client's address is not kept on this way: it may not be of this node
    return outbound(request, target, false, [...steps, hairpin]);
  }
  const verdict = rbac(request, workload, target, null);
  if (verdict.outcomes !== null) {
    return withSteps(verdict.outcomes, [...steps, verdict.step], { workload: nameOf(workload), log: 'RBAC rejected' });
  }
  return certain(
    outcome({
      action: 'forward',
      protocol: 'tcp',
      to,
      workload: nameOf(workload),
      keepsSource: keepsSource(request.state),
      log: 'accepted connection',
      decidedBy: verdict.step.evidence[0] ?? workload.evidence,
      steps: [...steps, verdict.step, step(`connects to ${to}`, workload.evidence)],
    }),
  );
}
