import { joinHostPort } from '../formats/ip.js';
import type { DumpWorkload } from '../formats/ztunnel-types.js';
import type { Choice, Picked } from './balance.js';
import type { ZtunnelOutcome } from './face.js';
import { parseIdentity } from './identity.js';
import {
  failure,
  forward,
  serviceName,
  step,
  undecided,
  workloadDisplay,
  type Branch,
  type Settled,
  type Step,
  type Told,
} from './outcome.js';
import type { State } from './state.js';
import { LOOKED_AT, type World } from './world.js';

export type Outcomes = readonly Branch<ZtunnelOutcome>[];
export type Decided = Outcomes | Settled;

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
  /** What led here (a plaintext connection that is sent to a waypoint). */
  readonly before: readonly Step[];
}

export function targetText(request: Request): string {
  return joinHostPort(request.target.ip, request.target.port);
}

/** SANs of the Service that are SPIFFE identities, then the workload's own (Z:src/state.rs workload_and_services_san). */
export function acceptedIdentities(choice: Choice, sans: readonly string[]): readonly string[] {
  const own = choice.workload.identity;
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

/** Where a connection goes; `steps` are made when someone reads them: most outcomes of a large Service are never told. */
interface Way {
  readonly protocol: 'hbone' | 'tcp' | 'double-hbone';
  readonly to: string;
  readonly target: string | null;
  readonly waypoint: string | null;
  readonly service: string | null;
  readonly steps: () => readonly Step[];
}

/** A connection that ztunnel opens; `type` is the word of the log lines up to 1.21. */
export function sent(
  request: Request,
  choice: Choice,
  way: Way,
  type: 'Direct' | 'DirectLocal' | 'ToServerWaypoint',
  sans: readonly string[] = choice.service?.subjectAltNames ?? [],
): ZtunnelOutcome {
  const { workload } = choice;
  const secured = way.protocol !== 'tcp';
  if (request.spoofs) request.world.touched.bits |= LOOKED_AT.person;
  const old = request.state.behaviour.waypoints === 'node';
  return forward(
    {
      protocol: way.protocol,
      to: way.to,
      target: way.target,
      waypoint: way.waypoint,
      workload: workload.uid,
      identity: secured ? workload.identity : null,
      service: way.service,
      keepsSource: request.spoofs && !isAddressOf(way.to, request.downstream),
      decidedBy: workload.evidence,
    },
    new SentWords(choice, secured ? sans : null, way, old ? type : null),
  );
}

/** One object for the three: a decision makes one for each outcome that is read. */
class SentWords implements Told {
  private readonly choice: Choice;
  /** Null for plain TCP. */
  private readonly sans: readonly string[] | null;
  private readonly way: Way;
  /** Null from 1.22 on. */
  private readonly type: string | null;

  constructor(choice: Choice, sans: readonly string[] | null, way: Way, type: string | null) {
    this.choice = choice;
    this.sans = sans;
    this.way = way;
    this.type = type;
  }

  identities(): readonly string[] {
    return this.sans === null ? [] : acceptedIdentities(this.choice, this.sans);
  }

  log(): string {
    return this.type === null ? newLog(this.way) : oldLog(this.way, this.type);
  }

  steps(): readonly Step[] {
    return this.way.steps();
  }
}

/** ztunnel does not bind the address that it connects to (Z:src/proxy.rs freebind_connect). */
function isAddressOf(to: string, ip: string): boolean {
  return to.startsWith(ip.includes(':') ? `[${ip}]:` : `${ip}:`);
}

function newLog(way: Way): string {
  return way.protocol === 'tcp' ? `dst.addr=${way.to}` : `dst.addr=${way.to} dst.hbone_addr=${way.target ?? ''}`;
}

function oldLog(way: Way, type: string): string {
  return way.protocol === 'tcp'
    ? `Proxying to ${way.to} using TCP via ${way.to} type ${type}`
    : `proxy to ${way.target ?? ''} using HBONE via ${way.to} type ${type}`;
}
