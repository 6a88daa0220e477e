import type { IpAddresses } from '../formats/ip-address.js';
import type { IpRoute, IpRoutes, Nexthop } from '../formats/ip-route.js';
import type { IpRule, IpRules } from '../formats/ip-rule.js';
import { textOf, type Addr, type Family } from './address.js';
import type { Choices } from './choices.js';
import type { Flow } from './flow.js';
import { need, type Fact, type NetnsFacts } from './facts.js';
import { compileRule, isCustom, ruleMatches, type CompiledRule } from './policy-rules.js';
import { kindOf, resultOf, ROUTE_ERRORS, type RouteResult } from './route-result.js';
import { differApart, RouteTable, tableName } from './route-table.js';

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
  /** Through which device the route must lead where that is not what rules are asked with: null: any; else as `oif`. */
  readonly through?: string | null;
  readonly mark: number;
  /** Null: unknown. */
  readonly uid: number | null;
  readonly protocol: number;
  readonly sport: number;
  readonly dport: number;
  /** Of a look-up for a packet that goes elsewhere (fib saddr): where that goes, as its addresses pick the next hop. */
  readonly packetDst?: Addr;
}

/** Rules and tables of one family, read when a packet first needs a route. */
interface Loaded {
  readonly rules: readonly IpRule[];
  readonly compiled: readonly CompiledRule[];
  readonly local: RouteTable | null;
  readonly groups: ReadonlyMap<string, readonly IpRoute[]>;
  readonly merged: boolean;
  /** The same with the tables kept apart, where that may be so and makes a difference. */
  readonly apart: Loaded | null;
}

/** Which of a route's next hops; null: it has none that can be used. */
type PickNexthop = (table: RouteTable, route: IpRoute, key: RouteKey, choices: Choices) => Nexthop | null;

export class Routing {
  readonly family: Family;
  private readonly rulesFact: () => Fact<IpRules>;
  private readonly routesFact: () => Fact<IpRoutes>;
  private readonly addressesFact: () => Fact<IpAddresses>;
  private readonly linkdownMatters: (device: string) => boolean;
  private loaded: Loaded | null = null;
  /** Written anew for each packet. */
  private readonly key: { -readonly [Field in keyof RouteKey]: RouteKey[Field] } = {
    dst: 0,
    src: 0,
    iif: '',
    oif: null,
    through: null,
    mark: 0,
    uid: null,
    protocol: 0,
    sport: 0,
    dport: 0,
  };

  constructor(family: Family, facts: NetnsFacts, linkdownMatters: (device: string) => boolean) {
    this.family = family;
    this.rulesFact = () => facts.rules(family);
    this.routesFact = () => facts.routes(family);
    this.addressesFact = () => facts.addresses();
    this.linkdownMatters = linkdownMatters;
  }

  private load(): Loaded {
    if (this.loaded !== null) return this.loaded;
    const rules = need(this.rulesFact()).rules;
    const routes = need(this.routesFact()).routes.filter((route) => route.family === this.family);
    const groups = new Map<string, IpRoute[]>();
    for (const route of routes) {
      const name = tableName(route.table);
      const list = groups.get(name);
      if (list === undefined) groups.set(name, [route]);
      else list.push(route);
    }
    // Until the first rule of its own the kernel keeps local and main in one trie: the longest prefix of both wins, local
    // before main (fib_table_lookup on the merged trie, fib_unmerge in fib_rules.c). IPv6 has no such merge.
    const merged = this.family === 4 && !isCustom(rules);
    const apart = merged && differApart(groups) ? this.tables(rules, groups, false, null) : null;
    this.loaded = this.tables(rules, groups, merged, apart);
    return this.loaded;
  }

  private tables(rules: readonly IpRule[], groups: Loaded['groups'], merged: boolean, apart: Loaded | null): Loaded {
    const tables = new Map<string, RouteTable>();
    if (merged) {
      const both = [...(groups.get('local') ?? []), ...(groups.get('main') ?? [])];
      tables.set('local', new RouteTable(4, both, this.linkdownMatters));
    }
    for (const [name, list] of groups) {
      if (!tables.has(name)) tables.set(name, new RouteTable(this.family, list, this.linkdownMatters));
    }
    const compiled = rules.map((rule, at) => compileRule(rule, at, rules, tables));
    return { rules, compiled, local: tables.get('local') ?? null, groups, merged, apart };
  }

  /** Tables that were parted once stay apart when the rule that did it is gone: no file tells. */
  private current(choices: Choices): Loaded {
    const loaded = this.loaded ?? this.load();
    if (loaded.apart === null) return loaded;
    return this.neverHadRules(choices) ? loaded : loaded.apart;
  }

  /** Asked of namespaces that hold the three rules of the kernel only. */
  neverHadRules(choices: Choices): boolean {
    return choices.either('no rules ever', 'no policy rule was ever added here', {
      fact: 'whether there was a policy rule here before',
      reason: 'no tool prints it',
    });
  }

  private broadcasts: ReadonlySet<Addr> | null = null;

  isBroadcast(addr: Addr): boolean {
    this.broadcasts ??= new Set(
      ['local', 'main'].flatMap((table) =>
        (this.load().groups.get(table) ?? []).flatMap(({ type, dst }) =>
          type === 'broadcast' || type === 'anycast' ? [dst.ip.value] : [],
        ),
      ),
    );
    return this.broadcasts.has(addr);
  }

  private custom: boolean | null = null;
  private customLocal: boolean | null = null;
  private dissected: boolean | null = null;

  hasCustomRules(): boolean {
    this.custom ??= isCustom(this.load().rules);
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
    this.customLocal ??= [...this.load().groups.values()].some((list) =>
      list.some((route) => route.type === 'local' && route.protocol !== 'kernel'),
    );
    return this.customLocal;
  }

  /** inet_addr_type: what the local table says of an address. `device`: only by that device. */
  addressType(addr: Addr, device: string | null, choices: Choices): RouteResult['kind'] {
    const route = this.current(choices).local?.covering(addr)?.route ?? null;
    if (route === null || ROUTE_ERRORS.has(route.type) || route.type === 'throw') return 'unicast';
    if (device !== null && !route.nexthops.some((hop) => hop.device === device)) return 'unicast';
    return kindOf(route);
  }

  /** The way of a packet: among several next hops the one that the kernel's hash picks (fib_select_path). */
  lookup(key: RouteKey, choices: Choices): RouteResult {
    return this.search(key, choices, this.balanced);
  }

  /**
   * The way of a packet by its own fields; `src` and `uid` are not always its own. `through`: of its routes only, as rules
   * see no device that a packet leaves through yet (ip6_pol_route_input, linux net/ipv6/route.c, v6.12).
   */
  lookupFor(flow: Flow, src: Addr, iif: string, through: string | null, uid: number | null): RouteResult {
    const { key } = this;
    key.dst = flow.dst;
    key.src = src;
    key.iif = iif;
    key.through = through;
    key.mark = flow.mark;
    key.uid = uid;
    key.protocol = flow.protocol;
    key.sport = flow.sport;
    key.dport = flow.dport;
    return this.search(key, flow.choices, this.balanced);
  }

  /** A bare fib_lookup, for questions about a route: among several next hops it names the first that can be used. */
  routeOf(key: RouteKey, choices: Choices): RouteResult {
    return this.search(key, choices, this.first);
  }

  private search(key: RouteKey, choices: Choices, pick: PickNexthop): RouteResult {
    const { compiled } = this.current(choices);
    for (let at = 0; at < compiled.length; at++) {
      const one = compiled[at];
      if (one === undefined || (key.mark & one.markMask) !== one.mark) continue;
      if (one.conditional && !ruleMatches(one, this.family, key, choices)) continue;
      const { rule, table } = one;
      if (table !== null) {
        const found = this.inTable(table, key, one, choices, pick);
        if (found !== null) return found;
        continue;
      }
      const { action } = rule;
      // a table that does not exist has no route
      if (action.kind === 'nop' || action.kind === 'table') continue;
      if (action.kind === 'goto') {
        if (one.target !== null) at = one.target - 1;
        continue;
      }
      const summary = `rule ${rule.priority}: ${action.kind}`;
      return { kind: action.kind, route: null, rule, nexthop: null, summary, evidence: [rule.evidence] };
    }
    const summary = `no route to ${textOf(key.dst)}`;
    return { kind: 'unreachable', route: null, rule: null, nexthop: null, summary, evidence: [] };
  }

  private inTable(
    table: RouteTable,
    key: RouteKey,
    { rule, suppresses }: CompiledRule,
    choices: Choices,
    pick: PickNexthop,
  ): RouteResult | null {
    const found = table.find(key.dst, throughOf(key), key.src);
    if (found === null || found.throws) return null;
    const { route } = found;
    if (suppresses && this.suppressed(route, rule, choices)) return null;
    const nexthop = found.only ?? pick(table, route, key, choices);
    const { last } = found;
    if (last !== null && last.rule === rule && last.nexthop === nexthop) return last;
    found.last = resultOf(route, rule, this.shown(route, rule), nexthop);
    return found.last;
  }

  private suppressed(route: IpRoute, rule: IpRule, choices: Choices): boolean {
    const { suppressPrefixLength } = rule;
    // fib_rules_lookup asks ops->suppress only where the table gave no error: unreachable and its like stand
    if (suppressPrefixLength !== null && route.dst.prefix <= suppressPrefixLength && !ROUTE_ERRORS.has(route.type)) {
      return true;
    }
    return rule.suppressGroup !== null && this.inGroup(route.nexthops[0]?.device ?? null, rule, choices);
  }

  /** fib4_rule_suppress asks for the device of the first next hop. */
  private inGroup(device: string | null, { suppressGroup, priority }: IpRule, choices: Choices): boolean {
    const addresses = this.addressesFact();
    const group =
      addresses.kind === 'known' ? addresses.value.devices.find(({ name }) => name === device)?.group : null;
    if (group != null) return groupName(group) === groupName(suppressGroup ?? '');
    return choices.either(`ifgroup ${priority}`, `rule ${priority} suppresses by device group`, null);
  }

  /** In the merged trie a route of main is found under the rule for local: the rule that names its table is the evidence. */
  private shown(route: IpRoute, rule: IpRule): IpRule {
    const { rules, merged } = this.load();
    const where = tableName(route.table);
    const named = rules.find(({ action }) => action.kind === 'table' && tableName(action.table) === where);
    return merged ? (named ?? rule) : rule;
  }

  private readonly first: PickNexthop = (table, route, key) =>
    route.nexthops.find((hop) => table.hopUsable(hop, throughOf(key))) ?? null;

  private readonly balanced: PickNexthop = (table, route, key, choices) => {
    const hops = route.nexthops.filter((hop) => table.hopUsable(hop, throughOf(key)));
    if (hops.length <= 1) return hops[0] ?? null;
    const sum = hops.reduce((total, hop) => total + hop.weight, 0);
    const options = hops.map((hop) => ({ probability: hop.weight / sum, condition: null }));
    // a hash of the packet's addresses (rt6_multipath_hash, fib_multipath_hash): the same answer within one way, as long as
    // the packet goes to the same address and the same next hops can be used
    const names = hops.map(({ device, gateway }) => `${device ?? ''} ${gateway ?? ''}`).join();
    const to = textOf(key.packetDst ?? key.dst);
    const index = choices.decide(`nexthop ${route.evidence.pointer ?? ''} ${names} to ${to}`, options, null);
    return hops[index] ?? null;
  };
}

function throughOf({ oif, through }: RouteKey): string | null {
  return through === undefined ? oif : through;
}

/** Group 0 has a name of its own (/etc/iproute2/group). */
function groupName(group: string): string {
  return group === '0' ? 'default' : group;
}
