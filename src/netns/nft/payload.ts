import { stringOf, type JsonObject } from '../../formats/netns-json.js';
import type { Family } from '../address.js';
import { ICMP, ICMPV6, SCTP, TCP, UDP, type Flow } from '../flow.js';
import { asTest, type Test } from '../head.js';
import type { Expression } from './context.js';
import type { Value } from './value.js';

/** A field of a header; null where it is not one that the packet's description tells. */
export function payload(json: JsonObject, family: Family): Expression | null {
  const protocol = stringOf(json['protocol']);
  const field = stringOf(json['field']);
  switch (protocol) {
    case 'ip':
    case 'ip6': {
      const own = (protocol === 'ip') === (family === 4);
      if (!own) return field === 'saddr' || field === 'daddr' ? { get: () => null, kinds: ['addr'] } : foreign(field);
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
      if (field === 'version') return { get: () => (family === 4 ? 4 : 6), kinds: ['int'] };
      return null;
    }
    case 'tcp':
    case 'udp':
    case 'sctp': {
      const number = protocol === 'tcp' ? TCP : protocol === 'udp' ? UDP : SCTP;
      if (field === 'sport') return { get: (flow) => (flow.protocol === number ? flow.sport : null), kinds: ['port'] };
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
      // of an echo request these bytes are type, code and checksum: a number that no rule names
      if (field === 'sport')
        return { get: (flow) => (isIcmp(flow) ? flow.icmpType * 256 : flow.sport), kinds: ['port'] };
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

/** A field of the other family's header: no packet here has it. */
function foreign(field: string | null): Expression {
  return { get: () => null, kinds: [field === 'protocol' || field === 'nexthdr' ? 'proto' : 'int'] };
}

function isIcmp({ protocol }: Flow): boolean {
  return protocol === ICMP || protocol === ICMPV6;
}

const addressTest =
  (kind: 'src' | 'dst') =>
  (wanted: Value, negated: boolean): Test =>
    typeof wanted === 'number'
      ? { kind, value: wanted | 0, mask: -1, negated }
      : asTest((flow) => (flow[kind] === wanted) !== negated);
