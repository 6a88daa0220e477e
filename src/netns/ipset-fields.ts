import { ipv4Mask, parseCidr, parseIp, type Cidr } from '../formats/ip.js';
import type { Ipset } from '../formats/ipset-save.js';
import { networkOf, prefixMask6, type Addr, type Family } from './address.js';
import { sourcePort } from './drawn-port.js';
import { ICMP, ICMPV6, isIcmp, SCTP, TCP, UDP, type Flow } from './flow.js';
import { icmpPort } from './icmp-names.js';
import { protocolNumber } from './protocols.js';

/** 'src' or 'dst' for each dimension, as in `--match-set name src,dst`. */
export type Dimension = 'src' | 'dst';

/** What a set holds of each member, in the order of its type's name. */
export type Part = 'ip' | 'net' | 'port' | 'iface' | 'mark' | 'mac';

const PARTS: ReadonlySet<string> = new Set<Part>(['ip', 'net', 'port', 'iface', 'mark', 'mac']);

/** Null where the type has a part that is not known. */
export function partsOf(type: string): readonly Part[] | null {
  const parts = type.split(':')[1]?.split(',') ?? [];
  const known = parts.filter((part): part is Part => PARTS.has(part));
  return known.length === parts.length && parts.length > 0 ? known : null;
}

/** One part of one member, as `ipset save` prints it. */
export type Field =
  | { readonly kind: 'net'; readonly cidr: Cidr }
  | { readonly kind: 'range'; readonly from: Addr; readonly to: Addr }
  /** `protocol` null: of any that the set knows ports of (bitmap:port). */
  | { readonly kind: 'port'; readonly protocol: number | null; readonly from: number; readonly to: number }
  | { readonly kind: 'iface'; readonly name: string; readonly physical: boolean; readonly wildcard: boolean }
  | { readonly kind: 'mark'; readonly value: number }
  /** Null: a member of bitmap:ip,mac that takes any. */
  | { readonly kind: 'mac'; readonly address: string | null };

/** Null where the member does not have the form of its type. */
export function fieldsOf(value: string, parts: readonly Part[], wildcard: boolean): readonly Field[] | null {
  const texts = value.split(',');
  // bitmap:ip,mac: an address whose MAC was not given takes that of the first packet
  if (parts.at(-1) === 'mac' && texts.length === parts.length - 1) texts.push('');
  if (texts.length !== parts.length) return null;
  const fields: Field[] = [];
  for (let at = 0; at < parts.length; at++) {
    const field = fieldOf(texts[at] ?? '', parts[at] ?? 'ip', wildcard);
    if (field === null) return null;
    fields.push(field);
  }
  return fields;
}

function fieldOf(text: string, part: Part, wildcard: boolean): Field | null {
  switch (part) {
    case 'ip':
    case 'net': {
      const cidr = parseCidr(text);
      if (cidr !== null) return { kind: 'net', cidr };
      const [from, to] = text.split('-').map((word) => parseIp(word));
      if (from === null || from === undefined || to === null || to === undefined) return null;
      return { kind: 'range', from: from.value, to: to.value };
    }
    case 'port':
      return portField(text);
    case 'mark':
      return /^0x[0-9a-f]+$|^\d+$/i.test(text) ? { kind: 'mark', value: Number(text) >>> 0 } : null;
    case 'iface': {
      const physical = text.startsWith('physdev:');
      return { kind: 'iface', name: physical ? text.slice('physdev:'.length) : text, physical, wildcard };
    }
    case 'mac':
      return /^([0-9a-f]{2}(:[0-9a-f]{2}){5})?$/i.test(text)
        ? { kind: 'mac', address: text === '' ? null : text.toLowerCase() }
        : null;
  }
}

/** `80`, `tcp:80`, `tcp:80-82`, `gre:0`, `icmp:echo-request`, `ipv6-icmp:200/3`. */
function portField(text: string): Field | null {
  const [, name, rest = ''] = /^(?:([a-z0-9-]+):)?(.+)$/.exec(text) ?? [];
  const protocol = name === undefined ? null : protocolNumber(name);
  if (name !== undefined && protocol === null) return null;
  if (protocol === ICMP || protocol === ICMPV6) {
    // type and code are one number
    const number = icmpPort(protocol, rest);
    return number === null ? null : { kind: 'port', protocol, from: number, to: number };
  }
  const [, from, to] = /^(\d+)(?:-(\d+))?$/.exec(rest) ?? [];
  return from === undefined ? null : { kind: 'port', protocol, from: Number(from), to: Number(to ?? from) };
}

/** Whether the packet has what the member says; `unknown`: only its Ethernet header would tell. */
export type Fit = boolean | 'unknown';

/** How one dimension of a set is read from a packet. */
export function fitOf(set: Ipset, part: Part, dim: Dimension, family: Family): (flow: Flow, field: Field) => Fit {
  const width = widthMask(set, family);
  const markMask = Number(set.options.get('markmask') ?? 0xffffffff) >>> 0;
  const bitmap = set.type.startsWith('bitmap:');
  return (flow, field) => {
    switch (field.kind) {
      case 'net':
        return field.cidr.ip.family === family && inNet(family, masked(addressOf(flow, dim), width), field.cidr);
      case 'range': {
        const addr = masked(addressOf(flow, dim), width);
        return addr >= field.from && addr <= field.to;
      }
      case 'port':
        return portFits(flow, field, dim, bitmap);
      case 'iface': {
        // a member with `physdev:` is another one than that of the device itself, which a packet is looked up by
        if (field.physical) return false;
        const device = (dim === 'src' ? flow.iif : flow.oif) ?? '';
        return device !== '' && (field.wildcard ? device.startsWith(field.name) : device === field.name);
      }
      case 'mark':
        return (flow.mark & markMask) >>> 0 === field.value;
      case 'mac':
        // what is made here has no Ethernet header yet; that of lo holds zeros, which no hash takes
        if (flow.iif === null || (flow.iif === 'lo' && field.address !== null)) return false;
        return field.address === null && flow.iif !== 'lo' ? true : 'unknown';
    }
  };
}

/** ip_set_get_ip4_port, ip_set_get_ip_port of linux net/netfilter/ipset/ip_set_getport.c (v6.12). */
function portFits(flow: Flow, field: Field & { kind: 'port' }, dim: Dimension, bitmap: boolean): boolean {
  const { protocol } = flow;
  if (bitmap && protocol !== TCP && protocol !== UDP) return false;
  if (field.protocol !== null && field.protocol !== protocol) return false;
  const port = portOf(flow, dim);
  return port >= field.from && port <= field.to;
}

const UDPLITE = 136;

function portOf(flow: Flow, dim: Dimension): number {
  const { protocol } = flow;
  if (isIcmp(flow)) return flow.icmpType * 256 + flow.icmpCode;
  if (protocol !== TCP && protocol !== UDP && protocol !== SCTP && protocol !== UDPLITE) return 0;
  return dim === 'src' ? sourcePort(flow) : flow.dport;
}

export function addressOf(flow: Flow, dim: Dimension): Addr {
  return dim === 'src' ? flow.src : flow.dst;
}

/** What options `netmask` and `bitmask` leave of an address; null: all of it, or an option that is not understood. */
export function widthMask({ options }: Ipset, family: Family): Addr | null {
  const bits = options.get('bitmask');
  const length = options.get('netmask');
  if (bits !== undefined) return parseIp(bits)?.value ?? null;
  if (length === undefined) return null;
  if (!/^\d{1,3}$/.test(length)) return null;
  return family === 4 ? ipv4Mask(Number(length)) : prefixMask6(Number(length));
}

function masked(addr: Addr, mask: Addr | null): Addr {
  if (mask === null) return addr;
  return typeof addr === 'number' ? (addr & Number(mask)) >>> 0 : addr & BigInt(mask);
}

function inNet(family: Family, addr: Addr, { ip, prefix }: Cidr): boolean {
  return networkOf(addr, prefix) === networkOf(ip.value, prefix);
}
