import { parseCidr, parseIp, type Cidr } from '../formats/ip.js';
import type { Ipset, IpsetEntry, IpsetSave } from '../formats/ipset-save.js';
import { ipOf, prefixMask6, type Addr, type Family } from './address.js';
import { ipv4Mask } from '../formats/ip.js';
import type { Flow } from './flow.js';
import { protocolNumber } from './protocols.js';

/**
 * Membership in an ipset, from what `ipset save` prints. `true`/`false`, or what is not understood of the set.
 * Linux net/netfilter/ipset/ip_set_hash_*.c at v6.12: nets are tried from the longest prefix; `nomatch` entries say no.
 */
export type SetTest = (flow: Flow) => boolean;

/** 'src' or 'dst' for each dimension, as in `--match-set name src,dst`. */
export type Dimension = 'src' | 'dst';

type CompiledSet =
  { readonly kind: 'test'; readonly test: SetTest } | { readonly kind: 'unsupported'; readonly reason: string };

type Part = 'ip' | 'net' | 'port' | 'iface' | 'mark' | 'mac' | 'set';

export function compileSet(save: IpsetSave, name: string, family: Family, dims: readonly Dimension[]): CompiledSet {
  return compile(save, name, family, dims, 0);
}

function compile(
  save: IpsetSave,
  name: string,
  family: Family,
  dims: readonly Dimension[],
  depth: number,
): CompiledSet {
  const set = save.sets.get(name);
  if (set === undefined) return { kind: 'unsupported', reason: `set ${name} is not in ${save.file}` };
  const method = set.type.split(':')[0];
  if (method === 'list') return compileList(save, set, family, dims, depth);
  const parts = partsOf(set.type);
  if (parts === null) return { kind: 'unsupported', reason: `type ${set.type} of set ${name} is not supported` };
  const declared = set.options.get('family') === 'inet6' ? 6 : 4;
  const hasAddress = parts.some((part) => part === 'ip' || part === 'net');
  // a set of the other family never matches (set_match: !(opt->family == set->family || set->family == NFPROTO_UNSPEC))
  if ((method === 'hash' || hasAddress) && hasAddress && declared !== family)
    return { kind: 'test', test: () => false };
  const used = dims.slice(0, parts.length);
  // fewer directions than dimensions: the kernel refuses such a rule (or never matches)
  if (used.length < parts.length) return { kind: 'test', test: () => false };
  return compileEntries(set, parts, family, used);
}

function partsOf(type: string): readonly Part[] | null {
  const parts = type.split(':')[1]?.split(',') ?? [];
  const known = parts.filter((part): part is Part => ['ip', 'net', 'port', 'iface', 'mark', 'mac'].includes(part));
  if (known.length !== parts.length || parts.length === 0) return null;
  return known.includes('mac') ? null : known;
}

function compileList(
  save: IpsetSave,
  set: Ipset,
  family: Family,
  dims: readonly Dimension[],
  depth: number,
): CompiledSet {
  if (depth > 4) return { kind: 'unsupported', reason: `set ${set.name} is nested too deep` };
  const tests: SetTest[] = [];
  for (const entry of set.entries) {
    const member = compile(save, entry.value, family, dims, depth + 1);
    if (member.kind === 'unsupported') return member;
    tests.push(member.test);
  }
  return { kind: 'test', test: (flow) => tests.some((test) => test(flow)) };
}

interface Member {
  readonly entry: IpsetEntry;
  readonly fields: readonly Field[];
  /** Of the nets in it; the longest wins. */
  readonly length: number;
}

type Field =
  | { readonly kind: 'net'; readonly cidr: Cidr }
  | { readonly kind: 'range'; readonly from: Addr; readonly to: Addr }
  | { readonly kind: 'port'; readonly protocol: number | null; readonly from: number; readonly to: number }
  | { readonly kind: 'word'; readonly text: string }
  | { readonly kind: 'mark'; readonly value: number };

function compileEntries(set: Ipset, parts: readonly Part[], family: Family, dims: readonly Dimension[]): CompiledSet {
  const members: Member[] = [];
  for (const entry of set.entries) {
    const fields = fieldsOf(entry.value, parts);
    if (fields === null) {
      return { kind: 'unsupported', reason: `entry ${entry.value} of set ${set.name} (${set.type}) is not understood` };
    }
    const length = fields.reduce((sum, field) => sum + (field.kind === 'net' ? field.cidr.prefix : 0), 0);
    members.push({ entry, fields, length });
  }
  members.sort((a, b) => b.length - a.length);
  const one = parts.length === 1 ? parts[0] : null;
  if ((one === 'ip' || one === 'net') && dims[0] !== undefined) return addressOnly(members, family, dims[0], set);
  const values = parts.map((part, at) => valueOf(part, dims[at] ?? 'src', family));
  const named = parts.includes('iface');
  return {
    kind: 'test',
    test: (flow) => {
      let shortest = 0;
      for (const member of members) {
        if (member.length < shortest) return false;
        if (member.fields.every((field, at) => values[at]?.(flow, field) === true)) return !member.entry.nomatch;
        // hash:net,iface: a net that holds the address, but on another device, ends the search (multi in mtype_test_cidrs)
        const [net] = member.fields;
        if (named && net !== undefined && values[0]?.(flow, net) === true) shortest = member.length;
      }
      return false;
    },
  };
}

/** One hash per prefix length: thousands of pod addresses cost one look-up. */
function addressOnly(members: readonly Member[], family: Family, dim: Dimension, set: Ipset): CompiledSet {
  const byLength = new Map<number, Map<Addr, boolean>>();
  const ranges: { from: Addr; to: Addr }[] = [];
  const netmask = Number(set.options.get('netmask') ?? (family === 4 ? 32 : 128));
  if (set.options.has('bitmask') || Number.isNaN(netmask)) {
    return { kind: 'unsupported', reason: `option bitmask of set ${set.name} is not supported` };
  }
  const mask = (addr: Addr, length: number): Addr =>
    family === 4 ? (Number(addr) & ipv4Mask(length)) >>> 0 : BigInt(addr) & prefixMask6(length);
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
    table.set(mask(field.cidr.ip.value, length), !entry.nomatch);
  }
  const lengths = [...byLength.keys()].sort((a, b) => b - a);
  return {
    kind: 'test',
    test: (flow) => {
      const addr = dim === 'src' ? flow.src : flow.dst;
      for (const length of lengths) {
        const found = byLength.get(length)?.get(mask(addr, length));
        if (found !== undefined) return found;
      }
      return ranges.some(({ from, to }) => addr >= from && addr <= to);
    },
  };
}

function fieldsOf(value: string, parts: readonly Part[]): readonly Field[] | null {
  const texts = value.split(',');
  if (texts.length !== parts.length) return null;
  const fields: Field[] = [];
  for (let at = 0; at < parts.length; at++) {
    const field = fieldOf(texts[at] ?? '', parts[at] ?? 'ip');
    if (field === null) return null;
    fields.push(field);
  }
  return fields;
}

function fieldOf(text: string, part: Part): Field | null {
  switch (part) {
    case 'ip':
    case 'net': {
      const cidr = parseCidr(text);
      if (cidr !== null) return { kind: 'net', cidr };
      const [from, to] = text.split('-').map((word) => parseIp(word));
      if (from === null || from === undefined || to === null || to === undefined) return null;
      return { kind: 'range', from: from.value, to: to.value };
    }
    case 'port': {
      const match = /^(?:([a-z0-9-]+):)?(\d+)(?:-(\d+))?$/.exec(text);
      if (match === null) return null;
      const protocol = match[1] === undefined ? null : protocolNumber(match[1]);
      if (match[1] !== undefined && protocol === null) return null;
      return { kind: 'port', protocol, from: Number(match[2]), to: Number(match[3] ?? match[2]) };
    }
    case 'mark':
      return /^0x[0-9a-f]+$|^\d+$/i.test(text) ? { kind: 'mark', value: Number(text) >>> 0 } : null;
    case 'iface':
      return text.startsWith('physdev:') ? null : { kind: 'word', text };
    case 'mac':
    case 'set':
      return null;
  }
}

function valueOf(part: Part, dim: Dimension, family: Family): (flow: Flow, field: Field) => boolean {
  return (flow, field) => {
    switch (field.kind) {
      case 'net': {
        const addr = dim === 'src' ? flow.src : flow.dst;
        const { cidr } = field;
        if (cidr.ip.family !== family) return false;
        return family === 4
          ? (Number(addr) & ipv4Mask(cidr.prefix)) === (Number(cidr.ip.value) & ipv4Mask(cidr.prefix))
          : (BigInt(addr) & prefixMask6(cidr.prefix)) === (BigInt(cidr.ip.value) & prefixMask6(cidr.prefix));
      }
      case 'range': {
        const addr = ipOf(family, dim === 'src' ? flow.src : flow.dst).value;
        return addr >= field.from && addr <= field.to;
      }
      case 'port': {
        const port = dim === 'src' ? flow.sport : flow.dport;
        if (!PORT_PROTOCOLS.has(flow.protocol)) return false;
        return (field.protocol === null || field.protocol === flow.protocol) && port >= field.from && port <= field.to;
      }
      case 'word':
        return (dim === 'src' ? flow.iif : flow.oif) === field.text;
      case 'mark':
        return flow.mark === field.value;
    }
  };
}

const PORT_PROTOCOLS: ReadonlySet<number> = new Set([6, 17, 132, 136]);
