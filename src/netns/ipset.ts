import type { Ipset, IpsetEntry, IpsetSave } from '../formats/ipset-save.js';
import { networkOf, type Addr, type Family } from './address.js';
import type { Flow } from './flow.js';
import {
  addressOf,
  fieldsOf,
  fitOf,
  partsOf,
  widthMask,
  type Dimension,
  type Field,
  type Fit,
  type Part,
} from './ipset-fields.js';
import { placeOf } from './runtime.js';

/**
 * Membership in an ipset, from what `ipset save` prints. Linux net/netfilter/ipset/ip_set_hash_*.c at v6.12: nets are tried
 * from the longest prefix, of two nets the first one's before the second's; `nomatch` entries say no.
 */
export type SetTest = (flow: Flow) => boolean;

/** What a rule asks a set for. */
export interface SetQuestion {
  readonly name: string;
  readonly family: Family;
  readonly dims: readonly Dimension[];
  /** --return-nomatch: members with `nomatch` match, the others of a type with nets do not. */
  readonly returnNomatch: boolean;
  /** `--packets-gt 5`, what the member's counters have to fit; null: nothing. */
  readonly counters: string | null;
}

type CompiledSet =
  { readonly kind: 'test'; readonly test: SetTest } | { readonly kind: 'unsupported'; readonly reason: string };

/** `except`: a member with `nomatch` (-ENOTEMPTY). */
type Found = 'yes' | 'no' | 'except';
type Finder = (flow: Flow) => Found;
type CompiledFinder = { readonly kind: 'find'; readonly find: Finder } | (CompiledSet & { kind: 'unsupported' });

const NEVER: SetTest = () => false;

/** ip_set_test of linux net/netfilter/ipset/ip_set_core.c (v6.12). */
export function compileSet(save: IpsetSave, question: SetQuestion): CompiledSet {
  return compile(save, question, 0);
}

function compile(save: IpsetSave, question: SetQuestion, depth: number): CompiledSet {
  const { name, family, dims, returnNomatch } = question;
  const set = save.sets.get(name);
  if (set === undefined) return { kind: 'unsupported', reason: `set ${name} is not in ${save.file}` };
  if (set.type.startsWith('list:')) return compileList(save, set, question, depth);
  const parts = partsOf(set.type);
  if (parts === null) return { kind: 'unsupported', reason: `type ${set.type} of set ${name} is not supported` };
  const declared = set.options.get('family') === 'inet6' ? 6 : 4;
  const hasAddress = parts.some((part) => part === 'ip' || part === 'net');
  // a set of the other family never matches (opt->family == set->family || set->family == NFPROTO_UNSPEC), nor does one
  // of more dimensions than the rule names
  if ((hasAddress && declared !== family) || dims.length < parts.length) return { kind: 'test', test: NEVER };
  const compiled = compileMembers(set, parts, question);
  if (compiled.kind === 'unsupported') return compiled;
  const { find } = compiled;
  const inverted = returnNomatch && parts.includes('net');
  if (!inverted) return { kind: 'test', test: (flow) => find(flow) === 'yes' };
  return { kind: 'test', test: (flow) => find(flow) === 'except' };
}

/** list_set_ktest: the members answer for themselves, counters are those of the list. */
function compileList(save: IpsetSave, set: Ipset, question: SetQuestion, depth: number): CompiledSet {
  if (depth > 4) return { kind: 'unsupported', reason: `set ${set.name} is nested too deep` };
  const tests: SetTest[] = [];
  const fits = countersFit(set, question);
  for (const entry of set.entries) {
    const member = compile(save, { ...question, name: entry.value, counters: null }, depth + 1);
    if (member.kind === 'unsupported') return member;
    tests.push((flow) => member.test(flow) && fits(flow, entry));
  }
  return { kind: 'test', test: (flow) => tests.some((test) => test(flow)) };
}

/** ip_set_match_extensions: without counters nothing is compared. */
function countersFit({ options }: Ipset, { counters }: SetQuestion): (flow: Flow, entry: IpsetEntry) => boolean {
  if (counters === null || !options.has('counters')) return () => true;
  return (flow, { value, evidence }) =>
    flow.choices.either(`${counters} ${placeOf(evidence)}`, `the counters of ${placeOf(evidence)} fit ${counters}`, {
      fact: `counters of ${value} (${placeOf(evidence)}) when the packet comes`,
      reason: 'each packet that matches changes them',
    });
}

interface Member {
  readonly entry: IpsetEntry;
  readonly fields: readonly Field[];
}

function compileMembers(set: Ipset, parts: readonly Part[], question: SetQuestion): CompiledFinder {
  const members: Member[] = [];
  for (const entry of set.entries) {
    const fields = fieldsOf(entry.value, parts, entry.wildcard);
    if (fields === null) {
      return { kind: 'unsupported', reason: `entry ${entry.value} of set ${set.name} (${set.type}) is not understood` };
    }
    members.push({ entry, fields });
  }
  const { family, dims, counters } = question;
  const width = widthMask(set, family);
  if (width === null && (set.options.has('bitmask') || set.options.has('netmask'))) {
    return { kind: 'unsupported', reason: `the mask of set ${set.name} (${set.evidence.text}) is not understood` };
  }
  const [one, ...others] = parts;
  const plain = counters === null && !set.options.has('bitmask');
  if (plain && others.length === 0 && (one === 'ip' || one === 'net')) {
    return { kind: 'find', find: addressFinder(members, family, dims[0] ?? 'src', width) };
  }
  const asks: Asks = {
    fits: parts.map((part, at) => fitOf(set, part, dims[at] ?? 'src', family)),
    counters: countersFit(set, question),
    dims,
    // hash:net,iface: a net that holds the address, but on another device, ends the search (multi in mtype_test_cidrs)
    endsAtNet: parts.includes('iface'),
  };
  members.sort((a, b) => longer(a, b, parts));
  const indexed = one === 'ip' && width === null ? byAddress(members) : null;
  if (indexed === null) return { kind: 'find', find: (flow) => search(members, asks, flow) };
  const dim = dims[0] ?? 'src';
  return { kind: 'find', find: (flow) => search(indexed.get(addressOf(flow, dim)) ?? [], asks, flow) };
}

/** The order of mtype_test_cidrs: by the prefix of the first net, then by that of the second. */
function longer(a: Member, b: Member, parts: readonly Part[]): number {
  for (let at = 0; at < parts.length; at++) {
    if (parts[at] !== 'net') continue;
    const difference = prefixOf(b.fields[at]) - prefixOf(a.fields[at]);
    if (difference !== 0) return difference;
  }
  return 0;
}

function prefixOf(field: Field | undefined): number {
  return field?.kind === 'net' ? field.cidr.prefix : 0;
}

/** Thousands of services cost one look-up; null where a member is not a single address. */
function byAddress(members: readonly Member[]): ReadonlyMap<Addr, readonly Member[]> | null {
  const index = new Map<Addr, Member[]>();
  for (const member of members) {
    const [field] = member.fields;
    if (field?.kind !== 'net' || field.cidr.prefix !== (field.cidr.ip.family === 4 ? 32 : 128)) return null;
    const { value } = field.cidr.ip;
    const list = index.get(value);
    if (list === undefined) index.set(value, [member]);
    else list.push(member);
  }
  return index;
}

interface Asks {
  readonly fits: readonly ((flow: Flow, field: Field) => Fit)[];
  readonly counters: (flow: Flow, entry: IpsetEntry) => boolean;
  readonly dims: readonly Dimension[];
  readonly endsAtNet: boolean;
}

function search(members: readonly Member[], { fits, counters, dims, endsAtNet }: Asks, flow: Flow): Found {
  let shortest = 0;
  for (const { entry, fields } of members) {
    if (prefixOf(fields[0]) < shortest) return 'no';
    const answers = fields.map((field, at) => fits[at]?.(flow, field) ?? false);
    if (!answers.includes(false)) {
      const at = answers.indexOf('unknown');
      if ((at < 0 || macFits(flow, fields[at], dims[at] ?? 'src')) && counters(flow, entry)) {
        return entry.nomatch ? 'except' : 'yes';
      }
    } else if (endsAtNet && answers[0] === true && !isPhysical(fields[1])) shortest = prefixOf(fields[0]);
  }
  return 'no';
}

/** It stands in another place of the hash (struct hash_netiface4_elem_hashed). */
function isPhysical(field: Field | undefined): boolean {
  return field?.kind === 'iface' && field.physical;
}

function macFits(flow: Flow, field: Field | undefined, dim: Dimension): boolean {
  const side = dim === 'src' ? 'source' : 'destination';
  const address = field?.kind === 'mac' ? field.address : null;
  const condition = `the ${side} of the Ethernet frame is ${address ?? 'taken'}`;
  const unknown = { fact: `${side} MAC address of the packet on ${flow.iif ?? ''}`, reason: 'the packet does not say' };
  return flow.choices.either(`mac ${dim} ${address ?? ''} ${flow.iif ?? ''}`, condition, unknown);
}

/** One hash per prefix length: thousands of pod addresses cost one look-up. */
function addressFinder(members: readonly Member[], family: Family, dim: Dimension, width: Addr | null): Finder {
  const byLength = new Map<number, Map<Addr, Found>>();
  const ranges: { from: Addr; to: Addr }[] = [];
  const netmask = width === null ? 128 : lengthOf(width);
  for (const { fields, entry } of members) {
    const field = fields[0];
    if (field?.kind === 'range') ranges.push(field);
    if (field?.kind !== 'net') continue;
    const length = Math.min(field.cidr.prefix, netmask);
    let table = byLength.get(length);
    if (table === undefined) {
      table = new Map();
      byLength.set(length, table);
    }
    table.set(networkOf(field.cidr.ip.value, length), entry.nomatch ? 'except' : 'yes');
  }
  const lengths = [...byLength.keys()].sort((a, b) => b - a);
  return (flow) => {
    const addr = addressOf(flow, dim);
    for (const length of lengths) {
      const found = byLength.get(length)?.get(networkOf(addr, length));
      if (found !== undefined) return found;
    }
    return ranges.some(({ from, to }) => addr >= from && addr <= to) ? 'yes' : 'no';
  };
}

/** How many leading bits a mask without holes has. */
function lengthOf(mask: Addr): number {
  return [...mask.toString(2)].filter((bit) => bit === '1').length;
}
