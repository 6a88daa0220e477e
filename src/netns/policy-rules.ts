import { cidrContains, type Cidr } from '../formats/ip.js';
import type { IpRule, Range } from '../formats/ip-rule.js';
import { ipOf, type Addr, type Family } from './address.js';
import type { Choices } from './choices.js';
import { protocolNumber } from './protocols.js';
import { tableName, type RouteTable } from './route-table.js';
import type { RouteKey } from './routing.js';

/** A policy rule, ready to be asked. */
export interface CompiledRule {
  readonly rule: IpRule;
  /** It has a condition, unlike the three rules of every namespace. */
  readonly conditional: boolean;
  /** Packets with another mark, in the bits of the mask, fail it, whatever else it asks. */
  readonly mark: number;
  readonly markMask: number;
  readonly protocol: number | null;
  /** The table that it looks up; null where there is none of that name, or another action. */
  readonly table: RouteTable | null;
  /** Of what its table says some is passed over. */
  readonly suppresses: boolean;
  /** Where a `goto` continues, as an index; Infinity: nowhere. Null: no goto. */
  readonly target: number | null;
}

export function compileRule(
  rule: IpRule,
  at: number,
  rules: readonly IpRule[],
  tables: ReadonlyMap<string, RouteTable>,
): CompiledRule {
  const { action, fwmark } = rule;
  let target: number | null = null;
  if (action.kind === 'goto' && action.resolved) {
    const index = rules.findIndex((other, place) => place > at && other.priority >= action.priority);
    target = index < 0 ? Infinity : index;
  }
  return {
    rule,
    conditional: !isUnconditional(rule),
    mark: fwmark === null || rule.not ? 0 : fwmark.value & fwmark.mask,
    markMask: fwmark === null || rule.not ? 0 : fwmark.mask | 0,
    protocol: rule.protocol === null ? null : protocolNumber(rule.protocol),
    table: action.kind === 'table' ? (tables.get(tableName(action.table)) ?? null) : null,
    suppresses: rule.suppressPrefixLength !== null || rule.suppressGroup !== null,
    target,
  };
}

function isUnconditional(rule: IpRule): boolean {
  const { src, dst, iif, oif, fwmark, uid, protocol, sport, dport } = rule;
  const conditions = [src, dst, iif, oif, fwmark, uid, protocol, sport, dport];
  return (
    conditions.every((one) => one === null) && !rule.tos && !rule.l3mdev && !rule.not && rule.unsupported.length === 0
  );
}

/** Whether the rule is one for this key; what its words do not tell of the key forks. */
export function ruleMatches(
  { rule, protocol }: CompiledRule,
  family: Family,
  key: RouteKey,
  choices: Choices,
): boolean {
  let matches =
    (rule.fwmark === null || ((key.mark ^ rule.fwmark.value) & rule.fwmark.mask) === 0) &&
    (rule.src === null || prefixHas(rule.src, family, key.src)) &&
    (rule.dst === null || prefixHas(rule.dst, family, key.dst)) &&
    (rule.iif === null || rule.iif === key.iif) &&
    (rule.oif === null || rule.oif === key.oif) &&
    !rule.tos &&
    (rule.protocol === null || protocol === key.protocol) &&
    inRange(rule.sport, key.sport) &&
    inRange(rule.dport, key.dport);
  if (matches && rule.uid !== null) {
    const { from, to } = rule.uid;
    matches =
      key.uid === null
        ? choices.either(`uid ${from}-${to}`, `the sending process has a uid in ${from}-${to}`, null)
        : key.uid >= from && key.uid <= to;
  }
  // l3mdev_fib_rule_match: only of packets in a VRF, which end before they come here
  if (rule.l3mdev) matches = false;
  if (matches && rule.unsupported.length > 0) {
    const words = rule.unsupported.join(', ');
    const unknown = { fact: `meaning of ${words} in rule ${rule.priority}`, reason: 'not supported' };
    matches = choices.either(`rule ${rule.priority}`, `rule ${rule.priority} matches (${words})`, unknown);
  }
  return matches !== rule.not;
}

const DEFAULT_RULES: ReadonlySet<string> = new Set(['0 local', '32766 main', '32767 default']);

/** Rules beyond the three that every namespace has. */
export function isCustom(rules: readonly IpRule[]): boolean {
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

function prefixHas(cidr: Cidr, family: Family, addr: Addr): boolean {
  return cidrContains(cidr, ipOf(family, addr));
}

function inRange(range: Range | null, value: number): boolean {
  return range === null || (value >= range.from && value <= range.to);
}
