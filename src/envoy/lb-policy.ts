import { boolean, list, number, object, objectOrNull, string, typed, type JsonObject } from '../formats/envoy-json.js';
import type { Host, HostSet } from './host.js';
import type { Engine } from './engine.js';
import { isDoubt, type Runtime } from './runtime.js';
import type { Doubt } from './tri.js';

/** What a cluster says of its load balancing. */
export interface Policy {
  readonly kind: 'turn' | 'random' | 'hash' | 'unknown';
  readonly name: string;
  readonly localityWeighted: boolean;
  readonly panicThreshold: number;
  /** Why the threshold may be another, null where it is known. */
  readonly panicOpen: Doubt | null;
  readonly failOnPanic: boolean;
  /** Set where endpoints of the proxy's own zone may be preferred. */
  readonly zone: JsonObject | null;
  readonly slowStart: boolean;
}

const POLICIES: Readonly<Record<string, Policy['kind']>> = {
  ROUND_ROBIN: 'turn',
  LEAST_REQUEST: 'turn',
  RANDOM: 'random',
  RING_HASH: 'hash',
  MAGLEV: 'hash',
  CLUSTER_PROVIDED: 'turn',
  'envoy.extensions.load_balancing_policies.round_robin.v3.RoundRobin': 'turn',
  'envoy.extensions.load_balancing_policies.least_request.v3.LeastRequest': 'turn',
  'envoy.extensions.load_balancing_policies.random.v3.Random': 'random',
  'envoy.extensions.load_balancing_policies.ring_hash.v3.RingHash': 'hash',
  'envoy.extensions.load_balancing_policies.maglev.v3.Maglev': 'hash',
};

/** The legacy fields, or the first of `load_balancing_policy`. */
export function policy(cluster: JsonObject, runtime: Runtime): Policy {
  const common = object(cluster['common_lb_config']);
  const threshold = objectOrNull(common['healthy_panic_threshold']);
  const zone = object(common['zone_aware_lb_config']);
  // of the runtime, in place of the cluster's
  const overridden = runtime.value('upstream.healthy_panic_threshold');
  const open = isDoubt(overridden) ? overridden : null;
  const written = isDoubt(overridden) ? null : number(overridden ?? undefined);
  const base = {
    localityWeighted: common['locality_weighted_lb_config'] !== undefined,
    panicThreshold: written ?? (threshold === null ? 50 : (number(threshold['value']) ?? 0)),
    panicOpen: open,
    failOnPanic: boolean(zone['fail_traffic_on_panic']) === true,
    zone: common['locality_weighted_lb_config'] === undefined ? zone : null,
    slowStart:
      object(cluster['round_robin_lb_config'])['slow_start_config'] !== undefined ||
      object(cluster['least_request_lb_config'])['slow_start_config'] !== undefined,
  };
  const extension = objectOrNull(cluster['load_balancing_policy']);
  if (extension === null) {
    const name = string(cluster['lb_policy']) ?? 'ROUND_ROBIN';
    return { ...base, kind: POLICIES[name] ?? 'unknown', name };
  }
  let config = typed(object(object(list(extension['policies'])[0])['typed_extension_config'])['typed_config']);
  let weighted = base.localityWeighted;
  if (config.type.endsWith('.WrrLocality')) {
    weighted = true;
    const inner = object(config.value['endpoint_picking_policy']);
    config = typed(object(object(list(inner['policies'])[0])['typed_extension_config'])['typed_config']);
  }
  const locality = object(config.value['locality_lb_config']);
  if (locality['locality_weighted_lb_config'] !== undefined) weighted = true;
  return {
    ...base,
    localityWeighted: weighted,
    kind: POLICIES[config.type] ?? 'unknown',
    name: config.type,
    zone: objectOrNull(locality['zone_aware_lb_config']),
    slowStart: config.value['slow_start_config'] !== undefined,
  };
}

/**
 * Zone-aware routing prefers the endpoints of the proxy's own zone, by how the proxy's own cluster spreads over zones
 * (ZoneAwareLoadBalancerBase::earlyExitNonLocalityRouting): without `local_cluster_name` there is none.
 */
function zoneOpen(by: Policy, hosts: readonly Host[], set: HostSet, localCluster: string): string | null {
  if (by.zone === null || localCluster === '') return null;
  const first = hosts.filter((host) => host.priority === 0);
  const zones = set.localities.filter((locality) => locality.priority === 0).length;
  const enabled = number(object(by.zone['routing_enabled'])['value'] ?? 100) ?? 100;
  const minimum = number(by.zone['min_cluster_size']) ?? 6;
  if (zones < 2 || enabled === 0 || first.filter((host) => host.health === 'healthy').length < minimum) return null;
  return `how the hosts of ${localCluster} spread over zones: zone-aware routing follows them`;
}

/** Health that only /clusters tells: without it every endpoint counts as EDS says. */
function healthOpen(cluster: JsonObject, healthSeen: boolean): string | null {
  if (healthSeen) return null;
  if (list(cluster['health_checks']).length > 0)
    return 'active health checks: /clusters?format=json tells their result';
  return cluster['outlier_detection'] === undefined
    ? null
    : 'outlier detection: /clusters?format=json tells which endpoints are ejected';
}

/** A fact that changes the shares and is not in the dump, null where there is none. `single`: one host at most. */
export function openShares(
  engine: Engine,
  cluster: JsonObject,
  by: Policy,
  hosts: readonly Host[],
  set: HostSet,
  single: boolean,
): string | null {
  const local = string(object(engine.dump.bootstrap?.value['cluster_manager'])['local_cluster_name']) ?? '';
  return (
    set.incomplete ??
    healthOpen(cluster, engine.health?.problem === null) ??
    zoneOpen(by, hosts, set, local) ??
    (by.slowStart && !single ? 'which endpoints are in their slow start: they get less than their share' : null)
  );
}
