import type { Evidence, ParseProblem } from './evidence.js';
import { parseCidr, type Cidr } from './ip.js';
import { Fields, isObject, parseJsonList } from './netns-json.js';

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
  // the kernel makes its three with the namespace
  if (parsed.list.length === 0) return { file, rules: [], problems: [{ file, message: 'a list without any rule' }] };
  const rules: IpRule[] = [];
  const problems: ParseProblem[] = [];
  parsed.list.forEach((item, index) => {
    const pointer = `/${index}`;
    const fields = new Fields(isObject(item) ? item : {});
    const rule = ruleOf(fields, { file, pointer, text: JSON.stringify(item) });
    if (rule !== null && fields.odd === null) {
      const unsupported = isObject(item) ? Object.keys(item).filter((key) => !KNOWN.has(key)) : [];
      rules.push({ ...rule, unsupported });
    } else problems.push({ file, pointer, message: oddRule(fields) });
  });
  return { file, rules, problems };
}

function oddRule({ odd }: Fields): string {
  return odd === null ? 'not a policy rule' : `a policy rule without its "${odd}", or with one that is not understood`;
}

/** print_rule (iproute2 ip/iprule.c, v6.1) prints a source always, `all` where there is none, and both ends of a range. */
function ruleOf(fields: Fields, evidence: Evidence): Omit<IpRule, 'unsupported'> | null {
  fields.require('priority', 'src');
  const priority = fields.number('priority');
  const action = actionOf(fields);
  if (priority === null || action === null) return null;
  const mark = fields.number('fwmark');
  const mask = fields.number('fwmask');
  if (fields.has('fwmask')) fields.require('fwmark');
  if (fields.has('iif_detached')) fields.require('iif');
  if (fields.has('oif_detached')) fields.require('oif');
  return {
    priority,
    not: fields.has('not'),
    src: prefixOf(fields, 'src'),
    dst: prefixOf(fields, 'dst'),
    iif: fields.text('iif'),
    oif: fields.text('oif'),
    fwmark: mark === null ? null : { value: mark, mask: mask ?? 0xffffffff },
    uid: rangeOf(fields, 'uid'),
    protocol: fields.label('ipproto'),
    sport: rangeOf(fields, 'sport'),
    dport: rangeOf(fields, 'dport'),
    tos: fields.has('tos') || fields.has('dsfield'),
    l3mdev: fields.has('l3mdev'),
    action,
    suppressPrefixLength: fields.number('suppress_prefixlen') ?? fields.number('suppress_prefixlength'),
    suppressGroup: fields.label('suppress_ifgroup'),
    evidence,
  };
}

function actionOf(fields: Fields): IpRuleAction | null {
  const target = fields.number('goto');
  if (target !== null) return { kind: 'goto', priority: target, resolved: !fields.has('unresolved') };
  if (fields.has('goto')) return null;
  const action = fields.text('action');
  if (action === 'unreachable' || action === 'prohibit' || action === 'blackhole') return { kind: action };
  if (action === 'nop' || fields.has('nop')) return { kind: 'nop' };
  if (fields.has('action')) fields.reject('action');
  const table = fields.label('table');
  if (table !== null) return { kind: 'table', table };
  // l3mdev looks the table up by the device's VRF
  return fields.has('l3mdev') ? { kind: 'nop' } : null;
}

function prefixOf(fields: Fields, name: string): Cidr | null {
  const value = fields.text(name);
  const length = fields.number(`${name}len`);
  if (length !== null) fields.require(name);
  if (value === null || value === 'all' || value === 'default') return null;
  const prefix = parseCidr(length === null ? value : `${value}/${length}`);
  if (prefix === null) fields.reject(name);
  return prefix;
}

function rangeOf(fields: Fields, name: string): Range | null {
  const one = fields.number(name);
  const from = fields.number(`${name}_start`) ?? one;
  const to = fields.number(`${name}_end`) ?? one;
  if (from === null && to === null) return null;
  if (from === null || to === null) {
    fields.require(`${name}_start`, `${name}_end`);
    return null;
  }
  return { from, to };
}
