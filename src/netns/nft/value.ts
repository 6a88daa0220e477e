import { parseCidr, parseIp } from '../../formats/ip.js';
import { isObject } from '../../formats/netns-json.js';
import { ipv4Mask } from '../../formats/ip.js';
import { prefixMask6, type Addr, type Family } from '../address.js';
import { protocolNumber } from '../protocols.js';

/** What an nft expression yields: an address, a number, a device name, or several of them (concatenation). */
export type Value = Addr | string | readonly Value[];

/** How the words of a literal are to be read. */
export type Kind =
  | 'addr'
  | 'proto'
  | 'port'
  | 'int'
  | 'mark'
  | 'ifname'
  /** A device by its index, which nft prints as its name. */
  | 'ifindex'
  | 'iftype'
  /** The number of a group of devices, or a name that only the machine's own list tells the number of. */
  | 'devgroup'
  | 'ctstate'
  | 'ctdir'
  | 'ctstatus'
  | 'fibtype'
  | 'nfproto'
  | 'ethertype'
  | 'icmptype'
  | 'icmpcode'
  | 'tcpflags'
  | 'pkttype'
  | 'bool';

/** RTN_* of linux/rtnetlink.h: the types of addresses and routes. */
export const RTN = {
  unspec: 0,
  unicast: 1,
  local: 2,
  broadcast: 3,
  anycast: 4,
  multicast: 5,
  blackhole: 6,
  unreachable: 7,
  prohibit: 8,
} as const;

const WORDS: Readonly<Partial<Record<Kind, Readonly<Record<string, number>>>>> = {
  ctstate: { invalid: 1, established: 2, related: 4, new: 8, untracked: 64 },
  ctdir: { original: 0, reply: 1 },
  ctstatus: { expected: 1, 'seen-reply': 2, assured: 4, confirmed: 8, snat: 16, dnat: 32, dying: 512 },
  fibtype: RTN,
  iftype: { ether: 1, ppp: 512, ipip: 768, ipip6: 769, loopback: 772, sit: 776, ipgre: 778 },
  nfproto: { ipv4: 2, ipv6: 10 },
  ethertype: { ip: 0x0800, ip6: 0x86dd, arp: 0x0806, vlan: 0x8100 },
  tcpflags: { fin: 1, syn: 2, rst: 4, psh: 8, ack: 16, urg: 32, ecn: 64, cwr: 128 },
  pkttype: { host: 0, unicast: 0, broadcast: 1, multicast: 2, other: 3 },
  icmptype: {
    'echo-reply': 0,
    'destination-unreachable': 3,
    'source-quench': 4,
    redirect: 5,
    'echo-request': 8,
    'router-advertisement': 9,
    'router-solicitation': 10,
    'time-exceeded': 11,
    'parameter-problem': 12,
    'timestamp-request': 13,
    'timestamp-reply': 14,
    'info-request': 15,
    'info-reply': 16,
    'address-mask-request': 17,
    'address-mask-reply': 18,
  },
  icmpcode: {
    'net-unreachable': 0,
    'host-unreachable': 1,
    'prot-unreachable': 2,
    'port-unreachable': 3,
    'frag-needed': 4,
    'net-prohibited': 9,
    'host-prohibited': 10,
    'admin-prohibited': 13,
  },
};

/** As nft prints them: icmp6_type_tbl and icmpv6_code_tbl in nftables src/proto.c and src/datatype.c, 1.0.6. */
const ICMPV6_TYPES: Readonly<Record<string, number>> = {
  'destination-unreachable': 1,
  'packet-too-big': 2,
  'time-exceeded': 3,
  'parameter-problem': 4,
  'echo-request': 128,
  'echo-reply': 129,
  'mld-listener-query': 130,
  'mld-listener-report': 131,
  'mld-listener-done': 132,
  'mld-listener-reduction': 132,
  'nd-router-solicit': 133,
  'nd-router-advert': 134,
  'nd-neighbor-solicit': 135,
  'nd-neighbor-advert': 136,
  'nd-redirect': 137,
  'router-renumbering': 138,
  'ind-neighbor-solicit': 141,
  'ind-neighbor-advert': 142,
  'mld2-listener-report': 143,
};

const ICMPV6_CODES: Readonly<Record<string, number>> = {
  'no-route': 0,
  'admin-prohibited': 1,
  'addr-unreachable': 3,
  'port-unreachable': 4,
  'policy-fail': 5,
  'reject-route': 6,
};

const SIX: Readonly<Partial<Record<Kind, Readonly<Record<string, number>>>>> = {
  icmptype: ICMPV6_TYPES,
  icmpcode: ICMPV6_CODES,
};

/** Null where the literal is not understood, or of the other family. */
export function literal(json: unknown, kind: Kind, family: Family): Value | null {
  if (typeof json === 'boolean') return kind === 'port' || kind === 'addr' ? null : Number(json);
  if (Array.isArray(json)) return flagSum(json, kind, family);
  if (isObject(json)) {
    if (Array.isArray(json['|'])) return flagSum(json['|'], kind, family);
    return null;
  }
  if (typeof json === 'number') return kind === 'addr' && family === 6 ? BigInt(json) : json;
  if (typeof json !== 'string') return null;
  if (kind === 'ifname') return json;
  // no device
  if (kind === 'ifindex') return json === '0' ? '' : json;
  if (kind === 'devgroup') return deviceGroup(json);
  if (kind === 'addr') {
    const ip = parseIp(json);
    return ip !== null && ip.family === family ? ip.value : null;
  }
  if (kind === 'proto') return protocolNumber(json);
  const six = family === 6 ? SIX[kind] : undefined;
  const known = (six ?? WORDS[kind])?.[json];
  if (known !== undefined) return known;
  return /^(0x[0-9a-fA-F]+|\d+)$/.test(json) ? Number(json) : null;
}

/** `default` is what all machines call group 0. */
export function deviceGroup(text: string): Value {
  if (text === 'default') return 0;
  return /^\d+$/.test(text) ? Number(text) : text;
}

function flagSum(list: readonly unknown[], kind: Kind, family: Family): number | null {
  if (list.length === 0 || list.some((item) => Array.isArray(item))) return null;
  let sum = 0;
  for (const item of list) {
    const one = literal(item, kind, family);
    if (typeof one !== 'number') return null;
    sum |= one;
  }
  return sum >>> 0;
}

export type ValueTest = (value: Value) => boolean;

/** How a literal, prefix or range of a set or of a match compares. `exact`: one value, for hashing. */
export type Pattern =
  | { readonly kind: 'exact'; readonly value: Value }
  | { readonly kind: 'test'; readonly test: ValueTest }
  | { readonly kind: 'any' }
  /** Of the other family: never matches. */
  | { readonly kind: 'never' };

/**
 * `prefix` in a match compares the masked value with the literal as it stands (nft prints `mark & 0xffff0000 == 2` so);
 * in a set it is the interval of addresses.
 */
export function pattern(json: unknown, kind: Kind, family: Family, inSet: boolean): Pattern | null {
  if (json === '*' && kind !== 'ifname') return { kind: 'any' };
  if (isObject(json) && isObject(json['elem'])) return pattern(json['elem']['val'], kind, family, inSet);
  if (isObject(json) && isObject(json['prefix'])) {
    const { addr, len } = json['prefix'];
    return typeof len === 'number' ? prefixPattern(addr, len, kind, family, inSet) : null;
  }
  if (kind === 'ifindex') {
    if (typeof json === 'boolean') return { kind: 'test', test: (device) => (device !== '') === json };
    // the indexes between two of them
    if (isObject(json)) return null;
  }
  if (isObject(json) && Array.isArray(json['range'])) {
    const [from, to] = json['range'].map((item) => literal(item, kind, family));
    if (otherFamily(json['range'][0], kind, family)) return { kind: 'never' };
    if (from === null || from === undefined || to === null || to === undefined) return null;
    return { kind: 'test', test: (value) => value >= from && value <= to };
  }
  if (kind === 'ifname' && typeof json === 'string' && json.endsWith('*')) {
    const start = json.slice(0, -1).replace(/\\$/, '*');
    if (json.endsWith('\\*')) return { kind: 'exact', value: start };
    return { kind: 'test', test: (value) => typeof value === 'string' && value.startsWith(start) };
  }
  if (otherFamily(json, kind, family)) return { kind: 'never' };
  const value = literal(json, kind, family);
  return value === null ? null : { kind: 'exact', value };
}

function otherFamily(json: unknown, kind: Kind, family: Family): boolean {
  if (kind !== 'addr' || typeof json !== 'string') return false;
  const ip = parseIp(json);
  return ip !== null && ip.family !== family;
}

function prefixPattern(addr: unknown, length: number, kind: Kind, family: Family, inSet: boolean): Pattern | null {
  if (kind === 'addr') {
    const cidr = typeof addr === 'string' ? parseCidr(`${addr}/${length}`) : null;
    if (cidr === null) return null;
    if (cidr.ip.family !== family) return { kind: 'never' };
    if (family === 4) {
      const mask = ipv4Mask(length);
      const wanted = inSet ? Number(cidr.ip.value) & mask : Number(cidr.ip.value) | 0;
      return { kind: 'test', test: (value) => (Number(value) & mask) === wanted };
    }
    const mask = prefixMask6(length);
    const wanted = inSet ? BigInt(cidr.ip.value) & mask : BigInt(cidr.ip.value);
    return { kind: 'test', test: (value) => typeof value === 'bigint' && (value & mask) === wanted };
  }
  const base = literal(addr, kind, family);
  if (typeof base !== 'number') return null;
  const width = kind === 'port' ? 16 : kind === 'proto' ? 8 : 32;
  const mask = (((2 ** length - 1) * 2 ** (width - length)) >>> 0) | 0;
  const wanted = inSet ? base & mask : base | 0;
  return { kind: 'test', test: (value) => (Number(value) & mask) === wanted };
}
