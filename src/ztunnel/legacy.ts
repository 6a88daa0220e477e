import { canonicalIp, joinHostPort, parseIp, splitHostPort } from '../formats/ip.js';
import type { DumpCertificate, LegacyState, LegacyWorkload } from '../formats/ztunnel-types.js';
import type { ZtunnelConnection, ZtunnelOutcome } from './face.js';
import { identityOf, parseIdentity, type Identity } from './identity.js';
import { canonicalAddress, parseAuthority } from './authority.js';
import { certificateProblem } from './certificate.js';
import { SELF_CALL } from './inbound.js';
import { checkPolicies } from './policies.js';
import { certain, failure, outcome, split, step, type Branch, type Step } from './outcome.js';
import { Undecided, type State } from './state.js';

type Outcomes = readonly Branch<ZtunnelOutcome>[];

/** One 1.18 decision; what is named `file.rs` below is istio/ztunnel@1.18.2:src/proxy/file.rs unless a path is given. */
interface Request {
  readonly state: State;
  readonly legacy: LegacyState;
  readonly certificates: ReadonlyMap<string, DumpCertificate>;
  readonly source: string;
}

interface Target {
  readonly ip: string;
  readonly port: number;
}

/**
 * istio 1.18: workloads are found by address, VIPs by `ip:port`, a waypoint belongs to workloads. One ztunnel serves all
 * pods of its node.
 */
export function decideLegacy(
  state: State,
  legacy: LegacyState,
  certificates: ReadonlyMap<string, DumpCertificate>,
  connection: ZtunnelConnection,
  source: string,
): Outcomes {
  const request = { state, legacy, certificates, source };
  if (connection.direction === 'inbound') return inbound(request, connection);
  const parts = splitHostPort(connection.dst);
  const ip = parts === null ? null : canonicalAddress(parts.host);
  if (parts === null || ip === null) {
    throw new Undecided({ fact: `destination ${JSON.stringify(connection.dst)}`, reason: 'it cannot be read' });
  }
  const target = { ip, port: parts.port };
  return connection.direction === 'outbound'
    ? outbound(request, target, keepsSource(state), [])
    : plaintext(request, target);
}

/** `enable_original_source`, unset: kept where the listener could be made transparent, as it can in the node mode. */
function keepsSource(state: State): boolean {
  return state.dump.config.requireOriginalSource !== false;
}

function find(request: Request, ip: string): LegacyWorkload | null {
  const workload = request.legacy.workloads.get(ip);
  if (workload !== undefined) return workload;
  const gap = request.state.dump.gaps.workloads;
  if (gap !== null) throw new Undecided(gap);
  return null;
}

function isOwnAddress(request: Request, target: Target): boolean {
  const { proxyMode, localIp } = request.state.dump.config;
  return proxyMode === 'Shared' && localIp === target.ip;
}

/** uid of the releases that have one, so that later rooms name a workload alike: the release itself has only addresses. */
function nameOf(workload: LegacyWorkload): string {
  return `${workload.namespace}/${workload.name}`;
}

/** outbound.rs proxy_to, build_request. */
function outbound(request: Request, target: Target, spoofs: boolean, before: readonly Step[]): Outcomes {
  const { state, source } = request;
  const address = joinHostPort(target.ip, target.port);
  if (isOwnAddress(request, target)) {
    return certain(failure(SELF_CALL, [...before, step(`${address} is ztunnel's own address`)], oldLog(SELF_CALL)));
  }
  const from = find(request, source);
  if (from === null) {
    const error = `unknown source: ${source}`;
    return certain(failure(error, [...before, step(`${source} is in no entry of the dump`)], oldLog(error)));
  }
  const steps = [...before, step(`source is ${nameOf(from)}`, from.evidence)];
  return split(upstreams(request, target), (upstream) => {
    if (upstream === null) {
      return certain(
        outcome({
          action: 'forward',
          protocol: 'tcp',
          to: address,
          keepsSource: spoofs && source !== target.ip,
          log: `Proxying to ${address} using TCP via ${address} type Passthrough`,
          decidedBy: { file: state.dump.file, text: `${target.ip} is in no entry of the dump` },
          steps: [...steps, step(`${address} is not known to ztunnel: passed through as plain TCP`)],
        }),
      );
    }
    return towards(request, from, upstream, target, spoofs, steps);
  });
}

interface LegacyUpstream {
  readonly workload: LegacyWorkload;
  readonly port: number;
  readonly vip: boolean;
}

/** src/workload.rs find_upstream: one endpoint of the VIP, uniformly; where it is not known, a workload by address. */
function upstreams(request: Request, target: Target): readonly Branch<LegacyUpstream | null>[] {
  const vip = request.legacy.vips.get(joinHostPort(target.ip, target.port));
  const own = (): LegacyUpstream | null => {
    const workload = find(request, target.ip);
    return workload === null ? null : { workload, port: target.port, vip: false };
  };
  if (vip === undefined || vip.endpoints.length === 0) return certain(own());
  return vip.endpoints.map((endpoint) => {
    const workload = find(request, endpoint.ip);
    return {
      share: 1 / vip.endpoints.length,
      value: workload === null ? own() : { workload, port: endpoint.port, vip: true },
    };
  });
}

function towards(
  request: Request,
  from: LegacyWorkload,
  upstream: LegacyUpstream,
  target: Target,
  spoofs: boolean,
  before: readonly Step[],
): Outcomes {
  const { workload, port } = upstream;
  const steps = [...before, step(`endpoint ${nameOf(workload)}`, workload.evidence)];
  if (workload.waypointAddresses.length > 0) return toWaypoint(request, from, upstream, target, spoofs, steps);
  const address = joinHostPort(workload.ip, port);
  if (workload.protocol === null) {
    throw new Undecided({ fact: `protocol of workload ${nameOf(workload)}`, reason: 'a value that is not known' });
  }
  if (workload.protocol === 'TCP') {
    const to = workload.gatewayAddress ?? address;
    return certain(
      outcome({
        action: 'forward',
        protocol: 'tcp',
        to,
        workload: nameOf(workload),
        keepsSource: spoofs,
        log: `Proxying to ${address} using TCP via ${to} type Direct`,
        decidedBy: workload.evidence,
        steps: [...steps, step(`plain TCP to ${to}: the workload's protocol is TCP`, workload.evidence)],
      }),
    );
  }
  const { localNode, proxyMode } = request.state.dump.config;
  const local = workload.node !== '' && workload.node === localNode;
  if (local && proxyMode === 'Shared' && !workload.nativeHbone) {
    return fastPath(request, from, workload, { ip: workload.ip, port }, spoofs, steps);
  }
  const gatewayIp = splitHostPort(workload.gatewayAddress ?? '')?.host ?? workload.ip;
  const to = local ? joinHostPort(gatewayIp, 15008) : (workload.gatewayAddress ?? joinHostPort(workload.ip, 15008));
  return hbone(request, from, workload, workload, to, address, null, local ? 'DirectLocal' : 'Direct', spoofs, steps);
}

/** outbound.rs: any of the waypoint addresses, HBONE with the VIP as authority, unless its workload is not known. */
function toWaypoint(
  request: Request,
  from: LegacyWorkload,
  upstream: LegacyUpstream,
  target: Target,
  spoofs: boolean,
  before: readonly Step[],
): Outcomes {
  const { workload } = upstream;
  const steps = [...before, step(`${nameOf(workload)} has a waypoint`, workload.evidence)];
  const count = workload.waypointAddresses.length;
  const choices = workload.waypointAddresses.map((ip) => ({ share: 1 / count, value: ip }));
  return split(choices, (ip) => {
    const waypoint = find(request, ip);
    if (waypoint === null) {
      // the format string prints the first address twice (src/proxy.rs)
      const error = `unknown waypoint ${ip} for ${ip}`;
      return certain(failure(error, steps, oldLog(error)));
    }
    const authority = joinHostPort(target.ip, target.port);
    const to = joinHostPort(ip, 15008);
    return hbone(request, from, workload, waypoint, to, authority, nameOf(waypoint), 'ToServerWaypoint', spoofs, steps);
  });
}

function hbone(
  request: Request,
  from: LegacyWorkload,
  workload: LegacyWorkload,
  peer: LegacyWorkload,
  to: string,
  authority: string,
  waypoint: string | null,
  type: string,
  spoofs: boolean,
  before: readonly Step[],
): Outcomes {
  const identity = identityOf(peer);
  const log = `proxy to ${authority} using HBONE via ${to} type ${type}`;
  const steps = [...before, step(`HBONE to ${to} for ${authority}`, peer.evidence)];
  const { certificates, legacy, state } = request;
  const refused = certificateProblem(from, certificates, state.dump.config.localNode, () => legacy.workloads.values());
  if (refused !== null) {
    return certain(
      failure(refused.error, [...steps, refused.step], {
        ...oldLog(refused.error),
        decidedBy: refused.step.evidence[0] ?? from.evidence,
      }),
    );
  }
  return certain(
    outcome({
      action: 'forward',
      protocol: 'hbone',
      to,
      target: authority,
      waypoint,
      workload: nameOf(waypoint === null ? workload : peer),
      identity,
      identities: [identity],
      keepsSource: spoofs,
      log,
      decidedBy: peer.evidence,
      steps,
    }),
  );
}

/** outbound.rs: same node, not natively HBONE: no connection, only the policies of the destination. */
function fastPath(
  request: Request,
  from: LegacyWorkload,
  workload: LegacyWorkload,
  target: Target,
  spoofs: boolean,
  before: readonly Step[],
): Outcomes {
  const address = joinHostPort(target.ip, target.port);
  const log = `proxying to ${address} using node local fast path`;
  const steps = [...before, step(log, workload.evidence)];
  const identity = parseIdentity(identityOf(from));
  const verdict = rbac(request, workload, target, identity);
  if (verdict.outcomes !== null) {
    return withSteps(verdict.outcomes, [...steps, verdict.step], {
      workload: nameOf(workload),
      error: 'http status: 401 Unauthorized',
      log: 'RBAC rejected',
      viaFastPath: true,
    });
  }
  return certain(
    outcome({
      action: 'forward',
      protocol: 'tcp',
      to: address,
      workload: nameOf(workload),
      keepsSource: spoofs,
      viaFastPath: true,
      log,
      decidedBy: verdict.step.evidence[0] ?? workload.evidence,
      steps: [...steps, verdict.step],
    }),
  );
}

function rbac(
  request: Request,
  workload: LegacyWorkload,
  target: Target,
  identity: Identity | null,
): ReturnType<typeof checkPolicies> {
  const sourceIp = parseIp(request.source);
  const destinationIp = parseIp(target.ip);
  if (sourceIp === null || destinationIp === null) throw new Error('addresses were read before');
  return checkPolicies(request.state, workload, { sourceIp, destinationIp, port: target.port, identity });
}

function withSteps(outcomes: Outcomes, steps: readonly Step[], more: Partial<ZtunnelOutcome>): Outcomes {
  return outcomes.map(({ share, value }) => ({
    share,
    value: value.action === 'unknown' ? { ...value, steps } : { ...value, ...more, steps },
  }));
}

/** inbound.rs serve_connect. */
function inbound(request: Request, connection: ZtunnelConnection): Outcomes {
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
    const bypassed = step('the workload has a waypoint, and the peer is not that waypoint', workload.evidence);
    return certain(
      outcome({
        action: 'deny',
        policy: 'bypassed waypoint',
        error: 'http status: 401 Unauthorized',
        log: 'bypassed waypoint',
        workload: nameOf(workload),
        decidedBy: workload.evidence,
        steps: [...steps, verdict.step, bypassed],
      }),
    );
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
function plaintext(request: Request, target: Target): Outcomes {
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

function oldLog(error: string): { readonly log: string } {
  return { log: `failed err=${error}` };
}
