import { stringOf, type JsonObject } from '../../formats/netns-json.js';
import type { Addr, Family } from '../address.js';
import type { Connection } from '../connection.js';
import { replyPort } from '../drawn-port.js';
import { ICMP, ICMPV6, type Flow } from '../flow.js';
import { asTest, type Test } from '../head.js';
import { connectionProtocol, tuplePort } from '../icmp-error.js';
import type { Expression } from './context.js';
import type { Value } from './value.js';

const STATE_BITS = { INVALID: 1, ESTABLISHED: 2, RELATED: 4, NEW: 8, UNTRACKED: 64 } as const;

/** `ct [direction] <key>`; null where the key is not known. */
export function conntrack(json: JsonObject, family: Family): Expression | null {
  const key = stringOf(json['key']) ?? '';
  const direction = stringOf(json['dir']);
  switch (key) {
    case 'state':
      return { get: (flow) => STATE_BITS[flow.ctState], kinds: ['ctstate'] };
    case 'mark':
      return { get: (flow) => tracked(flow)?.mark ?? null, kinds: ['mark'] };
    case 'direction':
      return { get: (flow) => (tracked(flow) === null ? null : flow.ctReply ? 1 : 0), kinds: ['ctdir'] };
    case 'zone':
      return { get: (flow) => zoneOf(tracked(flow), direction), kinds: ['int'] };
    case 'status':
      return { get: statusBits, kinds: ['ctstatus'] };
    case 'l3proto':
      return { get: (flow) => (tracked(flow) === null ? null : family === 4 ? 2 : 10), kinds: ['nfproto'] };
    case 'protocol':
      return { get: (flow) => (tracked(flow) === null ? null : connectionProtocol(flow)), kinds: ['proto'] };
    default:
      return tuple(key, direction, family);
  }
}

/** Without a direction it is the number of the zone, whichever packets that is for (zone->id). */
function zoneOf(ct: Connection | null, direction: string | null): number | null {
  if (ct === null || direction === 'original') return ct?.zone ?? null;
  return direction === 'reply' || ct.zone === 0 ? ct.zoneReply : ct.zone;
}

/** nft_ct_get_eval: all keys but the state pass over the template that `ct zone set` leaves (seen on Linux 6.18). */
function tracked({ ct }: Flow): Connection | null {
  return ct === null || ct.template ? null : ct;
}

/** IPS_*: assured is not known; a new connection has none of them. */
function statusBits(flow: Flow): number | null {
  const ct = tracked(flow);
  if (ct === null) return null;
  return (ct.seenReply ? 2 : 0) | (ct.confirmed ? 8 : 0) | natBits(ct);
}

function tuple(key: string, direction: string | null, family: Family): Expression | null {
  const match = /^(?:(ip|ip6) )?(saddr|daddr|proto-src|proto-dst)$/.exec(key);
  if (match === null || direction === null) return null;
  if (match[1] !== undefined && (match[1] === 'ip') !== (family === 4)) return { get: () => null, kinds: ['addr'] };
  const side = (flow: Flow): { src: Addr; dst: Addr; sport: number; dport: number } | null => {
    const ct = tracked(flow);
    return ct === null ? null : direction === 'reply' ? ct.reply : ct.original;
  };
  switch (match[2]) {
    case 'saddr':
      return { get: (flow) => side(flow)?.src ?? null, kinds: ['addr'] };
    case 'daddr':
      return { get: (flow) => side(flow)?.dst ?? null, kinds: ['addr'] };
    case 'proto-src':
      return {
        get: (flow) => (side(flow) !== null && isOfIcmp(flow) ? NaN : (side(flow)?.sport ?? null)),
        kinds: ['port'],
      };
    default: {
      const way = direction === 'reply' ? 'reply' : 'original';
      const get = (flow: Flow): number | null => {
        const ct = tracked(flow);
        if (ct === null) return null;
        if (isOfIcmp(flow)) return tuplePort(flow, way);
        return way === 'reply' ? replyPort(ct) : ct.original.dport;
      };
      return { get, kinds: ['port'] };
    }
  }
}

/** In a tuple of ICMP the identifier stands for the source port, which no question tells. */
function isOfIcmp(flow: Flow): boolean {
  const protocol = connectionProtocol(flow);
  return protocol === ICMP || protocol === ICMPV6;
}

/** IPS_SRC_NAT, IPS_DST_NAT, IPS_SRC_NAT_DONE, IPS_DST_NAT_DONE. */
function natBits({ srcNat, dstNat, srcDone, dstDone }: Connection): number {
  return (srcNat ? 16 : 0) | (dstNat ? 32 : 0) | (srcDone ? 128 : 0) | (dstDone ? 256 : 0);
}

/** The test in one step for the mark of the connection behind a mask. */
export const connmarkTest =
  (mask: number) =>
  (wanted: Value, negated: boolean): Test =>
    typeof wanted === 'number' && wanted >= 0 && wanted <= 0xffffffff
      ? { kind: 'connmark', value: wanted | 0, mask: mask | 0, negated, templates: false }
      : asTest((flow) => tracked(flow) !== null && negated);
