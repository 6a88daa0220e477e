import { cidrContains, parseCidr, type Cidr } from '../formats/ip.js';
import { DEVICELESS, type IpRoute, type Nexthop } from '../formats/ip-route.js';
import { networkOf, prefixTest, type Addr, type Family } from './address.js';
import type { RouteResult } from './route-result.js';

/** A route with what look-ups ask of it again and again. */
export class TableRoute {
  readonly route: IpRoute;
  /** An error or `throw`: no device is needed to use it. */
  readonly deviceless: boolean;
  /** Usable where no device is asked for, without a look at sysctls: no TOS, and its first living next hop is linked. */
  readonly plain: boolean;
  /** Ends the search in this table without a route. */
  readonly throws: boolean;
  /** Its next hop, where there is no choice. */
  readonly only: Nexthop | null;
  /** What the last look-up that ended here said: the same for the same rule and next hop. */
  last: RouteResult | null = null;

  constructor(route: IpRoute) {
    this.route = route;
    this.throws = route.type === 'throw';
    this.only = route.nexthops.length === 1 ? (route.nexthops[0] ?? null) : null;
    this.deviceless = DEVICELESS.has(route.type);
    const first = route.nexthops.find((hop) => !hop.dead);
    this.plain = !route.tos && (this.deviceless || (first !== undefined && !first.linkdown));
  }
}

/** One table: its routes from the longest prefix to the shortest, hashed per length. */
export class RouteTable {
  private readonly family: Family;
  private readonly linkdownMatters: (device: string) => boolean;
  private readonly lengths: number[] = [];
  /** Routes of IPv6 that ask for a source, by the destination's length and prefix. */
  private readonly subtrees = new Map<string, { readonly source: Cidr; readonly route: TableRoute }[]>();
  private readonly byLength = new Map<number, Map<Addr, TableRoute[]>>();
  /** Of IPv4: the addresses at which another route becomes the longest prefix, and which that is from there on. */
  private readonly starts: Uint32Array;
  private readonly longest: readonly (TableRoute | null)[];

  /** `linkdownMatters`: whether routes through a device without a link are left out. */
  constructor(family: Family, routes: readonly IpRoute[], linkdownMatters: (device: string) => boolean) {
    this.family = family;
    this.linkdownMatters = linkdownMatters;
    for (const route of routes) {
      if (family === 6 && route.from !== null && this.addToSubtree(route, route.from)) continue;
      let table = this.byLength.get(route.dst.prefix);
      if (table === undefined) {
        table = new Map();
        this.byLength.set(route.dst.prefix, table);
        this.lengths.push(route.dst.prefix);
      }
      const key = this.mask(route.dst.ip.value, route.dst.prefix);
      const list = table.get(key);
      if (list === undefined) table.set(key, [new TableRoute(route)]);
      else list.push(new TableRoute(route));
    }
    this.lengths.sort((a, b) => b - a);
    // the kernel keeps equal prefixes by table (only where local and main are merged), then metric (fib_insert_alias);
    // equal metrics stay in the order of the listing
    const rank = ({ route }: TableRoute): number => (tableName(route.table) === 'local' ? 0 : 1);
    for (const table of this.byLength.values()) {
      for (const list of table.values()) list.sort((a, b) => rank(a) - rank(b) || a.route.metric - b.route.metric);
    }
    this.starts = family === 4 ? startsOf(routes) : new Uint32Array();
    this.longest = Array.from(this.starts, (start) => this.covering(start));
  }

  private mask(addr: Addr, prefix: number): Addr {
    return networkOf(addr, prefix);
  }

  /** False where the source is no prefix. */
  private addToSubtree(route: IpRoute, from: string): boolean {
    const source = parseCidr(from);
    if (source === null) return false;
    const { prefix } = route.dst;
    const key = `${prefix} ${this.mask(route.dst.ip.value, prefix)}`;
    const list = this.subtrees.get(key) ?? [];
    list.push({ source, route: new TableRoute(route) });
    list.sort((a, b) => b.source.prefix - a.source.prefix || a.route.route.metric - b.route.route.metric);
    this.subtrees.set(key, list);
    if (!this.lengths.includes(prefix)) this.lengths.push(prefix);
    return true;
  }

  /** The first route, from the longest prefix to the shortest, that can be used (through `oif`, where it is given). */
  find(dst: Addr, oif: string | null, src: Addr): TableRoute | null {
    if (oif === null && typeof dst === 'number') {
      const one = this.longest[lastUpTo(this.starts, dst)] ?? null;
      if (one === null || one.plain) return one;
    }
    for (const length of this.lengths) {
      if (this.subtrees.size > 0) {
        const subtree = this.subtrees.get(`${length} ${this.mask(dst, length)}`);
        const found = subtree?.find(
          ({ source, route }) => prefixTest(6, source)?.(src) === true && this.usable(route, oif),
        );
        if (found !== undefined) return found.route;
        // fib6_node_lookup_1: where sources are told apart, the prefix's other routes are passed over, but for the default
        if (subtree !== undefined && length > 0) continue;
      }
      const list = this.byLength.get(length)?.get(this.mask(dst, length));
      if (list === undefined) continue;
      for (const route of list) if (this.usable(route, oif)) return route;
    }
    return null;
  }

  /** The first route that covers the address, usable or not. */
  covering(dst: Addr): TableRoute | null {
    for (const length of this.lengths) {
      const first = this.byLength.get(length)?.get(this.mask(dst, length))?.[0];
      if (first !== undefined) return first;
    }
    return null;
  }

  private usable(one: TableRoute, oif: string | null): boolean {
    if (one.plain && oif === null) return true;
    const { route } = one;
    if (route.tos) return false;
    // those of IPv6 lead over lo: a look-up through another device passes them by (rt6_check_dev, linux net/ipv6/route.c)
    if (one.deviceless) return oif === 'lo';
    return route.nexthops.some((hop) => this.hopUsable(hop, oif));
  }

  hopUsable(hop: Nexthop, oif: string | null): boolean {
    if (hop.dead) return false;
    if (hop.linkdown && hop.device !== null && this.linkdownMatters(hop.device)) return false;
    return oif === null || hop.device === oif;
  }
}

/** Where prefixes begin, and where they are over; in order, from 0. */
function startsOf(routes: readonly IpRoute[]): Uint32Array {
  const starts = new Set([0]);
  for (const { dst } of routes) {
    const start = Number(networkOf(dst.ip.value, dst.prefix));
    starts.add(start);
    const end = start + 2 ** (32 - dst.prefix);
    if (end < 2 ** 32) starts.add(end);
  }
  return Uint32Array.from(starts).sort();
}

/** The place of the last number that is not above `value`; the first is not. */
function lastUpTo(sorted: Uint32Array, value: number): number {
  let low = 0;
  // V8 takes the length for a float otherwise
  let high = sorted.length | 0;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if ((sorted[middle] ?? 0) > value) high = middle;
    else low = middle;
  }
  return low;
}

/** Types of routes that inet_addr_type tells apart. */
const ADDRESS_TYPES: ReadonlySet<string> = new Set(['local', 'broadcast', 'anycast', 'multicast']);

/** `groups`: routes by table. Whether a longest-prefix search of local and main together can find another route, or another kind of address, than one after the other. */
export function differApart(groups: ReadonlyMap<string, readonly IpRoute[]>): boolean {
  const local = groups.get('local') ?? [];
  return (groups.get('main') ?? []).some(
    ({ type, dst }) =>
      ADDRESS_TYPES.has(type) || local.some((one) => one.dst.prefix < dst.prefix && cidrContains(one.dst, dst.ip)),
  );
}

/** Names that /etc/iproute2/rt_tables gives to the three tables of the kernel. */
const TABLE_NAMES: ReadonlyMap<string, string> = new Map([
  ['255', 'local'],
  ['254', 'main'],
  ['253', 'default'],
]);

/** One name per table, however it was printed. */
export function tableName(name: string): string {
  return TABLE_NAMES.get(name) ?? name;
}
