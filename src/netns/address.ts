import { formatIp, formatIpv4, ipv4Mask, parseIp, parseIpv4, unmapIp, type Cidr, type Ip } from '../formats/ip.js';

/** An address inside the engine: IPv4 as an unsigned 32-bit number, IPv6 as a bigint; the family is the flow's. */
export type Addr = number | bigint;
export type Family = 4 | 6;

/** The same few addresses are read and written again and again; forgotten when too many. */
const MAX_TEXTS = 1 << 14;
const TEXTS = new Map<Addr, string>();

/** Dotted, or the shortest form of IPv6. */
export function textOf(addr: Addr): string {
  let text = TEXTS.get(addr);
  if (text === undefined) {
    text = typeof addr === 'number' ? formatIpv4(addr) : formatIp({ family: 6, value: addr });
    if (TEXTS.size >= MAX_TEXTS) TEXTS.clear();
    TEXTS.set(addr, text);
  }
  return text;
}

export function ipOf(family: Family, addr: Addr): Ip {
  return family === 4 ? { family, value: Number(addr) } : { family, value: BigInt(addr) };
}

const PARSED = new Map<string, Addr | null>();

export function familyOf(addr: Addr): Family {
  return typeof addr === 'number' ? 4 : 6;
}

/** Null where the text is no address. IPv4-mapped IPv6 addresses travel as IPv4 packets. */
export function parseAddr(text: string): Addr | null {
  return parseIpv4(text) ?? parseColons(text);
}

/** Likewise of a text that is no dotted quad. */
export function parseColons(text: string): Addr | null {
  let parsed = PARSED.get(text);
  if (parsed === undefined) {
    const ip = parseIp(text);
    parsed = ip === null ? null : unmapIp(ip).value;
    if (PARSED.size >= MAX_TEXTS) PARSED.clear();
    PARSED.set(text, parsed);
  }
  return parsed;
}

export type AddrTest = (addr: Addr) => boolean;

/** Null where the prefix is of the other family. */
export function prefixTest(family: Family, cidr: Cidr): AddrTest | null {
  if (cidr.ip.family !== family) return null;
  if (cidr.ip.family === 4) return maskTest(cidr.ip.value, ipv4Mask(cidr.prefix));
  return maskTest(cidr.ip.value, prefixMask6(cidr.prefix));
}

export function prefixMask6(prefix: number): bigint {
  return ((1n << BigInt(prefix)) - 1n) << BigInt(128 - prefix);
}

export function maskTest(value: Addr, mask: Addr): AddrTest {
  if (typeof value === 'number' && typeof mask === 'number') {
    const wanted = value & mask;
    return (addr) => typeof addr === 'number' && (addr & mask) === wanted;
  }
  const mask6 = BigInt(mask);
  const wanted6 = BigInt(value) & mask6;
  return (addr) => typeof addr === 'bigint' && (addr & mask6) === wanted6;
}

/** The address with `count` low bits replaced by another's. */
export function withPrefix(family: Family, network: Addr, prefix: number, host: Addr): Addr {
  if (family === 4) {
    const mask = ipv4Mask(prefix);
    return ((Number(network) & mask) | (Number(host) & ~mask)) >>> 0;
  }
  const mask = prefixMask6(prefix);
  const all = (1n << 128n) - 1n;
  return (BigInt(network) & mask) | (BigInt(host) & (all ^ mask));
}

/** How many leading bits two addresses share. */
export function commonPrefix(family: Family, a: Addr, b: Addr): number {
  if (family === 4) return Math.clz32((Number(a) ^ Number(b)) >>> 0);
  const bits = (BigInt(a) ^ BigInt(b)).toString(2);
  return bits === '0' ? 128 : 128 - bits.length;
}

export function isLoopback(addr: Addr): boolean {
  return typeof addr === 'number' ? addr >>> 24 === 127 : addr === 1n;
}

export function isMulticast(addr: Addr): boolean {
  return typeof addr === 'number' ? addr >>> 28 === 0xe : addr >> 120n === 0xffn;
}

/** A group, or all (255.255.255.255). */
export function isToMany(addr: Addr): boolean {
  return isMulticast(addr) || addr === 0xffffffff;
}

/** 224.0.0.0/24: groups of the link, which nobody forwards (ipv4_is_local_multicast). */
export function isLinkGroup4(addr: Addr): boolean {
  return typeof addr === 'number' && addr >>> 8 === 0xe00000;
}

/** fe80::/10. */
export function isLinkLocal6(addr: Addr): boolean {
  return typeof addr === 'bigint' && addr >> 118n === 0x3fan;
}

/** The network of a prefix that holds the address. */
export function networkOf(addr: Addr, prefix: number): Addr {
  return typeof addr === 'number' ? (addr & ipv4Mask(prefix)) >>> 0 : addr & prefixMask6(prefix);
}

/** Of a group, by the scope in its address. */
const GROUP_SCOPES: Readonly<Record<number, 'loopback' | 'link' | 'site'>> = { 1: 'loopback', 2: 'link', 5: 'site' };

/** Scope bits as in the kernel's ipv6_addr_type: what an IPv6 address can be compared by. */
export function scope6(addr: Addr): 'loopback' | 'link' | 'site' | 'global' {
  const value = BigInt(addr);
  if (value === 1n) return 'loopback';
  if (value >> 120n === 0xffn) return GROUP_SCOPES[Number((value >> 112n) & 0xfn)] ?? 'global';
  if (value >> 118n === 0x3fan) return 'link';
  if (value >> 118n === 0x3fbn) return 'site';
  return 'global';
}
