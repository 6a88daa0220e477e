import type { Evidence } from '../../formats/evidence.js';
import { isObject, numberOf, stringOf, stringsOf, type JsonObject } from '../../formats/netns-json.js';
import { isLinkLocal6, isMulticast, type Addr, type Family } from '../address.js';
import { FactMissing } from '../choices.js';
import { ICMP, ICMPV6, SCTP, TCP, UDP, type Action, type Connection, type Flow } from '../flow.js';
import { asTest, type Test } from '../head.js';
import type { RouteKey, RouteResult } from '../routing.js';
import { placeOf, unsupported, type Runtime } from '../runtime.js';
import { socketMatches } from '../iptables/match-state.js';
import type { NftSet } from '../../formats/nft-ruleset.js';
import { compileMap } from './sets.js';
import { literal, type Kind, type Value } from './value.js';

/** Null: the expression has no value for this packet, and the rule does not match (NFT_BREAK). */
export type Getter = (flow: Flow) => Value | null;

export interface Expression {
  readonly get: Getter;
  /** Of each part of a concatenation; one for a plain expression. */
  readonly kinds: readonly Kind[];
  /** The uid or gid of a process, which may be unknown. */
  readonly owner?: 'uid' | 'gid';
  /** A number written in the rule. */
  readonly constant?: number;
  /** The test for one value, in one step; where there is none, `get` and a comparison. */
  readonly equals?: (wanted: Value, negated: boolean) => Test;
}

export interface NftContext {
  readonly family: Family;
  readonly runtime: Runtime;
  readonly evidence: Evidence;
  readonly sets: ReadonlyMap<string, NftSet>;
  /** The chains of the table, as what jumping to them does. */
  jump(chain: string): Action;
  goTo(chain: string): Action;
}

/** Null where the expression is not understood: the caller forks. */
export function compileExpression(json: unknown, context: NftContext, kind: Kind = 'int'): Expression | null {
  if (!isObject(json)) {
    const value = literal(json, kind, context.family);
    if (value === null) return null;
    return { get: () => value, kinds: [kind], ...(typeof value === 'number' ? { constant: value } : {}) };
  }
  if (isObject(json['payload'])) return payload(json['payload'], context.family);
  if (isObject(json['meta'])) return meta(stringOf(json['meta']['key']) ?? '', context);
  if (isObject(json['ct'])) return conntrack(json['ct'], context.family);
  if (isObject(json['fib'])) return fib(json['fib'], context);
  if (isObject(json['socket'])) return socket(json['socket'], context);
  if (isObject(json['numgen'])) return numgen(json['numgen'], context.evidence);
  if (isObject(json['jhash'])) return hashed(json['jhash'], context.evidence);
  if (isObject(json['symhash'])) return hashed(json['symhash'], context.evidence);
  if (isObject(json['map'])) return mapped(json['map'], context);
  if (Array.isArray(json['concat'])) return concat(json['concat'], context);
  for (const operator of ['&', '|', '^', '<<', '>>'] as const) {
    const sides = json[operator];
    if (Array.isArray(sides)) return binary(operator, sides, context, kind);
  }
  return null;
}

function payload(json: JsonObject, family: Family): Expression | null {
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

function meta(key: string, { family, runtime }: NftContext): Expression | null {
  switch (key) {
    case 'mark':
      return { get: (flow) => flow.mark, kinds: ['mark'], equals: markTest(0xffffffff) };
    case 'l4proto':
      return { get: (flow) => flow.protocol, kinds: ['proto'] };
    case 'nfproto':
      return { get: () => (family === 4 ? 2 : 10), kinds: ['nfproto'] };
    case 'protocol':
      return { get: () => (family === 4 ? 0x0800 : 0x86dd), kinds: ['ethertype'] };
    // nft_meta_store_ifname: a device that is not there is the empty name
    case 'iif':
    case 'iifname':
      return {
        get: (flow) => flow.iif ?? '',
        kinds: ['ifname'],
        equals: deviceTest('iif'),
      };
    case 'oif':
    case 'oifname':
      return {
        get: (flow) => flow.oif ?? '',
        kinds: ['ifname'],
        equals: deviceTest('oif'),
      };
    case 'iifkind':
      return { get: (flow) => kindOf(runtime, flow.iif), kinds: ['ifname'] };
    case 'oifkind':
      return { get: (flow) => kindOf(runtime, flow.oif), kinds: ['ifname'] };
    case 'skuid':
      return { get: (flow) => (flow.local ? flow.uid : null), kinds: ['int'], owner: 'uid' };
    case 'skgid':
      return { get: (flow) => (flow.local ? flow.gid : null), kinds: ['int'], owner: 'gid' };
    case 'pkttype':
      return { get: (flow) => (flow.route?.kind === 'broadcast' ? 1 : 0), kinds: ['pkttype'] };
    default:
      return null;
  }
}

/** nft_meta_store_ifkind: a device without rtnl_link_ops, as lo, has no kind, and the rule breaks off. */
function kindOf(runtime: Runtime, device: string | null): string | null {
  return device === null ? null : (runtime.devices.get(device)?.kind ?? null);
}

const STATE_BITS = { INVALID: 1, ESTABLISHED: 2, RELATED: 4, NEW: 8, UNTRACKED: 64 } as const;

function conntrack(json: JsonObject, family: Family): Expression | null {
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
      return { get: (flow) => (tracked(flow) === null ? null : flow.protocol), kinds: ['proto'] };
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

/** IPS_*: confirmed and assured are not known of what was only assumed; a new connection has neither. */
function statusBits(flow: Flow): number | null {
  const ct = tracked(flow);
  if (ct === null) return null;
  const { ctReply, ctState } = flow;
  const established = ct.seenReply || ctReply || ctState === 'ESTABLISHED';
  // what comes over lo has left POSTROUTING: nf_confirm has run
  const confirmed = established || flow.iif === 'lo';
  return (established ? 2 : 0) | (confirmed ? 8 : 0) | natBits(ct);
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
      return { get: (flow) => side(flow)?.sport ?? null, kinds: ['port'] };
    default:
      return { get: (flow) => side(flow)?.dport ?? null, kinds: ['port'] };
  }
}

/** IPS_SRC_NAT, IPS_DST_NAT, IPS_SRC_NAT_DONE, IPS_DST_NAT_DONE. */
function natBits({ srcNat, dstNat, srcDone, dstDone }: Connection): number {
  return (srcNat ? 16 : 0) | (dstNat ? 32 : 0) | (srcDone ? 128 : 0) | (dstDone ? 256 : 0);
}

const RTN: Readonly<Record<RouteResult['kind'], number>> = {
  unicast: 1,
  local: 2,
  broadcast: 3,
  anycast: 4,
  multicast: 5,
  blackhole: 6,
  unreachable: 7,
  prohibit: 8,
};

/** nft_fib4_eval, nft_fib6_eval and their _type kin (linux net/ipv4/netfilter/nft_fib_ipv4.c, v6.12). */
function fib(json: JsonObject, { family, runtime }: NftContext): Expression | null {
  const result = stringOf(json['result']);
  const flag = json['flags'];
  const flags = new Set(typeof flag === 'string' ? [flag] : stringsOf(flag));
  const daddr = flags.has('daddr');
  const deviceOf = (flow: Flow): string | null => (flags.has('iif') ? flow.iif : flags.has('oif') ? flow.oif : null);
  if (result === 'type') {
    return {
      get: (flow) => {
        const addr = daddr ? flow.dst : flow.src;
        const device = deviceOf(flow);
        if (family === 4) return RTN[runtime.addressType(4, addr, device, flow)];
        return fibType6(runtime, fibKey(flow, flags, 'lo'), device, flow);
      },
      kinds: ['fibtype'],
    };
  }
  if (result !== 'oif' && result !== 'oifname') return null;
  return {
    get: (flow) => {
      const found = fibDevice(flow, runtime, flags, deviceOf(flow));
      if (result === 'oifname') return found ?? '';
      return found === null ? 0 : 1;
    },
    kinds: [result === 'oif' ? 'bool' : 'ifname'],
  };
}

/**
 * What is looked up: with the protocol, without ports; a device only for link-local addresses (nft_fib6_flowi_init, linux
 * net/ipv6/netfilter/nft_fib_ipv6.c, v6.12).
 */
function fibKey(flow: Flow, flags: ReadonlySet<string>, iif: string): RouteKey {
  const daddr = flags.has('daddr');
  const dst = daddr ? flow.dst : flow.src;
  const six = flow.family === 6;
  return {
    dst,
    src: daddr ? flow.src : flow.dst,
    iif,
    oif: six && isLinkLocal6(dst) ? (flags.has('oif') ? flow.oif : flow.iif) : null,
    mark: flags.has('mark') ? flow.mark : 0,
    uid: 0,
    protocol: flow.protocol,
    sport: 0,
    dport: 0,
  };
}

function fibType6(runtime: Runtime, key: RouteKey, device: string | null, flow: Flow): number {
  const addr = key.dst;
  if (device !== null) {
    const own = runtime.devices.get(device)?.addresses ?? [];
    if (own.some(({ ip }) => ip.family === 6 && ip.value === addr)) return RTN.local;
  }
  const { kind } = runtime.routing(6).routeOf(key, flow.choices);
  if (kind === 'blackhole' || kind === 'prohibit' || kind === 'unreachable' || kind === 'anycast') return RTN[kind];
  if (kind === 'local' && device === null) return RTN.local;
  if (isMulticast(6, addr)) return RTN.multicast;
  return addr === 0n ? 0 : RTN.unicast;
}

function fibDevice(flow: Flow, runtime: Runtime, flags: ReadonlySet<string>, device: string | null): string | null {
  // nft_fib_can_skip, as seen on Linux 6.18 (nft_fib_ipv4.c of v6.12 asks it in PREROUTING alone)
  const early = flow.hook === 'PREROUTING' || flow.hook === 'INPUT';
  if (early && flow.iif === 'lo' && flow.tproxy === null) return 'lo';
  const passing = flow.hook === 'FORWARD' && flags.has('iif') && !flags.has('daddr');
  const key = fibKey(flow, flags, passing ? (flow.oif ?? 'lo') : 'lo');
  const routing = runtime.routing(flow.family);
  // nft_fib4_eval asks for the route alone, nft_fib6_eval for the way
  const back = flow.family === 4 ? routing.routeOf(key, flow.choices) : routing.lookup(key, flow.choices);
  if (back.kind !== 'unicast') return null;
  if (device === null) return back.nexthop?.device ?? null;
  return back.route?.nexthops.some((hop) => hop.device === device) === true ? device : null;
}

function socket(json: JsonObject, { runtime, evidence }: NftContext): Expression | null {
  const key = stringOf(json['key']);
  const ask = { nowildcard: true };
  if (key === 'transparent') {
    return {
      get: (flow) => {
        if (flow.hook === 'OUTPUT') return isOwnTransparent(flow) ? 1 : 0;
        if (!socketMatches(flow, runtime, { ...ask, transparent: false }, evidence)) return null;
        return socketMatches(flow, runtime, { ...ask, transparent: true }, evidence) ? 1 : 0;
      },
      kinds: ['int'],
    };
  }
  if (key !== 'wildcard') return null;
  return {
    get: (flow) => {
      // what was bound, or connected, has an address
      if (flow.hook === 'OUTPUT') return flow.protocol === TCP || flow.packet.sourceBound ? 0 : 1;
      if (!socketMatches(flow, runtime, { ...ask, transparent: false }, evidence)) return null;
      return socketMatches(flow, runtime, { ...ask, transparent: false, nowildcard: false }, evidence) ? 0 : 1;
    },
    kinds: ['int'],
  };
}

/** nft_socket_eval: in OUTPUT it is the sender's own socket that is asked for. */
function isOwnTransparent({ packet, choices }: Flow): boolean {
  if (packet.connectedSocket !== null) return packet.connectedSocket.transparent;
  return choices.either('own socket', 'the sending socket is transparent', {
    fact: 'whether the sending socket is transparent',
    reason: 'no tool prints it',
  });
}

/** More members than this are not followed one by one. */
const MAX_MEMBERS = 64;

function numgen(json: JsonObject, evidence: Evidence): Expression | null {
  const mod = numberOf(json['mod']);
  const offset = numberOf(json['offset']) ?? 0;
  if (mod === null || mod < 1) return null;
  const counted = stringOf(json['mode']) === 'inc';
  return { get: (flow) => draw(flow, mod, offset, counted ? placeOf(evidence) : null, evidence), kinds: ['int'] };
}

/** A hash over the packet: one connection always draws the same. */
function hashed(json: JsonObject, evidence: Evidence): Expression | null {
  const mod = numberOf(json['mod']);
  if (mod === null || mod < 1) return null;
  const offset = numberOf(json['offset']) ?? 0;
  return { get: (flow) => draw(flow, mod, offset, null, evidence), kinds: ['int'] };
}

function draw(flow: Flow, mod: number, offset: number, counter: string | null, evidence: Evidence): number {
  if (mod === 1) return offset;
  if (mod > MAX_MEMBERS) {
    throw new FactMissing({
      fact: `the number below ${mod} that is drawn at ${placeOf(evidence)}`,
      reason: 'too many to follow one by one',
    });
  }
  const options = Array.from({ length: mod }, (_, index) => ({
    probability: 1 / mod,
    condition: counter === null ? null : `the counter at ${counter} stands at ${index}`,
  }));
  return offset + flow.choices.decide(null, options, null);
}

function mapped(json: JsonObject, context: NftContext): Expression | null {
  const key = compileExpression(json['key'], context);
  if (key === null) return null;
  const map = compileMap(json['data'], key.kinds, context, valueKinds);
  if (map === null) return null;
  return {
    get: (flow) => {
      const value = key.get(flow);
      if (value === null) return null;
      return map(value);
    },
    kinds: ['int'],
  };
}

/** The value side of a map whose type is not spelled out: an address where it looks like one, else a number. */
function valueKinds(json: unknown, context: NftContext): Value | null {
  if (isObject(json) && Array.isArray(json['concat'])) {
    const parts = json['concat'].map((part) => valueKinds(part, context));
    return parts.some((part) => part === null) ? null : parts.flatMap((part) => (part === null ? [] : [part]));
  }
  const addr = literal(json, 'addr', context.family);
  if (typeof json === 'string' && addr !== null) return addr;
  return literal(json, 'int', context.family);
}

function concat(list: readonly unknown[], context: NftContext): Expression | null {
  const parts: Expression[] = [];
  for (const item of list) {
    const part = compileExpression(item, context);
    if (part === null || part.owner !== undefined) return null;
    parts.push(part);
  }
  return {
    get: (flow) => {
      const values: Value[] = [];
      for (const part of parts) {
        const value = part.get(flow);
        if (value === null) return null;
        values.push(value);
      }
      return values;
    },
    kinds: parts.flatMap((part) => part.kinds),
  };
}

function binary(
  operator: '&' | '|' | '^' | '<<' | '>>',
  sides: readonly unknown[],
  context: NftContext,
  kind: Kind,
): Expression | null {
  const left = compileExpression(sides[0], context, kind);
  if (left === null || left.kinds.length !== 1 || left.owner !== undefined) return null;
  let current = left;
  for (const side of sides.slice(1)) {
    const right = compileExpression(side, context, current.kinds[0] ?? kind);
    if (right === null) return null;
    const before = current.get;
    const { constant } = right;
    if (operator === '&' && constant !== undefined) {
      current = {
        get: masked(before, constant),
        kinds: current.kinds,
        ...(current === left ? maskedEquals(sides[0], constant) : {}),
      };
      continue;
    }
    current = {
      get: (flow) => {
        const a = before(flow);
        const b = right.get(flow);
        return a === null || b === null ? null : compute(operator, a, b);
      },
      kinds: current.kinds,
    };
  }
  return current;
}

/** The test in one step for a mark behind one mask. */
function maskedEquals(side: unknown, mask: number): Pick<Expression, 'equals'> {
  if (isMark('meta', side)) return { equals: markTest(mask) };
  return isMark('ct', side) ? { equals: connmarkTest(mask) } : {};
}

function isMark(of: 'meta' | 'ct', json: unknown): boolean {
  const key = isObject(json) ? json[of] : null;
  return isObject(key) && key['key'] === 'mark';
}

const markTest =
  (mask: number) =>
  (wanted: Value, negated: boolean): Test =>
    typeof wanted === 'number' && wanted >= 0 && wanted <= 0xffffffff
      ? { kind: 'mark', value: wanted | 0, mask: mask | 0, negated }
      : asTest(() => negated);

const connmarkTest =
  (mask: number) =>
  (wanted: Value, negated: boolean): Test =>
    asTest((flow) => {
      const ct = tracked(flow);
      return ct !== null && ((ct.mark & mask) >>> 0 === wanted) !== negated;
    });

const addressTest =
  (kind: 'src' | 'dst') =>
  (wanted: Value, negated: boolean): Test =>
    typeof wanted === 'number'
      ? { kind, value: wanted | 0, mask: -1, negated }
      : asTest((flow) => (flow[kind] === wanted) !== negated);

const deviceTest =
  (kind: 'iif' | 'oif') =>
  (wanted: Value, negated: boolean): Test =>
    typeof wanted === 'string' ? { kind, name: wanted, negated } : asTest(() => negated);

/** The arithmetic of most rules. */
function masked(get: Getter, mask: number): Getter {
  return (flow) => {
    const value = get(flow);
    if (typeof value === 'number') return (value & mask) >>> 0;
    return value === null ? null : compute('&', value, mask);
  };
}

function compute(operator: '&' | '|' | '^' | '<<' | '>>', a: Value, b: Value): Value | null {
  if (typeof a === 'bigint' || typeof b === 'bigint') {
    if (typeof a === 'object' || typeof b === 'object') return null;
    const [x, y] = [BigInt(a), BigInt(b)];
    if (operator === '&') return x & y;
    if (operator === '|') return x | y;
    return operator === '^' ? x ^ y : null;
  }
  if (typeof a !== 'number' || typeof b !== 'number') return null;
  switch (operator) {
    case '&':
      return (a & b) >>> 0;
    case '|':
      return (a | b) >>> 0;
    case '^':
      return (a ^ b) >>> 0;
    case '<<':
      return (a << b) >>> 0;
    case '>>':
      return a >>> b;
  }
}

export function unsupportedExpression(json: unknown, evidence: Evidence): ReturnType<typeof unsupported> {
  return unsupported(`nft expression ${JSON.stringify(json)}`, evidence);
}
