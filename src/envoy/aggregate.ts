import { objectOrNull, string, list, type JsonObject } from '../formats/envoy-json.js';
import type { Balance } from './balance.js';
import { panicNote } from './balance.js';
import type { ClusterModel } from './cluster.js';
import type { Engine } from './engine.js';
import type { Host, HostSet } from './host.js';
import { openShares, policy, type Policy } from './lb-policy.js';
import { levels, loads, ofLevel, panicking, type Level, type Weights } from './levels.js';

/** One cluster of an aggregate with its share of the traffic, and the hosts among which that is spread. */
export interface Part {
  readonly cluster: ClusterModel;
  readonly share: number | null;
  readonly choice: Balance;
}

/** A priority of a member, in the line of all priorities of all members. */
interface Rung extends Level {
  readonly member: Member;
  /** It is in panic by the member's own count. */
  readonly ownPanic: boolean;
}

interface Member {
  readonly cluster: ClusterModel;
  readonly set: HostSet;
  readonly by: Policy;
}

/** Null where the cluster is not there: Envoy leaves it out. A text: why its hosts are not known. */
function memberOf(engine: Engine, name: string): Member | null | string {
  const cluster = engine.cluster(name);
  if (cluster === null) {
    const { hasClusters, warmingClusters } = engine.dump;
    return hasClusters && !warmingClusters.has(name) ? null : `cluster ${name} may be there by now`;
  }
  if (typeof cluster.discovery === 'object' || cluster.discovery === 'ORIGINAL_DST')
    return `cluster ${name} has no list of hosts`;
  const set = cluster.hosts();
  if (set === null) return `the dump does not list the endpoints of cluster ${name}`;
  const open = cluster.open ?? set.open;
  if (open !== null) return open.reason;
  if (objectOrNull(cluster.entry.value['lb_subset_config']) !== null) return `cluster ${name} has subsets`;
  if (set.dropped > 0) return `cluster ${name} drops requests`;
  if (set.hosts.some((host) => host.excluded === null))
    return `which of the UNHEALTHY endpoints of cluster ${name} are DRAINING`;
  const by = policy(cluster.entry.value, engine.runtime);
  if (by.panicOpen !== null) return by.panicOpen.reason;
  const more = openShares(engine, cluster.entry.value, { ...by, slowStart: false }, set.hosts, set, false);
  return more ?? { cluster, set, by };
}

/** The priorities of a member that have hosts: those without do not count. */
function rungsOf(member: Member): readonly Rung[] {
  const { set, by } = member;
  return panicking(levels(set.hosts, set), by.panicThreshold)
    .filter(({ hosts }) => hosts.length > 0)
    .map(({ panic, ...level }) => ({ ...level, member, ownPanic: panic }));
}

/**
 * The priorities of the members in one line, over which the aggregate spreads the traffic; each member then chooses among
 * the hosts of that priority (envoy 1.40 source/extensions/clusters/aggregate/cluster.cc). A text: why that is not known.
 */
export function aggregate(engine: Engine, cluster: ClusterModel, config: JsonObject): readonly Part[] | string {
  const rungs: Rung[] = [];
  for (const name of list(config['clusters']).map(string)) {
    const member = memberOf(engine, name ?? '');
    if (typeof member === 'string') return member;
    if (member !== null) rungs.push(...rungsOf(member));
  }
  const own = policy(cluster.entry.value, engine.runtime);
  if (own.panicOpen !== null) return own.panicOpen.reason;
  const parts = new Map<Member, { readonly into: Weights; readonly notes: string[]; share: number }>();
  for (const { level, ...load } of loads(panicking(rungs, own.panicThreshold))) {
    const { member, ownPanic } = level;
    let part = parts.get(member);
    if (part === undefined) parts.set(member, (part = { into: new Map(), notes: [], share: 0 }));
    for (const health of ['healthy', 'degraded'] as const) {
      const share = load[health] / 100;
      if (share === 0) continue;
      part.share += share;
      if (ownPanic) part.notes.push(panicNote(level));
      const seen = { ...level, panic: ownPanic };
      ofLevel(seen, health, share, member.set, member.by, member.by.localityWeighted, part.into);
    }
  }
  return [...parts]
    .filter(([, { share }]) => share > 0)
    .map(([member, { into, notes, share }]) => ({
      cluster: member.cluster,
      share,
      choice: choiceOf(member, into, notes, share),
    }));
}

function choiceOf({ by }: Member, into: Weights, notes: readonly string[], share: number): Balance {
  const hosts: readonly Host[] = [...into.keys()];
  const hashed = (by.kind === 'hash' || by.kind === 'unknown') && hosts.length > 1;
  const slow = by.slowStart && hosts.length > 1;
  return {
    hosts,
    shares: [...into.values()].map((p) => (hashed || slow ? null : p / share)),
    dependsOn: hashed ? `load-balancing policy ${by.name}` : null,
    notes,
    unknown: null,
    open: slow ? 'which endpoints are in their slow start: they get less than their share' : null,
  };
}
