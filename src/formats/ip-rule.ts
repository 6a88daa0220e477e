import type { Evidence, ParseProblem } from './evidence.js';
import { parseCidr, type Cidr } from './ip.js';
import { isObject, numberOf, parseJsonList, stringOf, type JsonObject } from './netns-json.js';

/** `ip -j rule`, `ip -6 -j rule`: the policy rules, in the order of their priority. */
export interface IpRules {
  readonly file: string;
  readonly rules: readonly IpRule[];
  readonly problems: readonly ParseProblem[];
}

export interface IpRule {
  readonly priority: number;
  readonly not: boolean;
  /** Null: all. */
  readonly src: Cidr | null;
  readonly dst: Cidr | null;
  readonly iif: string | null;
  readonly oif: string | null;
  readonly fwmark: { readonly value: number; readonly mask: number } | null;
  readonly uid: Range | null;
  readonly protocol: string | null;
  readonly sport: Range | null;
  readonly dport: Range | null;
  readonly tos: boolean;
  readonly l3mdev: boolean;
  readonly action: IpRuleAction;
  readonly suppressPrefixLength: number | null;
  /** A device group, by name or number: routes out of its devices are passed over. */
  readonly suppressGroup: string | null;
  /** Words that are not understood: the rule may or may not match. */
  readonly unsupported: readonly string[];
  readonly evidence: Evidence;
}

export interface Range {
  readonly from: number;
  readonly to: number;
}

export type IpRuleAction =
  | { readonly kind: 'table'; readonly table: string }
  | { readonly kind: 'goto'; readonly priority: number; readonly resolved: boolean }
  | { readonly kind: 'nop' | 'unreachable' | 'prohibit' | 'blackhole' };

const KNOWN: ReadonlySet<string> = new Set(
  (
    'priority not src srclen dst dstlen iif iif_detached oif oif_detached fwmark fwmask uid_start uid_end ipproto ' +
    'sport sport_start sport_end dport dport_start dport_end tos dsfield l3mdev table goto unresolved action nop ' +
    'suppress_prefixlen suppress_ifgroup protocol suppress_prefixlength'
  ).split(' '),
);

export function parseIpRules(file: string, text: string): IpRules {
  const parsed = parseJsonList(text);
  if ('error' in parsed) return { file, rules: [], problems: [{ file, message: parsed.error }] };
  const rules: IpRule[] = [];
  const problems: ParseProblem[] = [];
  parsed.list.forEach((item, index) => {
    const pointer = `/${index}`;
    const rule = isObject(item) ? ruleOf(item, { file, pointer, text: JSON.stringify(item) }) : null;
    if (rule === null) problems.push({ file, pointer, message: 'not a policy rule' });
    else rules.push(rule);
  });
  return { file, rules, problems };
}

function ruleOf(item: JsonObject, evidence: Evidence): IpRule | null {
  const priority = numberOf(item['priority']);
  const action = actionOf(item);
  if (priority === null || action === null) return null;
  const src = prefixOf(item, 'src');
  const dst = prefixOf(item, 'dst');
  if (src === undefined || dst === undefined) return null;
  const mark = numberOf(item['fwmark']);
  return {
    priority,
    not: 'not' in item,
    src,
    dst,
    iif: stringOf(item['iif']),
    oif: stringOf(item['oif']),
    fwmark: mark === null ? null : { value: mark, mask: numberOf(item['fwmask']) ?? 0xffffffff },
    uid: rangeOf(item, 'uid'),
    protocol: stringOf(item['ipproto']) ?? numberOf(item['ipproto'])?.toString() ?? null,
    sport: rangeOf(item, 'sport'),
    dport: rangeOf(item, 'dport'),
    tos: 'tos' in item || 'dsfield' in item,
    l3mdev: 'l3mdev' in item,
    action,
    suppressPrefixLength: numberOf(item['suppress_prefixlen']) ?? numberOf(item['suppress_prefixlength']),
    suppressGroup: stringOf(item['suppress_ifgroup']) ?? numberOf(item['suppress_ifgroup'])?.toString() ?? null,
    unsupported: Object.keys(item).filter((key) => !KNOWN.has(key)),
    evidence,
  };
}

function actionOf(item: JsonObject): IpRuleAction | null {
  const target = numberOf(item['goto']);
  if (target !== null) return { kind: 'goto', priority: target, resolved: !('unresolved' in item) };
  const action = stringOf(item['action']);
  if (action === 'unreachable' || action === 'prohibit' || action === 'blackhole') return { kind: action };
  if (action === 'nop' || 'nop' in item) return { kind: 'nop' };
  const table = stringOf(item['table']) ?? numberOf(item['table'])?.toString();
  if (table !== undefined) return { kind: 'table', table };
  // l3mdev looks the table up by the device's VRF
  return 'l3mdev' in item ? { kind: 'nop' } : null;
}

/** Undefined where it is no prefix. */
function prefixOf(item: JsonObject, name: string): Cidr | null | undefined {
  const value = stringOf(item[name]);
  if (value === null || value === 'all' || value === 'default') return null;
  const length = numberOf(item[`${name}len`]);
  return parseCidr(length === null ? value : `${value}/${length}`) ?? undefined;
}

function rangeOf(item: JsonObject, name: string): Range | null {
  const one = numberOf(item[name]);
  const from = numberOf(item[`${name}_start`]) ?? one;
  const to = numberOf(item[`${name}_end`]) ?? from;
  return from === null || to === null ? null : { from, to };
}
