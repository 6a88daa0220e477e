import { boolean, object, type JsonObject } from '../formats/envoy-json.js';
import type { ClusterModel } from './cluster.js';
import type { Health, Host, HostSet } from './host.js';
import type { Engine } from './engine.js';
import { openShares, policy, type Policy } from './lb-policy.js';
import { subset } from './subset.js';

export interface Balance {
  /** Hosts that the load balancer may choose. */
  readonly hosts: readonly Host[];
  /** Share of each; null: not known. */
  readonly shares: readonly (number | null)[];
  /** What the choice depends on ("hash of the source address"), null where it is random or a turn. */
  readonly dependsOn: string | null;
  /** What was decided on the way: priority, panic, subset. */
  readonly notes: readonly string[];
  /** Set where the policy is not understood. */
  readonly unknown: string | null;
  /** A fact that would change the shares, where it is not known. */
  readonly open: string | null;
}

/** Shares that add up to 1, or nothing at all. */
type Weights = Map<Host, number>;

function spread(hosts: readonly Host[], kind: Policy['kind'], share: number, into: Weights): void {
  let total = 0;
  for (const host of hosts) total += kind === 'random' ? 1 : host.weight;
  if (total === 0) return;
  for (const host of hosts) {
    const weight = kind === 'random' ? 1 : host.weight;
    if (weight > 0) into.set(host, (into.get(host) ?? 0) + (share * weight) / total);
  }
}

interface Level {
  readonly priority: number;
  readonly hosts: readonly Host[];
  readonly healthy: readonly Host[];
  readonly degraded: readonly Host[];
  /** Percent, with the over-provisioning factor. */
  readonly health: number;
  readonly degradation: number;
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

function levels(hosts: readonly Host[], set: HostSet, threshold: number): readonly Level[] {
  const last = hosts.reduce((max, host) => Math.max(max, host.priority), 0);
  const found: Omit<Level, 'panic'>[] = [];
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

interface Load {
  readonly level: Level;
  readonly healthy: number;
  readonly degraded: number;
}

/** Percent of the traffic that each priority gets. */
function loads(found: readonly Level[]): readonly Load[] {
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

function isPlain({ health, excluded, priority }: Host): boolean {
  return health === 'healthy' && excluded === false && priority === 0;
}

/** Distribution over a set of hosts (the whole cluster, or one subset of it). */
function distribute(
  hosts: readonly Host[],
  set: HostSet,
  by: Policy,
  localityWeighted: boolean,
  notes: string[],
): Weights {
  const into: Weights = new Map();
  if (hosts.length === 0) return into;
  const found = levels(hosts, set, by.panicThreshold);
  for (const load of loads(found)) {
    const { level } = load;
    const parts: readonly (readonly [readonly Host[], number])[] = [
      [level.healthy, load.healthy / 100],
      [level.degraded, load.degraded / 100],
    ];
    for (const [part, share] of parts) {
      if (share === 0) continue;
      if (level.panic) {
        notes.push(`priority ${level.priority} is in panic: health is ignored`);
        if (!by.failOnPanic) spread(level.hosts, by.kind, share, into);
        continue;
      }
      if (localityWeighted && byLocality(part, level, set, by.kind, share, into)) continue;
      spread(part, by.kind, share, into);
    }
  }
  return into;
}

const EMPTY: Balance = { hosts: [], shares: [], dependsOn: null, notes: [], unknown: null, open: null };

/**
 * Which hosts a new connection (or request) can go to, and how often. `criteria`: the `envoy.lb` metadata of the route
 * (or tcp_proxy), null without. No hosts: no healthy upstream.
 */
export function balance(engine: Engine, cluster: ClusterModel, set: HostSet, criteria: JsonObject | null): Balance {
  const by = policy(cluster.entry.value, engine.runtime);
  if (by.panicOpen !== null && set.hosts.some((host) => host.health !== 'healthy')) {
    return { ...EMPTY, unknown: `the panic threshold: ${by.panicOpen.reason}` };
  }
  const chosen = subset(cluster.entry.value, set.hosts, criteria);
  const notes: string[] = [];
  if (chosen.kind === 'unknown') return { ...EMPTY, unknown: `${chosen.note} is not understood by this program` };
  if (chosen.kind !== 'all') notes.push(chosen.note);
  if (chosen.kind === 'none') return { ...EMPTY, notes };
  const hosts = chosen.kind === 'some' ? chosen.hosts : set.hosts;
  const subsetLocality = boolean(object(cluster.entry.value['lb_subset_config'])['locality_weight_aware']) === true;
  const weighted = by.localityWeighted && (chosen.kind === 'all' || subsetLocality);
  const told = (to: Distribution, open: boolean): Balance => {
    const single = to.hosts.length === 1;
    const hashed = by.kind === 'hash' || by.kind === 'unknown';
    const more = openShares(engine, cluster.entry.value, by, hosts, set, single);
    const unknownShares = (hashed || open || more !== null) && !(single && set.incomplete === null);
    const shares = unknownShares ? to.hosts.map(() => null) : to.shares;
    const dependsOn = hashed && !single && to.hosts.length > 0 ? `load-balancing policy ${by.name}` : null;
    return { hosts: to.hosts, shares, dependsOn, notes, unknown: null, open: open ? DRAINING : more };
  };
  if (!weighted && hosts.every(isPlain)) return told(evenly(hosts, by.kind), false);
  const weights = distribute(hosts, set, by, weighted, notes);
  const other = alternative(hosts, set, by, weighted);
  const open = other !== null && !sameWeights(weights, other);
  const together = open ? new Map([...weights, ...other]) : weights;
  return told({ hosts: [...together.keys()], shares: [...together.values()] }, open);
}

/** Hosts with the share of each. */
type Distribution = Pick<Balance, 'hosts' | 'shares'>;

/** Where health and priority change nothing, which is so for nearly every cluster: what `distribute` comes to. */
function evenly(hosts: readonly Host[], kind: Policy['kind']): Distribution {
  const weightOf = (host: Host): number => (kind === 'random' ? 1 : host.weight);
  let total = 0;
  for (const host of hosts) total += weightOf(host);
  const chosen = hosts.every((host) => weightOf(host) > 0) ? hosts : hosts.filter((host) => weightOf(host) > 0);
  return { hosts: chosen, shares: chosen.map((host) => weightOf(host) / total) };
}

const DRAINING = 'which of the UNHEALTHY endpoints are DRAINING: /clusters?format=json tells, the config dump does not';

/**
 * The dump prints DRAINING as UNHEALTHY, but Envoy counts the two differently: where it is not known which it is, the
 * distribution with all of them draining is the other extreme.
 */
function alternative(hosts: readonly Host[], set: HostSet, by: Policy, weighted: boolean): Weights | null {
  if (hosts.every((host) => host.excluded !== null)) return null;
  const changed = new Map<Host, Host>();
  const drained = hosts.map((host) => {
    if (host.excluded !== null) return host;
    const copy = { ...host, excluded: true };
    changed.set(copy, host);
    return copy;
  });
  const weights = distribute(drained, set, by, weighted, []);
  return new Map([...weights].map(([host, p]) => [changed.get(host) ?? host, p]));
}

function sameWeights(a: Weights, b: Weights): boolean {
  return a.size === b.size && [...a].every(([host, p]) => Math.abs((b.get(host) ?? -1) - p) < 1e-9);
}
