import { parseIp } from '../formats/ip.js';
import type { DumpCertificate, LegacyState, LegacyWorkload } from '../formats/ztunnel-types.js';
import type { ZtunnelOutcome } from './face.js';
import type { Identity } from './identity.js';
import type { Branch, Step } from './outcome.js';
import { checkPolicies } from './policies.js';
import { Undecided, type State } from './state.js';

export type Outcomes = readonly Branch<ZtunnelOutcome>[];

/** One 1.18 decision; what is named `file.rs` below is istio/ztunnel@1.18.2:src/proxy/file.rs unless a path is given. */
export interface Request {
  readonly state: State;
  readonly legacy: LegacyState;
  readonly certificates: ReadonlyMap<string, DumpCertificate>;
  readonly source: string;
}

export interface Target {
  readonly ip: string;
  readonly port: number;
}

/** `enable_original_source`, unset: kept where the listener could be made transparent, as it can in the node mode. */
export function keepsSource(state: State): boolean {
  return state.dump.config.requireOriginalSource !== false;
}

export function find(request: Request, ip: string): LegacyWorkload | null {
  const workload = request.legacy.workloads.get(ip);
  if (workload !== undefined) return workload;
  const gap = request.state.dump.gaps.workloads;
  if (gap !== null) throw new Undecided(gap);
  return null;
}

export function isOwnAddress(request: Request, target: Target): boolean {
  const { proxyMode, localIp } = request.state.dump.config;
  return proxyMode === 'Shared' && localIp === target.ip;
}

/** uid of the releases that have one, so that later rooms name a workload alike: the release itself has only addresses. */
export function nameOf(workload: LegacyWorkload): string {
  return `${workload.namespace}/${workload.name}`;
}

export function rbac(
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

export function withSteps(outcomes: Outcomes, steps: readonly Step[], more: Partial<ZtunnelOutcome>): Outcomes {
  return outcomes.map(({ share, value }) => ({
    share,
    value: value.action === 'unknown' ? { ...value, steps } : { ...value, ...more, steps },
  }));
}

export function oldLog(error: string): { readonly log: string } {
  return { log: `failed err=${error}` };
}
