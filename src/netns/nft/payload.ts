import { isObject, stringOf, type JsonObject } from '../../formats/netns-json.js';
import type { Family } from '../address.js';
import { sourcePort } from '../drawn-port.js';
import { ICMP, ICMPV6, isIcmp, SCTP, SYN, TCP, UDP, type Flow } from '../flow.js';
import type { Runtime } from '../runtime.js';
import { asTest, type Test } from '../head.js';
import type { Expression } from './context.js';
import type { Value } from './value.js';

/** A field of a header; null where it is not one that the packet's description tells. */
export function payload(json: JsonObject, family: Family): Expression | null {
  const protocol = stringOf(json['protocol']);
  const field = stringOf(json['field']);
  if (protocol === null) return raw(json, family);
  switch (protocol) {
    case 'ip':
    case 'ip6': {
      const own = (protocol === 'ip') === (family === 4);
      // a field of the other family's header: no packet here has it
      if (!own) return { get: () => null, kinds: ['addr'] };
      if (field === 'saddr') {
        return {
          get: (flow) => flow.src,
          kinds: ['addr'],
          equals: addressTest('src'),
        };
      }
      if (field === 'daddr') {
        return {
          get: (flow) => flow.dst,
          kinds: ['addr'],
          equals: addressTest('dst'),
        };
      }
      if (field === 'protocol' || field === 'nexthdr') return { get: (flow) => flow.protocol, kinds: ['proto'] };
      // without options
      if (field === 'hdrlength') return { get: () => 5, kinds: ['int'] };
      if (field === 'version') return { get: () => (family === 4 ? 4 : 6), kinds: ['int'] };
      return null;
    }
    case 'tcp':
    case 'udp':
    case 'sctp': {
      const number = protocol === 'tcp' ? TCP : protocol === 'udp' ? UDP : SCTP;
      if (field === 'sport')
        return { get: (flow) => (flow.protocol === number ? sourcePort(flow) : null), kinds: ['port'] };
      if (field === 'dport') {
        return {
          get: (flow) => (flow.protocol === number ? flow.dport : null),
          kinds: ['port'],
          equals: (wanted, negated) =>
            typeof wanted === 'number'
              ? { kind: 'dport', protocol: number, port: wanted, negated }
              : asTest((flow) => flow.protocol === number && negated),
        };
      }
      if (protocol === 'tcp' && field === 'flags') {
        return { get: (flow) => (flow.protocol === TCP ? flow.flags : null), kinds: ['tcpflags'] };
      }
      return null;
    }
    case 'th': {
      // of ICMP these bytes are type, code and checksum: a number that no rule names
      if (field === 'sport')
        return {
          get: (flow) => (isIcmp(flow) ? flow.icmpType * 256 + flow.icmpCode : sourcePort(flow)),
          kinds: ['port'],
        };
      if (field === 'dport') return { get: (flow) => (isIcmp(flow) ? NaN : flow.dport), kinds: ['port'] };
      return null;
    }
    case 'icmp':
    case 'icmpv6': {
      const number = protocol === 'icmp' ? ICMP : ICMPV6;
      if (field === 'type') {
        return { get: (flow) => (flow.protocol === number ? flow.icmpType : null), kinds: ['icmptype'] };
      }
      if (field === 'code') {
        return { get: (flow) => (flow.protocol === number ? flow.icmpCode : null), kinds: ['icmpcode'] };
      }
      return null;
    }
    default:
      return null;
  }
}

/**
 * `@nh,96,32`, `@th,16,16`: bits of a header, as far as they are an IPv4 address, the protocol or a port. That is how nft of
 * 0.8.3 wrote ports of either protocol; it has `th dport` for them now.
 */
function raw({ base, offset, len }: JsonObject, family: Family): Expression | null {
  if (base === 'nh' && family === 4 && len === 32 && (offset === 96 || offset === 128)) {
    return { get: ({ src, dst }) => (offset === 96 ? src : dst), kinds: ['addr'] };
  }
  if (base === 'nh' && family === 4 && len === 8 && offset === 72) {
    return { get: ({ protocol }) => protocol, kinds: ['int'] };
  }
  if (base !== 'th' || len !== 16 || (offset !== 0 && offset !== 16)) return null;
  return payload({ protocol: 'th', field: offset === 0 ? 'sport' : 'dport' }, family);
}

/** The transport protocols whose headers nft can look into; a packet of another one has none of their fields. */
const HEADERS: ReadonlyMap<string, number> = new Map([
  ['icmp', ICMP],
  ['igmp', 2],
  ['tcp', TCP],
  ['udp', UDP],
  ['dccp', 33],
  ['gre', 47],
  ['gretap', 47],
  ['esp', 50],
  ['ah', 51],
  ['icmpv6', ICMPV6],
  ['comp', 108],
  ['sctp', SCTP],
  ['udplite', 136],
]);

/**
 * Whether a packet can have what the expression reads: nft tests the family and protocol of a header without listing it
 * (payload_gen_dependency in nftables src/payload.c, 1.0.6). Questions are about packets without extension headers.
 */
export function carries(json: unknown, runtime: Runtime): (flow: Flow) => boolean {
  const demands: Demand[] = [];
  collect(json, runtime, demands);
  return (flow) => demands.every((demand) => demand(flow));
}

/** Headers that a packet has only when it came through an Ethernet device. */
const LINK_HEADERS: ReadonlySet<string> = new Set(['ether', 'vlan', 'arp']);

/** A device of which it is not known may be one. */
function isEthernet(runtime: Runtime, device: string): boolean {
  return (runtime.devices.get(device)?.linkType ?? 'ether') === 'ether';
}

type Demand = (flow: Flow) => boolean;

function collect(json: unknown, runtime: Runtime, demands: Demand[]): void {
  if (Array.isArray(json)) for (const one of json) collect(one, runtime, demands);
  if (!isObject(json)) return;
  for (const [key, value] of Object.entries(json)) {
    if (key === 'tcp option') demands.push(({ protocol }) => protocol === TCP);
    else if (key === 'sctp chunk') demands.push(({ protocol }) => protocol === SCTP);
    // nft_osf_eval: only the first packet of a connection
    else if (key === 'osf') demands.push(({ protocol, flags }) => protocol === TCP && (flags & SYN) !== 0);
    else if (key === 'exthdr') demands.push(() => false);
    else if (key === 'ip option') demands.push(({ family }) => family === 4);
    else if (key === 'payload' && isObject(value)) {
      const name = stringOf(value['protocol']) ?? '';
      const number = HEADERS.get(name);
      if (number !== undefined) demands.push(({ protocol }) => protocol === number);
      if (name === 'ip' || name === 'ip6') demands.push(({ family }) => (family === 4) === (name === 'ip'));
      if (LINK_HEADERS.has(name)) demands.push(({ iif }) => iif !== null && isEthernet(runtime, iif));
    } else collect(value, runtime, demands);
  }
}

const DONT_FRAGMENT = 0x4000;

/** `ip frag-off & mask`: of a packet that is no fragment nothing is set but, perhaps, "don't fragment". */
export function fragmentBits([side, mask]: readonly unknown[]): Expression | null {
  const field = isObject(side) && isObject(side['payload']) ? side['payload'] : {};
  if (field['field'] !== 'frag-off') return null;
  if (typeof mask !== 'number' || (mask & DONT_FRAGMENT) !== 0) return null;
  return { get: () => 0, kinds: ['int'] };
}

const addressTest =
  (kind: 'src' | 'dst') =>
  (wanted: Value, negated: boolean): Test =>
    typeof wanted === 'number'
      ? { kind, value: wanted, mask: -1, negated }
      : asTest((flow) => (flow[kind] === wanted) !== negated);
