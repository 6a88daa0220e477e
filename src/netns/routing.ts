import type { Evidence } from '../formats/evidence.js';
import { cidrContains, type Cidr } from '../formats/ip.js';
import type { IpRoute, Nexthop } from '../formats/ip-route.js';
import type { IpRule, Range } from '../formats/ip-rule.js';
import { ipOf, prefixMask6, textOf, type Addr, type Family } from './address.js';
import type { Choices } from './choices.js';
import { need, type Fact, type NetnsFacts } from './facts.js';
import type { IpRules } from '../formats/ip-rule.js';
import type { IpRoutes } from '../formats/ip-route.js';
import { ipv4Mask } from '../formats/ip.js';

/**
 * Policy routing: rules by priority, tables by longest prefix (linux net/core/fib_rules.c, net/ipv4/fib_trie.c and
 * fib_frontend.c, net/ipv6/ip6_fib.c at v6.12).
 */
export interface RouteKey {
  readonly dst: Addr;
  /** 0 where the sender has chosen none yet. */
  readonly src: Addr;
  /** `lo` for what is made here. */
  readonly iif: string;
  readonly oif: string | null;
  readonly mark: number;
  /** Null: unknown. */
  readonly uid: number | null;
  readonly protocol: number;
  readonly sport: number;
  readonly dport: number;
}

export interface RouteResult {
  readonly kind: 'unicast' | 'local' | 'broadcast' | 'multicast' | 'anycast' | 'unreachable' | 'prohibit' | 'blackhole';
  readonly route: IpRoute | null;
  readonly rule: IpRule | null;
  readonly nexthop: Nexthop | null;
  /** "rule 101, table 101: default via 192.168.127.2 dev istioout". */
  readonly summary: string;
  readonly evidence: readonly Evidence[];
}

/** One table: per prefix length a hash; IPv4 and IPv6 alike. */
class Table {
  private readonly lengths: number[] = [];
  private readonly byLength = new Map<number, Map<Addr, IpRoute[]>>();
  private readonly family: Family;

  constructor(family: Family, routes: readonly IpRoute[]) {
    this.family = family;
    for (const route of routes) {
      let table = this.byLength.get(route.dst.prefix);
      if (table === undefined) {
        table = new Map();
        this.byLength.set(route.dst.prefix, table);
        this.lengths.push(route.dst.prefix);
      }
      const key = this.mask(route.dst.ip.value, route.dst.prefix);
      const list = table.get(key);
      if (list === undefined) table.set(key, [route]);
      else list.push(route);
    }
    this.lengths.sort((a, b) => b - a);
    // the kernel keeps equal prefixes by table (only where local and main are merged), then metric (fib_insert_alias);
    // equal metrics stay in the order of the listing
    const rank = (route: IpRoute): number => (tableName(route.table) === 'local' ? 0 : 1);
    for (const table of this.byLength.values()) {
      for (const list of table.values()) list.sort((a, b) => rank(a) - rank(b) || a.metric - b.metric);
    }
  }

  private mask(addr: Addr, prefix: number): Addr {
    return this.family === 4 ? (Number(addr) & ipv4Mask(prefix)) >>> 0 : BigInt(addr) & prefixMask6(prefix);
  }

  /** The first route, from the longest prefix to the shortest, that `usable` accepts. */
  find(dst: Addr, usable: (route: IpRoute) => boolean): IpRoute | null {
    for (const length of this.lengths) {
      const list = this.byLength.get(length)?.get(this.mask(dst, length));
      if (list === undefined) continue;
      for (const route of list) if (usable(route)) return route;
    }
    return null;
  }
}

/** Names that /etc/iproute2/rt_tables gives to the three tables of the kernel. */
const TABLE_NAMES: ReadonlyMap<string, string> = new Map([
  ['255', 'local'],
  ['254', 'main'],
  ['253', 'default'],
]);

function tableName(name: string): string {
  return TABLE_NAMES.get(name) ?? name;
}

export class Routing {
  readonly family: Family;
  private readonly rulesFact: () => Fact<IpRules>;
  private readonly routesFact: () => Fact<IpRoutes>;
  private rules: readonly IpRule[] | null = null;
  private tables: Map<string, Table> | null = null;
  private groups: Map<string, readonly IpRoute[]> | null = null;
  private merged = false;
  private linkdownMatters: (device: string) => boolean;

  constructor(family: Family, facts: NetnsFacts, linkdownMatters: (device: string) => boolean) {
    this.family = family;
    this.rulesFact = () => facts.rules(family);
    this.routesFact = () => facts.routes(family);
    this.linkdownMatters = linkdownMatters;
  }

  private load(): { rules: readonly IpRule[]; tables: Map<string, Table> } {
    if (this.rules !== null && this.tables !== null) return { rules: this.rules, tables: this.tables };
    const rules = need(this.rulesFact()).rules;
    const routes = need(this.routesFact()).routes.filter((route) => route.family === this.family);
    const groups = new Map<string, IpRoute[]>();
    for (const route of routes) {
      const name = tableName(route.table);
      const list = groups.get(name);
      if (list === undefined) groups.set(name, [route]);
      else list.push(route);
    }
    const tables = new Map<string, Table>();
    // Until the first custom rule the kernel keeps local and main in one trie: the longest prefix of both wins, local
    // before main (fib_table_lookup on the merged trie, fib_unmerge in fib_rules.c). IPv6 has no such merge.
    this.merged = this.family === 4 && !this.hasCustomRules(rules);
    if (this.merged) {
      const both = [...(groups.get('local') ?? []), ...(groups.get('main') ?? [])];
      tables.set('local', new Table(4, both));
    }
    for (const [name, list] of groups) if (!tables.has(name)) tables.set(name, new Table(this.family, list));
    this.rules = rules;
    this.tables = tables;
    this.groups = groups;
    return { rules, tables };
  }

  private custom: boolean | null = null;
  private customLocal: boolean | null = null;
  private dissected: boolean | null = null;

  hasCustomRules(given?: readonly IpRule[]): boolean {
    this.custom ??= isCustom(given ?? this.load().rules);
    return this.custom;
  }

  /** fib4_rules_early_flow_dissect: only a rule on ports or protocol makes the kernel look at them for input. */
  dissects(): boolean {
    this.dissected ??= this.load().rules.some(
      ({ protocol, sport, dport }) => protocol !== null || sport !== null || dport !== null,
    );
    return this.dissected;
  }

  /** `ip route add local …` by hand: the kernel then checks sources by a full look-up. */
  hasCustomLocalRoutes(): boolean {
    this.load();
    this.customLocal ??= [...(this.groups?.values() ?? [])].some((list) =>
      list.some((route) => route.type === 'local' && route.protocol !== 'kernel'),
    );
    return this.customLocal;
  }

  /** inet_addr_type: what the local table says of an address. `device`: only by that device. */
  addressType(addr: Addr, device: string | null): RouteResult['kind'] {
    const { tables } = this.load();
    const route = tables.get('local')?.find(addr, () => true) ?? null;
    if (route === null || ROUTE_ERRORS.has(route.type) || route.type === 'throw') return 'unicast';
    if (device !== null && !route.nexthops.some((hop) => hop.device === device)) return 'unicast';
    return kindOf(route);
  }

  lookup(key: RouteKey, choices: Choices): RouteResult {
    const { rules, tables } = this.load();
    for (let at = 0; at < rules.length; at++) {
      const rule = rules[at];
      if (rule === undefined || !this.ruleMatches(rule, key, choices)) continue;
      const { action } = rule;
      if (action.kind === 'nop') continue;
      if (action.kind === 'goto') {
        if (!action.resolved) continue;
        const target = rules.findIndex((other, index) => index > at && other.priority >= action.priority);
        if (target < 0) break;
        at = target - 1;
        continue;
      }
      if (action.kind !== 'table') {
        const summary = `rule ${rule.priority}: ${action.kind}`;
        return { kind: action.kind, route: null, rule, nexthop: null, summary, evidence: [rule.evidence] };
      }
      const found = this.inTable(tables.get(tableName(action.table)) ?? null, key, rule, choices);
      if (found !== null) return found;
    }
    const summary = `no route to ${textOf(this.family, key.dst)}`;
    return { kind: 'unreachable', route: null, rule: null, nexthop: null, summary, evidence: [] };
  }

  private inTable(table: Table | null, key: RouteKey, rule: IpRule, choices: Choices): RouteResult | null {
    const route = table?.find(key.dst, (candidate) => this.usable(candidate, key)) ?? null;
    if (route === null || route.type === 'throw') return null;
    if (rule.suppressPrefixLength !== null && route.dst.prefix <= rule.suppressPrefixLength) return null;
    if (rule.suppressGroup) {
      if (choices.either(`ifgroup ${rule.priority}`, `rule ${rule.priority} suppresses by device group`, null)) {
        return null;
      }
    }
    const nexthop = this.pickNexthop(route, key, choices);
    const known = this.results.get(route);
    if (known !== undefined && known.rule === rule && known.nexthop === nexthop) return known;
    const result = this.resultOf(route, rule, nexthop);
    this.results.set(route, result);
    return result;
  }

  private readonly results = new Map<IpRoute, RouteResult>();

  private resultOf(route: IpRoute, rule: IpRule, nexthop: Nexthop | null): RouteResult {
    const where = tableName(route.table);
    const gateway = nexthop?.gateway == null ? '' : ` via ${nexthop.gateway}`;
    const via = nexthop === null || nexthop.device === null ? '' : `${gateway} dev ${nexthop.device}`;
    const target =
      route.dst.prefix === 0 ? 'default' : `${textOf(this.family, route.dst.ip.value)}/${route.dst.prefix}`;
    const type = route.type === 'unicast' ? '' : `${route.type} `;
    // in the merged trie a route of main is found under the rule for local: the rule that names its table is the evidence
    const named = this.rules?.find(({ action }) => action.kind === 'table' && tableName(action.table) === where);
    const shown = this.merged ? (named ?? rule) : rule;
    return {
      kind: kindOf(route),
      route,
      rule,
      nexthop,
      summary: `rule ${shown.priority}, table ${where}: ${type}${target}${via}`,
      evidence: [shown.evidence, route.evidence],
    };
  }

  private usable(route: IpRoute, key: RouteKey): boolean {
    if (route.tos) return false;
    if (ROUTE_ERRORS.has(route.type) || route.type === 'throw') return true;
    for (const hop of route.nexthops) if (this.hopUsable(hop, key)) return true;
    return false;
  }

  private hopUsable(hop: Nexthop, key: RouteKey): boolean {
    if (hop.dead) return false;
    if (hop.linkdown && hop.device !== null && this.linkdownMatters(hop.device)) return false;
    return key.oif === null || hop.device === key.oif;
  }

  private pickNexthop(route: IpRoute, key: RouteKey, choices: Choices): Nexthop | null {
    if (route.nexthops.length === 1) return route.nexthops[0] ?? null;
    const hops = route.nexthops.filter((hop) => this.hopUsable(hop, key));
    if (hops.length <= 1) return hops[0] ?? null;
    const sum = hops.reduce((total, hop) => total + hop.weight, 0);
    const options = hops.map((hop) => ({ probability: hop.weight / sum, condition: null }));
    // one connection keeps its path: the same answer within one way
    const index = choices.decide(`nexthop ${route.evidence.pointer ?? ''}`, options, null);
    return hops[index] ?? null;
  }

  private ruleMatches(rule: IpRule, key: RouteKey, choices: Choices): boolean {
    let matches =
      (rule.src === null || prefixHas(rule.src, this.family, key.src)) &&
      (rule.dst === null || prefixHas(rule.dst, this.family, key.dst)) &&
      (rule.iif === null || rule.iif === key.iif) &&
      (rule.oif === null || rule.oif === key.oif) &&
      (rule.fwmark === null || ((key.mark ^ rule.fwmark.value) & rule.fwmark.mask) === 0) &&
      !rule.tos &&
      (rule.protocol === null || protocolNumber(rule.protocol) === key.protocol) &&
      inRange(rule.sport, key.sport) &&
      inRange(rule.dport, key.dport);
    if (matches && rule.uid !== null) {
      const { from, to } = rule.uid;
      matches =
        key.uid === null
          ? choices.either(`uid ${from}-${to}`, `the sending process has a uid in ${from}-${to}`, null)
          : key.uid >= from && key.uid <= to;
    }
    if (matches && (rule.unsupported.length > 0 || rule.l3mdev)) {
      const words = rule.unsupported.join(', ') || 'l3mdev';
      const unknown = { fact: `meaning of ${words} in rule ${rule.priority}`, reason: 'not supported' };
      matches = choices.either(`rule ${rule.priority}`, `rule ${rule.priority} matches (${words})`, unknown);
    }
    return matches !== rule.not;
  }
}

const DEFAULT_RULES: ReadonlySet<string> = new Set(['0 local', '32766 main', '32767 default']);
/** Rules beyond the three that every namespace has. */
function isCustom(rules: readonly IpRule[]): boolean {
  return rules.some(
    ({ priority, action, src, dst, iif, oif, fwmark, uid, protocol, sport, dport, not, suppressPrefixLength }) =>
      action.kind !== 'table' ||
      !DEFAULT_RULES.has(`${priority} ${tableName(action.table)}`) ||
      src !== null ||
      dst !== null ||
      iif !== null ||
      oif !== null ||
      fwmark !== null ||
      uid !== null ||
      protocol !== null ||
      sport !== null ||
      dport !== null ||
      not ||
      suppressPrefixLength !== null,
  );
}

const ROUTE_ERRORS: ReadonlySet<string> = new Set(['unreachable', 'prohibit', 'blackhole']);

function kindOf(route: IpRoute): RouteResult['kind'] {
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
      return 'unicast';
  }
}

function prefixHas(cidr: Cidr, family: Family, addr: Addr): boolean {
  return cidrContains(cidr, ipOf(family, addr));
}

function inRange(range: Range | null, value: number): boolean {
  return range === null || (value >= range.from && value <= range.to);
}

export function protocolNumber(name: string): number | null {
  const known = PROTOCOLS.get(name.toLowerCase());
  if (known !== undefined) return known;
  return /^\d+$/.test(name) ? Number(name) : null;
}

/** /etc/protocols, as far as rules name them. */
const PROTOCOLS: ReadonlyMap<string, number> = new Map([
  ['icmp', 1],
  ['igmp', 2],
  ['ipencap', 4],
  ['tcp', 6],
  ['udp', 17],
  ['dccp', 33],
  ['ipv6', 41],
  ['gre', 47],
  ['esp', 50],
  ['ipsec-esp', 50],
  ['ah', 51],
  ['ipv6-icmp', 58],
  ['icmpv6', 58],
  ['ospf', 89],
  ['vrrp', 112],
  ['sctp', 132],
  ['udplite', 136],
  ['mh', 135],
  ['ipv6-mh', 135],
]);
