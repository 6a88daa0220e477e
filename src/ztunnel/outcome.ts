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

export function step(summary: string, ...evidence: readonly (Evidence | null)[]): Step {
  return { summary, evidence: evidence.filter((item): item is Evidence => item !== null) };
}

/** ztunnel's own words for a failure; logged as they are since 1.22, with another frame before (see ../facts). */
export function failure(error: string, steps: readonly Step[], more: Partial<ZtunnelOutcome> = {}): ZtunnelOutcome {
  const last = steps[steps.length - 1]?.evidence;
  return outcome({ action: 'error', error, log: `error="${error}"`, decidedBy: last?.[0] ?? null, steps, ...more });
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

/** Merges equal outcomes, and puts them in a fixed order: by probability, then by text. */
export function settle(branches: readonly Branch<ZtunnelOutcome>[]): readonly ZtunnelOutcome[] {
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
