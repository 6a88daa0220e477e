import type { Evidence } from '../formats/evidence.js';
import type { IpRoute, Nexthop } from '../formats/ip-route.js';
import type { IpRule } from '../formats/ip-rule.js';
import { textOf } from './address.js';
import { tableName } from './route-table.js';

/** What a look-up found. */
export interface RouteResult {
  readonly kind: 'unicast' | 'local' | 'broadcast' | 'multicast' | 'anycast' | 'unreachable' | 'prohibit' | 'blackhole';
  readonly route: IpRoute | null;
  readonly rule: IpRule | null;
  readonly nexthop: Nexthop | null;
  /** "rule 101, table 101: default via 192.168.127.2 dev istioout". */
  readonly summary: string;
  readonly evidence: readonly Evidence[];
}

/** `rule` found the route; `shown` is the one to tell of. */
export function resultOf(route: IpRoute, rule: IpRule, shown: IpRule, nexthop: Nexthop | null): RouteResult {
  const gateway = nexthop?.gateway == null ? '' : ` via ${nexthop.gateway}`;
  const via = nexthop === null || nexthop.device === null ? '' : `${gateway} dev ${nexthop.device}`;
  const target = route.dst.prefix === 0 ? 'default' : `${textOf(route.dst.ip.value)}/${route.dst.prefix}`;
  const type = route.type === 'unicast' ? '' : `${route.type} `;
  return {
    kind: kindOf(route),
    route,
    rule,
    nexthop,
    summary: `rule ${shown.priority}, table ${tableName(route.table)}: ${type}${target}${via}`,
    evidence: [shown.evidence, route.evidence],
  };
}

/** To a group, to all of a link, or to all. */
export function leadsToMany(kind: RouteResult['kind']): boolean {
  return kind === 'broadcast' || kind === 'multicast';
}

/** Types of routes that refuse. */
export const ROUTE_ERRORS: ReadonlySet<string> = new Set(['unreachable', 'prohibit', 'blackhole']);

export function kindOf(route: IpRoute): RouteResult['kind'] {
  switch (route.type) {
    case 'local':
    case 'broadcast':
    case 'multicast':
    case 'anycast':
    case 'unreachable':
    case 'prohibit':
    case 'blackhole':
      return route.type;
    default:
      return leadsToLoopback6(route) ? 'unreachable' : 'unicast';
  }
}

/** "promote them to reject routes": no true routes of IPv6 over lo (ip6_route_info_create, linux net/ipv6/route.c, v6.12). */
function leadsToLoopback6({ family, dst, nexthops }: IpRoute): boolean {
  return family === 6 && dst.ip.value !== 1n && nexthops.length > 0 && nexthops.every(({ device }) => device === 'lo');
}

/** Whether one of the route's next hops leads out of the device. */
export function usesDevice({ route }: RouteResult, device: string | null): boolean {
  if (route === null) return false;
  for (const hop of route.nexthops) if (hop.device === device) return true;
  return false;
}

/** A route that refuses. */
export function isRouteError({ kind }: RouteResult): boolean {
  return kind === 'unreachable' || kind === 'prohibit' || kind === 'blackhole';
}

/** RTF_ANYCAST: the kernel's own address of a subnet's routers; a route that was added is none (rtm_to_fib6_config, v6.12). */
export function isSubnetRouters({ kind, route }: RouteResult): boolean {
  return kind === 'anycast' && route?.protocol === 'kernel';
}
