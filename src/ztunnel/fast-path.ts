import { joinHostPort, parseIp } from '../formats/ip.js';
import type { DumpWorkload } from '../formats/ztunnel-types.js';
import type { Choice } from './balance.js';
import { parseIdentity } from './identity.js';
import { certain, outcome, serviceName, step, workloadIdentity, type Step } from './outcome.js';
import { checkPolicies } from './policies.js';
import type { Outcomes, Request } from './request.js';
import { LOOKED_AT } from './world.js';

/**
 * 1.19–1.21, node mode: a captured workload on the same node that does not speak HBONE itself is connected to directly,
 * inside ztunnel (Z@1.21.6:src/proxy/outbound.rs `can_fastpath`, RequestType::DirectLocal; not in in-pod mode).
 */
export function takesFastPath(request: Request, workload: DumpWorkload): boolean {
  const { behaviour, dump } = request.state;
  if (behaviour.waypoints !== 'node' || dump.config.inpod || dump.config.proxyMode !== 'Shared') return false;
  return workload.node !== '' && workload.node === dump.config.localNode && !workload.nativeTunnel;
}

/** The destination's policies with the source's identity, then the application. */
export function fastPath(request: Request, choice: Choice, ip: string, before: readonly Step[]): Outcomes {
  const { workload } = choice;
  request.world.touched.bits |= LOOKED_AT.person;
  const sourceIp = parseIp(request.downstream);
  const destinationIp = parseIp(ip);
  if (sourceIp === null || destinationIp === null) throw new Error('addresses were read before');
  const address = joinHostPort(ip, choice.port);
  const log = `proxying to ${address} using node local fast path`;
  const identity = parseIdentity(workloadIdentity(request.source));
  const connection = { sourceIp, destinationIp, port: choice.port, identity };
  const verdict = checkPolicies(request.state, workload, connection);
  const steps = [...before, step(log, workload.evidence), verdict.step];
  if (verdict.outcomes !== null) {
    return verdict.outcomes.map(({ share, value }) => ({
      share,
      value: { ...value, steps, workload: workload.uid, viaFastPath: true },
    }));
  }
  return certain(
    outcome({
      action: 'forward',
      protocol: 'tcp',
      to: address,
      workload: workload.uid,
      service: choice.service === null ? null : serviceName(choice.service),
      keepsSource: request.spoofs && request.downstream !== ip,
      viaFastPath: true,
      log,
      decidedBy: verdict.step.evidence[0] ?? workload.evidence,
      steps,
    }),
  );
}
