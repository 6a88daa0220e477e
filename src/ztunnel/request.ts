import { joinHostPort } from '../formats/ip.js';
import type { DumpWorkload } from '../formats/ztunnel-types.js';
import type { Choice, Picked } from './balance.js';
import type { Touched } from './cache.js';
import type { ZtunnelOutcome } from './face.js';
import { parseIdentity } from './identity.js';
import {
  failure,
  outcome,
  serviceName,
  step,
  undecided,
  workloadDisplay,
  workloadIdentity,
  type Branch,
  type Step,
} from './outcome.js';
import type { State } from './state.js';
import type { World } from './world.js';

export type Outcomes = readonly Branch<ZtunnelOutcome>[];

/** Everything that one outbound decision carries along. */
export interface Request {
  readonly state: State;
  readonly world: World;
  readonly source: DumpWorkload;
  /** Address of the client as it arrived. */
  readonly downstream: string;
  readonly target: { readonly ip: string; readonly port: number };
  /** The client's address is kept on the outgoing connection. */
  readonly spoofs: boolean;
  /** Filled by whoever looks at more of the source than its namespace and network. */
  readonly touched: Touched;
  /** What led here (a plaintext connection that is sent to a waypoint). */
  readonly before: readonly Step[];
}

export function targetText(request: Request): string {
  return joinHostPort(request.target.ip, request.target.port);
}

/** SANs of the Service that are SPIFFE identities, then the workload's own (Z:src/state.rs workload_and_services_san). */
export function acceptedIdentities(choice: Choice, sans: readonly string[]): readonly string[] {
  const own = workloadIdentity(choice.workload);
  return sans.length === 0 ? [own] : [...sans.filter((san) => parseIdentity(san) !== null), own];
}

export function chosenStep(choice: Choice, what: string): Step {
  const via = choice.endpoint === null ? null : choice.endpoint.evidence;
  return step(`${what} ${choice.workload.namespace}/${choice.workload.name}`, choice.workload.evidence, via);
}

/** A workload without a usable address, or known by hostname only. */
export function pickedFailure(
  choice: Choice,
  picked: Exclude<Picked, { kind: 'ip' }>,
  steps: readonly Step[],
): ZtunnelOutcome {
  const { workload } = choice;
  const more = { workload: workload.uid, service: choice.service === null ? null : serviceName(choice.service) };
  if (picked.kind === 'name') {
    return undecided(
      [
        {
          fact: `addresses of ${picked.hostname} as ztunnel's resolver gives them`,
          reason: `workload ${workload.uid} has a hostname instead of an address; ztunnel resolves it for each connection`,
        },
      ],
      [...steps, step(`${workload.uid} is known by hostname only: ${picked.hostname}`, workload.evidence)],
      more,
    );
  }
  const error = `no valid routing destination for workload: ${workloadDisplay(workload)}`;
  return failure(error, [...steps, step(`${workload.uid} has no usable address`, workload.evidence)], more);
}

type Way = Pick<ZtunnelOutcome, 'protocol' | 'to' | 'target' | 'waypoint' | 'service' | 'steps'>;

/** A connection that ztunnel opens; `type` is the word of the log lines up to 1.21. */
export function sent(
  request: Request,
  choice: Choice,
  way: Way,
  type: 'Direct' | 'DirectLocal' | 'ToServerWaypoint',
  sans: readonly string[] = choice.service?.subjectAltNames ?? [],
): ZtunnelOutcome {
  const secured = way.protocol !== 'tcp';
  if (request.spoofs) request.touched.person = true;
  return outcome({
    action: 'forward',
    ...way,
    workload: choice.workload.uid,
    identity: secured ? workloadIdentity(choice.workload) : null,
    identities: secured ? acceptedIdentities(choice, sans) : [],
    keepsSource: request.spoofs && !isAddressOf(way.to, request.downstream),
    log: request.state.behaviour.waypoints === 'node' ? oldLog(way, type) : newLog(way),
    decidedBy: choice.workload.evidence,
  });
}

/** ztunnel does not bind the address that it connects to (Z:src/proxy.rs freebind_connect). */
function isAddressOf(to: string | null, ip: string): boolean {
  return to !== null && to.startsWith(ip.includes(':') ? `[${ip}]:` : `${ip}:`);
}

function newLog(way: Way): string {
  return way.protocol === 'tcp'
    ? `dst.addr=${way.to ?? ''}`
    : `dst.addr=${way.to ?? ''} dst.hbone_addr=${way.target ?? ''}`;
}

function oldLog(way: Way, type: string): string {
  return way.protocol === 'tcp'
    ? `Proxying to ${way.to ?? ''} using TCP via ${way.to ?? ''} type ${type}`
    : `proxy to ${way.target ?? ''} using HBONE via ${way.to ?? ''} type ${type}`;
}
