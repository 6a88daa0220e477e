import type { Evidence, Unknown } from '../formats/evidence.js';
import type { DumpService, DumpWorkload } from '../formats/ztunnel-types.js';
import type { ZtunnelOutcome } from './face.js';
import { identityOf } from './identity.js';

export type Step = ZtunnelOutcome['steps'][number];

/** An alternative with its share of connections; shares of one list add up to 1. */
export interface Branch<T> {
  readonly share: number;
  readonly value: T;
}

export function certain<T>(value: T): readonly Branch<T>[] {
  return [{ share: 1, value }];
}

/** Replaces each alternative by alternatives of its own. */
export function split<T, U>(
  branches: readonly Branch<T>[],
  next: (value: T) => readonly Branch<U>[],
): readonly Branch<U>[] {
  const only = branches[0];
  if (branches.length === 1 && only !== undefined) return next(only.value);
  return branches.flatMap((branch) =>
    next(branch.value).map((inner) => ({ share: branch.share * inner.share, value: inner.value })),
  );
}

const NOTHING: ZtunnelOutcome = {
  probability: 1,
  perProcess: false,
  action: 'unknown',
  protocol: null,
  to: null,
  target: null,
  waypoint: null,
  workload: null,
  identity: null,
  identities: [],
  service: null,
  policy: null,
  error: null,
  log: null,
  keepsSource: false,
  decidedBy: null,
  steps: [],
  unknowns: [],
};

/** An outcome with everything that is not given empty. */
export function outcome(fields: Partial<ZtunnelOutcome> & Pick<ZtunnelOutcome, 'action'>): ZtunnelOutcome {
  return { ...NOTHING, ...fields };
}

/** What few readers ask for, and is made for them only. */
export interface Told {
  identities(): readonly string[];
  log(): string | null;
  steps(): readonly Step[];
}

type Forwarding = Pick<
  ZtunnelOutcome,
  'protocol' | 'to' | 'target' | 'waypoint' | 'workload' | 'identity' | 'service' | 'keepsSource' | 'decidedBy'
>;

/**
 * A `forward` with all fields of its own, three of which are made when they are read. The accessors are the same functions
 * for all outcomes: accessors written into an object literal cost several microseconds each time.
 */
class Forward implements ZtunnelOutcome {
  probability: number | null = 1;
  readonly perProcess = false;
  readonly action = 'forward';
  readonly protocol: ZtunnelOutcome['protocol'];
  readonly to: string | null;
  readonly target: string | null;
  readonly waypoint: string | null;
  readonly workload: string | null;
  readonly identity: string | null;
  declare readonly identities: readonly string[];
  readonly service: string | null;
  readonly policy = null;
  readonly error = null;
  declare readonly log: string | null;
  readonly keepsSource: boolean;
  readonly decidedBy: Evidence | null;
  declare readonly steps: readonly Step[];
  readonly unknowns: readonly Unknown[] = NOTHING.unknowns;
  readonly #told: Told;

  static readonly #accessors: Readonly<Record<keyof Told, PropertyDescriptor>> = {
    identities: Forward.#accessor((told) => told.identities()),
    log: Forward.#accessor((told) => told.log()),
    steps: Forward.#accessor((told) => told.steps()),
  };

  static #accessor(tell: (told: Told) => unknown): PropertyDescriptor {
    return {
      enumerable: true,
      configurable: true,
      get(this: Forward): unknown {
        return tell(this.#told);
      },
    };
  }

  constructor(fields: Forwarding, told: Told) {
    this.protocol = fields.protocol;
    this.to = fields.to;
    this.target = fields.target;
    this.waypoint = fields.waypoint;
    this.workload = fields.workload;
    this.identity = fields.identity;
    Object.defineProperty(this, 'identities', Forward.#accessors.identities);
    this.service = fields.service;
    Object.defineProperty(this, 'log', Forward.#accessors.log);
    this.keepsSource = fields.keepsSource;
    this.decidedBy = fields.decidedBy;
    Object.defineProperty(this, 'steps', Forward.#accessors.steps);
    this.#told = told;
  }
}

export function forward(fields: Forwarding, told: Told): ZtunnelOutcome {
  return new Forward(fields, told);
}

export function step(summary: string, ...evidence: readonly (Evidence | null)[]): Step {
  return { summary, evidence: evidence.filter((item): item is Evidence => item !== null) };
}

/** ztunnel's own words for a failure; logged as they are since 1.22, with another frame before. */
export function failure(error: string, steps: readonly Step[], more: Partial<ZtunnelOutcome> = {}): ZtunnelOutcome {
  const last = steps[steps.length - 1]?.evidence;
  return outcome({ action: 'error', error, log: `error="${error}"`, decidedBy: last?.[0] ?? null, steps, ...more });
}

/** Releases that enforced at the waypoint (1.18 to 1.21) let nobody else through to a workload that has one. */
export function bypassedWaypoint(
  { workload, evidence }: { readonly workload: string; readonly evidence: Evidence },
  before: readonly Step[],
): ZtunnelOutcome {
  const bypassed = step('it has a waypoint, and the peer is not that waypoint', evidence);
  return outcome({
    action: 'deny',
    policy: 'bypassed waypoint',
    error: 'http status: 401 Unauthorized',
    log: 'bypassed waypoint',
    workload,
    decidedBy: evidence,
    steps: [...before, bypassed],
  });
}

export function undecided(
  unknowns: readonly Unknown[],
  steps: readonly Step[],
  more: Partial<ZtunnelOutcome> = {},
): ZtunnelOutcome {
  const last = steps[steps.length - 1]?.evidence;
  return outcome({ action: 'unknown', probability: null, unknowns, decidedBy: last?.[0] ?? null, steps, ...more });
}

export function serviceName(service: DumpService): string {
  return `${service.namespace}/${service.hostname}`;
}

/** The Rust Display of a workload in error texts (Z:src/state/workload.rs). */
export function workloadDisplay(workload: DumpWorkload): string {
  return `Workload{${workload.name} with uid ${workload.uid} (${workload.protocol ?? '?'})}`;
}

export function workloadIdentity(workload: DumpWorkload): string {
  return identityOf(workload);
}

/** What makes two outcomes the same one. */
export function outcomeKey(item: ZtunnelOutcome): string {
  return [
    ...[item.action, item.protocol, item.to, item.target, item.waypoint, item.workload, item.identity, item.policy],
    ...[item.error, item.service, item.identities.join(' '), item.unknowns.map((unknown) => unknown.fact).join(' ')],
  ].join('\t');
}

/** Tells the outcomes of one decision apart: what is left out follows from what is in. */
function quickKey(item: ZtunnelOutcome): string {
  if (item.action !== 'forward') return outcomeKey(item);
  return `${item.workload ?? ''} ${item.to ?? ''} ${item.target ?? ''} ${item.waypoint ?? ''}`;
}

/** Outcomes of a decision under way belong to nobody else yet; a copy would make what is only made on demand. */
function giveShare(item: { probability: number | null }, share: number): void {
  if (item.probability !== null || share !== 1) item.probability = share;
}

/** Outcomes that are known to differ, in their final order and with their shares. */
export class Settled {
  readonly outcomes: readonly ZtunnelOutcome[];

  constructor(outcomes: readonly ZtunnelOutcome[]) {
    this.outcomes = outcomes;
  }
}

export function branchesOf(decided: readonly Branch<ZtunnelOutcome>[] | Settled): readonly Branch<ZtunnelOutcome>[] {
  if (!(decided instanceof Settled)) return decided;
  return decided.outcomes.map((value) => ({ share: value.probability ?? 1, value }));
}

/** The only one of the outcomes, with the share that falls to it. */
export function withShare(branches: readonly Branch<ZtunnelOutcome>[], share: number): ZtunnelOutcome {
  const [only] = branches;
  if (only === undefined || branches.length > 1) throw new Error('one outcome was expected');
  giveShare(only.value, share);
  return only.value;
}

/** Merges equal outcomes, and puts them in a fixed order: by probability, then by text. */
export function settle(branches: readonly Branch<ZtunnelOutcome>[] | Settled): readonly ZtunnelOutcome[] {
  if (branches instanceof Settled) return branches.outcomes;
  const only = branches[0];
  if (branches.length === 1 && only !== undefined) return [only.value];
  const merged = new Map<string, { share: number; value: ZtunnelOutcome }>();
  for (const branch of branches) {
    if (branch.share === 0) continue;
    const key = quickKey(branch.value);
    const known = merged.get(key);
    if (known === undefined) merged.set(key, { ...branch });
    else known.share += branch.share;
  }
  return [...merged.entries()]
    .sort(([leftKey, left], [rightKey, right]) => right.share - left.share || (leftKey < rightKey ? -1 : 1))
    .map(([, { share, value }]) => {
      giveShare(value, share);
      return value;
    });
}
