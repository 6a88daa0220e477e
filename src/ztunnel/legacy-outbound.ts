import { joinHostPort, splitHostPort } from '../formats/ip.js';
import type { LegacyWorkload } from '../formats/ztunnel-types.js';
import { certificateProblem } from './certificate.js';
import { identityOf, parseIdentity } from './identity.js';
import { SELF_CALL } from './inbound.js';
import {
  find,
  isOwnAddress,
  nameOf,
  oldLog,
  rbac,
  withSteps,
  type Outcomes,
  type Request,
  type Target,
} from './legacy-request.js';
import { certain, failure, outcome, split, step, type Branch, type Step } from './outcome.js';
import { Undecided } from './state.js';

/** outbound.rs proxy_to, build_request. */
export function outbound(request: Request, target: Target, spoofs: boolean, before: readonly Step[]): Outcomes {
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
