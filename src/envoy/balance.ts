import { boolean, object, type JsonObject } from '../formats/envoy-json.js';
import type { ClusterModel } from './cluster.js';
import type { Host, HostSet } from './host.js';
import type { Engine } from './engine.js';
import { levels, loads, ofLevel, panicking, type Level, type Weights } from './levels.js';
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
  for (const { level, ...load } of loads(panicking(levels(hosts, set), by.panicThreshold))) {
    for (const health of ['healthy', 'degraded'] as const) {
      if (load[health] === 0) continue;
      if (level.panic) notes.push(panicNote(level));
      ofLevel(level, health, load[health] / 100, set, by, localityWeighted, into);
    }
  }
  return into;
}

export function panicNote({ priority }: Level): string {
  return `priority ${priority} is in panic: health is ignored`;
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
