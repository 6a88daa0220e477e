import type { Health, Host, HostSet } from './host.js';
import type { Policy } from './lb-policy.js';

/**
 * Priorities: how the load falls on them by health, and within them on localities and hosts (envoy 1.40
 * source/extensions/load_balancing_policies/common/load_balancer_impl.cc).
 */

/** Shares that add up to 1, or nothing at all. */
export type Weights = Map<Host, number>;

export function spread(hosts: readonly Host[], kind: Policy['kind'], share: number, into: Weights): void {
  let total = 0;
  for (const host of hosts) total += kind === 'random' ? 1 : host.weight;
  if (total === 0) return;
  for (const host of hosts) {
    const weight = kind === 'random' ? 1 : host.weight;
    if (weight > 0) into.set(host, (into.get(host) ?? 0) + (share * weight) / total);
  }
}

export interface Level {
  readonly priority: number;
  readonly hosts: readonly Host[];
  readonly healthy: readonly Host[];
  readonly degraded: readonly Host[];
  /** Percent, with the over-provisioning factor. */
  readonly health: number;
  readonly degradation: number;
}

interface Panicking extends Level {
  readonly panic: boolean;
}

/** Availability in percent, in integers as Envoy counts (LoadBalancerBase::recalculatePerPriorityState). */
function availability(part: readonly Host[], all: readonly Host[], set: HostSet): number {
  const counted = all.filter((host) => host.excluded !== true);
  if (counted.length === 0) return 0;
  const size = (hosts: readonly Host[]): number =>
    set.weightedPriorityHealth ? hosts.reduce((sum, host) => sum + host.weight, 0) : hosts.length;
  return Math.min(100, Math.floor((set.overprovisioning * size(part)) / size(counted)));
}

/** Every priority up to the last one that has hosts. */
export function levels(hosts: readonly Host[], set: HostSet): readonly Level[] {
  const last = hosts.reduce((max, host) => Math.max(max, host.priority), 0);
  const found: Level[] = [];
  for (let priority = 0; priority <= last; priority++) {
    const members = hosts.filter((host) => host.priority === priority);
    const of = (health: Health): readonly Host[] =>
      members.filter((host) => host.health === health && host.excluded !== true);
    const healthy = of('healthy');
    const degraded = of('degraded');
    found.push({
      priority,
      hosts: members,
      healthy,
      degraded,
      health: availability(healthy, members, set),
      degradation: availability(degraded, members, set),
    });
  }
  return found;
}

/** Which of the priorities are in panic (LoadBalancerBase::recalculatePerPriorityPanic). `threshold`: percent. */
export function panicking<T extends Level>(found: readonly T[], threshold: number): readonly (T & Panicking)[] {
  const total = normalizedTotal(found);
  return found.map((level) => {
    const counted = level.hosts.filter((host) => host.excluded !== true).length;
    const percent = counted === 0 ? 0 : (100 * (level.healthy.length + level.degraded.length)) / counted;
    const panic = total === 100 || (threshold === 0 && total === 0) ? false : percent < threshold;
    return { ...level, panic };
  });
}

function normalizedTotal(found: readonly Pick<Level, 'health' | 'degradation'>[]): number {
  return Math.min(
    100,
    found.reduce((sum, level) => sum + level.health + level.degradation, 0),
  );
}

interface Load<T> {
  readonly level: T;
  readonly healthy: number;
  readonly degraded: number;
}

/** Percent of the traffic that each priority gets. */
export function loads<T extends Panicking>(found: readonly T[]): readonly Load<T>[] {
  const total = normalizedTotal(found);
  if (found.every((level) => level.panic)) {
    const hosts = found.reduce((sum, level) => sum + level.hosts.length, 0);
    let left = 100;
    const shares = found.map((level) => {
      const share = hosts === 0 ? 0 : Math.floor((100 * level.hosts.length) / hosts);
      left -= share;
      return share;
    });
    const first = found.findIndex((level) => level.hosts.length > 0);
    return found.map((level, i) => ({ level, healthy: (shares[i] ?? 0) + (i === first ? left : 0), degraded: 0 }));
  }
  if (total === 0) return found.map((level, i) => ({ level, healthy: i === 0 ? 100 : 0, degraded: 0 }));
  let left = 100;
  const distribute = (of: (level: Level) => number): number[] => {
    const shares = found.map((level) => {
      const share = Math.min(left, Math.floor((of(level) * 100) / total));
      left -= share;
      return share;
    });
    return shares;
  };
  const healthy = distribute((level) => level.health);
  const degraded = distribute((level) => level.degradation);
  if (left > 0) {
    const first = found.findIndex((level) => level.health > 0);
    const target = first >= 0 ? healthy : degraded;
    const at = first >= 0 ? first : found.findIndex((level) => level.degradation > 0);
    target[at] = (target[at] ?? 0) + left;
  }
  return found.map((level, i) => ({ level, healthy: healthy[i] ?? 0, degraded: degraded[i] ?? 0 }));
}

/** Locality by weight, each weight cut down where too few of its hosts are available. */
function byLocality(
  part: readonly Host[],
  level: Level,
  set: HostSet,
  kind: Policy['kind'],
  share: number,
  into: Weights,
): boolean {
  const effective: { readonly hosts: readonly Host[]; readonly weight: number }[] = [];
  let total = 0;
  set.localities.forEach((locality, index) => {
    const all = level.hosts.filter((host) => host.locality === index);
    if (locality.priority !== level.priority || all.length === 0) return;
    const hosts = part.filter((host) => host.locality === index);
    const counted = all.filter((host) => host.excluded !== true).length;
    if (counted === 0) return;
    const weight = locality.weight * Math.min(1, ((set.overprovisioning / 100) * hosts.length) / counted);
    total += weight;
    effective.push({ hosts, weight });
  });
  if (total === 0) return false;
  for (const { hosts, weight } of effective) spread(hosts, kind, (share * weight) / total, into);
  return true;
}

/** The part of one priority's load that goes to its hosts of one health. */
export function ofLevel(
  level: Panicking,
  health: 'healthy' | 'degraded',
  share: number,
  set: HostSet,
  by: Pick<Policy, 'kind' | 'failOnPanic'>,
  localityWeighted: boolean,
  into: Weights,
): void {
  if (level.panic) {
    if (!by.failOnPanic) spread(level.hosts, by.kind, share, into);
    return;
  }
  const part = level[health];
  if (localityWeighted && byLocality(part, level, set, by.kind, share, into)) return;
  spread(part, by.kind, share, into);
}
