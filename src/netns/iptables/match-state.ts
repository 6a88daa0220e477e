import type { RuleOption } from '../../formats/iptables-save.js';
import { compileSet, type Dimension, type SetTest } from '../ipset.js';
import type { Evidence } from '../../formats/evidence.js';
import type { Family } from '../address.js';
import type { Test } from '../head.js';
import { ICMP, ICMPV6, TCP, UDP, type CtTuple, type Flow, type Predicate } from '../flow.js';
import { FactMissing, type Choices } from '../choices.js';
import { protocolNumber } from '../protocols.js';
import type { RouteKey, RouteResult, Routing } from '../routing.js';
import { placeOf, type Runtime } from '../runtime.js';
import type { RuleMatch } from '../../formats/iptables-save.js';
import { findsConnected } from '../tproxy.js';
import { addressTest } from './match-address.js';
import { maskedValue, numberRange, Options, type NumberRange } from './values.js';

/** Matches on what the kernel knows beside the packet. Each returns null where it does not understand an option. */
export type StateMatchCompiler = (
  match: RuleMatch,
  family: Family,
  runtime: Runtime,
  evidence: Evidence,
) => Predicate | null;

export function mark(match: RuleMatch): readonly Test[] | null {
  const options = new Options(match);
  const option = options.take('--mark');
  const wanted = maskedValue(option?.values[0]);
  if (option === null || wanted === null || !options.done) return null;
  return [{ kind: 'mark', value: wanted.value | 0, mask: wanted.mask | 0, negated: option.negated }];
}

/** connmark_mt: without a connection it never matches, `!` or not (linux net/netfilter/xt_connmark.c). */
export const connmark: StateMatchCompiler = (match) => {
  const options = new Options(match);
  const option = options.take('--mark');
  const wanted = maskedValue(option?.values[0]);
  if (option === null || wanted === null || !options.done) return null;
  const { value, mask } = wanted;
  const { negated } = option;
  return (flow) => flow.ct !== null && ((flow.ct.mark & mask) >>> 0 === value) !== negated;
};

const STATES: ReadonlySet<string> = new Set(['NEW', 'ESTABLISHED', 'RELATED', 'INVALID', 'UNTRACKED', 'SNAT', 'DNAT']);

/** conntrack_mt of linux net/netfilter/xt_conntrack.c (v6.12), `-m state` is its older form. */
export const conntrack: StateMatchCompiler = (match, family) => {
  const options = new Options(match);
  const state = options.take('--ctstate', '--state');
  const tests: ((flow: Flow) => boolean)[] = [];
  const direction = options.take('--ctdir');
  if (direction !== null) {
    const reply = direction.values[0] === 'REPLY';
    if (!reply && direction.values[0] !== 'ORIGINAL') return null;
    tests.push((flow) => (flow.ctReply === reply) !== direction.negated);
  }
  const protocol = options.take('--ctproto');
  if (protocol !== null) {
    const number = protocolNumber(protocol.values[0] ?? '');
    if (number === null) return null;
    // a template (CT --zone, before conntrack) has neither addresses nor protocol
    tests.push((flow) => ((flow.ct?.template === true ? 0 : flow.protocol) === number) !== protocol.negated);
  }
  if (!tupleTests(options, family, tests)) return null;
  const status = options.take('--ctstatus');
  if (status !== null) {
    const test = statusTest(status);
    if (test === null) return null;
    tests.push(test);
  }
  if (!options.done) return null;
  const names = new Set(state?.values[0]?.split(',') ?? []);
  if (state !== null && [...names].some((name) => !STATES.has(name))) return null;
  return (flow) => {
    const { ct } = flow;
    if (state !== null) {
      const hit =
        names.has(flow.ctState) ||
        (ct !== null && ((names.has('SNAT') && ct.srcNat) || (names.has('DNAT') && ct.dstNat)));
      if (hit === state.negated) return false;
    }
    if (ct === null) return state !== null;
    return tests.every((test) => test(flow));
  };
};

type TuplePick = (flow: Flow) => CtTuple;

function tupleTests(options: Options, family: Family, tests: ((flow: Flow) => boolean)[]): boolean {
  const original: TuplePick = (flow) => flow.ct?.original ?? NO_TUPLE;
  const reply: TuplePick = (flow) => flow.ct?.reply ?? NO_TUPLE;
  for (const [prefix, tuple] of [
    ['orig', original],
    ['repl', reply],
  ] as const) {
    for (const side of ['src', 'dst'] as const) {
      const address = options.take(`--ct${prefix}${side}`);
      if (address !== null) {
        const test = addressTest(address.values[0] ?? '', family);
        if (test === null) return false;
        tests.push((flow) => test(tuple(flow)[side]) !== address.negated);
      }
      const port = options.take(`--ct${prefix}${side}port`);
      if (port !== null) {
        const range = numberRange(port.values[0], 65535);
        if (range === null) return false;
        const key = side === 'src' ? 'sport' : 'dport';
        const icmp = icmpValue(prefix, side, range);
        tests.push((flow) => {
          if (flow.protocol === ICMP || flow.protocol === ICMPV6) return icmp(flow) !== port.negated;
          const value = tuple(flow)[key];
          return (value >= range.from && value <= range.to) !== port.negated;
        });
      }
    }
  }
  return true;
}

/** In a tuple of ICMP the identifier stands for the source port; type and code for the destination port. */
function icmpValue(prefix: 'orig' | 'repl', side: 'src' | 'dst', { from, to }: NumberRange): (flow: Flow) => boolean {
  const words = `the identifier of the ICMP echo is in ${from}-${to}`;
  return (flow) => {
    if (flow.ct === null || flow.ct.template) return from === 0;
    if (side === 'src') {
      const unknown = { fact: 'identifier of the ICMP echo', reason: 'the packet does not say' };
      return flow.choices.either(`icmp id ${from}-${to}`, words, unknown);
    }
    // echo request and echo reply: 8 and 0, of ICMPv6 128 and 129
    const type = prefix === 'orig' ? flow.icmpType : flow.family === 4 ? 0 : 129;
    return type * 256 >= from && type * 256 <= to;
  };
}

const NO_TUPLE: CtTuple = { src: 0, sport: 0, dst: 0, dport: 0 };

/** IPS_EXPECTED, IPS_SEEN_REPLY, IPS_ASSURED, IPS_CONFIRMED. */
function statusTest(option: RuleOption): ((flow: Flow) => boolean) | null {
  const names = new Set((option.values[0] ?? '').split(','));
  const known = ['NONE', 'EXPECTED', 'SEEN_REPLY', 'ASSURED', 'CONFIRMED'];
  if ([...names].some((name) => !known.includes(name))) return null;
  return (flow) => {
    const established = flow.ct !== null && (flow.ct.seenReply || flow.ctReply);
    let hit = names.has('SEEN_REPLY') && established;
    // what comes over lo has left POSTROUTING: nf_confirm has run
    if (names.has('CONFIRMED') && (established || flow.iif === 'lo')) hit = true;
    if (!hit && names.has('ASSURED') && established) {
      hit = flow.choices.either('assured', 'conntrack has seen enough to call the connection assured', null);
    }
    return hit !== option.negated;
  };
}

/** owner_mt of linux net/netfilter/xt_owner.c (v6.12): without a socket only what is negated matches. */
export const owner: StateMatchCompiler = (match, _family, _runtime, evidence) => {
  const options = new Options(match);
  const uid = options.take('--uid-owner');
  const gid = options.take('--gid-owner');
  const socket = options.take('--socket-exists');
  const supplementary = options.flag('--suppl-groups');
  const uids = uid === null ? null : numberRange(uid.values[0], 0xffffffff, '-');
  const gids = gid === null ? null : numberRange(gid.values[0], 0xffffffff, '-');
  if (!options.done || (uid !== null && uids === null) || (gid !== null && gids === null)) return null;
  return (flow) => {
    if (!flow.local) {
      return [uid, gid, socket].every((option) => option === null || option.negated);
    }
    if (socket?.negated === true) return false;
    if (uid !== null && uids !== null && processHas(flow, 'uid', uids, evidence) === uid.negated) return false;
    if (gid !== null && gids !== null) {
      let inside = processHas(flow, 'gid', gids, evidence);
      if (!inside && supplementary) {
        inside = flow.choices.either(
          `suppl ${gids.from}-${gids.to}`,
          `the sending process has a supplementary group in ${gids.from}-${gids.to}`,
          { fact: 'supplementary groups of the sending process', reason: 'not in a snapshot' },
        );
      }
      if (inside === gid.negated) return false;
    }
    return true;
  };
};

function processHas(
  flow: Flow,
  which: 'uid' | 'gid',
  range: { readonly from: number; readonly to: number },
  evidence: Evidence,
): boolean {
  const known = flow[which];
  if (known !== null) return known >= range.from && known <= range.to;
  const words = range.from === range.to ? `${which} ${range.from}` : `a ${which} in ${range.from}-${range.to}`;
  const answer = flow.choices.either(`${which} ${range.from}-${range.to}`, `the sending process has ${words}`, {
    fact: `${which} of the sending process (${placeOf(evidence)})`,
    reason: 'the packet does not say',
  });
  if (answer && range.from === range.to) flow[which] = range.from;
  return answer;
}

/** socket_match of linux net/netfilter/xt_socket.c (v6.12). */
export const socket: StateMatchCompiler = (match, _family, runtime, evidence) => {
  const options = new Options(match);
  const transparent = options.flag('--transparent');
  const nowildcard = options.flag('--nowildcard');
  const restore = options.flag('--restore-skmark');
  if (!options.done) return null;
  return (flow) => {
    if (!socketMatches(flow, runtime, { transparent, nowildcard }, evidence)) return false;
    if (restore) restoreMark(flow, evidence);
    return true;
  };
};

/** --restore-skmark: the packet gets the SO_MARK of the socket, which `ss -l` does not print. */
function restoreMark(flow: Flow, evidence: Evidence): void {
  const unknown = { fact: `SO_MARK of the socket found at ${placeOf(evidence)}`, reason: 'ss does not print it' };
  if (!flow.choices.either(`skmark ${placeOf(evidence)}`, 'the socket has no mark', unknown)) {
    throw new FactMissing(unknown);
  }
  if (flow.mark === 0) return;
  flow.mark = 0;
  flow.note('netfilter', 'mark becomes 0x0, as that of the socket', evidence);
}

interface SocketQuestion {
  readonly transparent: boolean;
  readonly nowildcard: boolean;
}

export function socketMatches(flow: Flow, runtime: Runtime, ask: SocketQuestion, evidence: Evidence): boolean {
  const { connectedSocket } = flow.packet;
  // a reply to what was sent under a translated source: the socket is bound to the original one
  const back = flow.ctReply && flow.ctState === 'ESTABLISHED' && flow.ct?.srcNat === true ? flow.ct.original : null;
  if (flow.tproxy === null && connectedSocket !== null && (back !== null || findsConnected(flow))) {
    return !ask.transparent || connectedSocket.transparent;
  }
  let found = flow.tproxy;
  if (found === null) {
    if (flow.protocol !== TCP && flow.protocol !== UDP) return false;
    found = runtime.sockets.lookup(
      flow.family,
      flow.protocol,
      back?.src ?? flow.dst,
      back?.sport ?? flow.dport,
      flow.iif,
    );
  }
  if (found === null) return false;
  if (found.wildcard && !ask.nowildcard) return false;
  if (ask.transparent && flow.tproxy === null) {
    const known = found.transparent;
    if (known !== null) return known;
    return flow.choices.either(`transparent ${found.name}`, `socket ${found.name} is transparent`, {
      fact: `IP_TRANSPARENT of socket ${found.name} (${placeOf(evidence)})`,
      reason: 'ss does not print it',
    });
  }
  return true;
}

export const set: StateMatchCompiler = (match, family, runtime, evidence) => {
  const options = new Options(match);
  const option = options.take('--match-set');
  for (const harmless of ['--update-counters', '--update-subcounters']) options.take(harmless);
  const [name, dims] = option?.values ?? [];
  if (option === null || name === undefined || dims === undefined || !options.done) return null;
  const directions = dims.split(',');
  const known = directions.filter((dim): dim is Dimension => dim === 'src' || dim === 'dst');
  if (known.length !== directions.length) return null;
  let test: SetTest | null = null;
  return (flow) => {
    test ??= setTest(runtime, name, family, known, evidence);
    return test(flow) !== option.negated;
  };
};

function setTest(
  runtime: Runtime,
  name: string,
  family: Family,
  dims: readonly Dimension[],
  evidence: Evidence,
): SetTest {
  const fact = runtime.ipsets();
  const compiled =
    fact.kind === 'unknown'
      ? { kind: 'unsupported' as const, reason: fact.unknown.reason }
      : compileSet(fact.value, name, family, dims);
  if (compiled.kind === 'test') return compiled.test;
  const unknown = {
    fact: fact.kind === 'unknown' ? `${fact.unknown.fact} (set ${name})` : `set ${name} (${placeOf(evidence)})`,
    reason: compiled.reason,
  };
  return (flow) => {
    const key = `set ${name} ${dims.join()} ${flow.src} ${flow.sport} ${flow.dst} ${flow.dport}`;
    return flow.choices.either(key, `set ${name} holds the packet's ${dims.join(',')}`, unknown);
  };
}

export const statistic: StateMatchCompiler = (match, _family, _runtime, evidence) => {
  const options = new Options(match);
  const mode = options.value('--mode');
  if (mode === 'random') {
    const option = options.take('--probability');
    const share = Number(option?.values[0]);
    if (option === null || !options.done || !(share >= 0 && share <= 1)) return null;
    const yes = option.negated ? 1 - share : share;
    return (flow) => chance(flow, yes);
  }
  const every = options.take('--every');
  options.take('--packet');
  const count = Number(every?.values[0]);
  if (mode !== 'nth' || every === null || !options.done || !(count >= 1)) return null;
  const share = every.negated ? 1 - 1 / count : 1 / count;
  const condition = `the counter of ${placeOf(evidence)} stands at its ${count}th packet`;
  return (flow) =>
    flow.choices.decide(
      null,
      [
        { probability: share, condition },
        { probability: 1 - share, condition: `not: ${condition}` },
      ],
      null,
    ) === 0;
};

function chance(flow: Flow, share: number): boolean {
  if (share >= 1) return true;
  if (share <= 0) return false;
  return (
    flow.choices.decide(
      null,
      [
        { probability: share, condition: null },
        { probability: 1 - share, condition: null },
      ],
      null,
    ) === 0
  );
}

/** rpfilter_mt of linux net/ipv4/netfilter/ipt_rpfilter.c and ipv6/netfilter/ip6t_rpfilter.c (v6.12). */
export const rpfilter: StateMatchCompiler = (match, family, runtime) => {
  const options = new Options(match);
  const loose = options.flag('--loose');
  const validmark = options.flag('--validmark');
  const acceptLocal = options.flag('--accept-local');
  const invert = options.flag('--invert');
  if (!options.done) return null;
  return (flow) => {
    if (flow.iif === 'lo') return !invert;
    if (family === 4) {
      const src = Number(flow.src);
      if (src >>> 28 === 0xe) return invert;
      if (src === 0) {
        const dst = Number(flow.dst);
        if (dst === 0xffffffff || dst >>> 8 === 0xe00000) return !invert;
      }
    } else {
      const value = BigInt(flow.src);
      if (value >> 120n === 0xffn) return invert;
      if (value === 0n) return !invert;
    }
    const linkLocal = family === 6 && BigInt(flow.src) >> 118n === 0x3fan;
    const key: RouteKey = {
      dst: flow.src,
      src: flow.dst,
      iif: 'lo',
      oif: linkLocal ? flow.iif : null,
      mark: validmark ? flow.mark : 0,
      uid: 0,
      protocol: family === 6 ? flow.protocol : 0,
      sport: 0,
      dport: 0,
    };
    const routing = runtime.routing(family);
    const back =
      family === 6 && !loose && !linkLocal
        ? preferDevice(routing, key, flow.iif, flow.choices)
        : routing.routeOf(key, flow.choices);
    const local = back.kind === 'local';
    if (back.kind !== 'unicast' && !(local && acceptLocal)) return invert;
    const uses = back.route?.nexthops.some((hop) => hop.device === flow.iif) ?? false;
    return (uses || loose || (local && acceptLocal && family === 6)) !== invert;
  };
};

/**
 * A look-up with a device but without RT6_LOOKUP_F_IFACE (rt6_device_match, linux net/ipv6/route.c, v6.12): the device
 * chooses among the routes of the longest prefix, but never leads to a shorter one.
 */
function preferDevice(routing: Routing, key: RouteKey, device: string | null, choices: Choices): RouteResult {
  const free = routing.lookup(key, choices);
  const bound = routing.lookup({ ...key, oif: device }, choices);
  const same = bound.route !== null && bound.rule === free.rule && bound.route.dst.prefix === free.route?.dst.prefix;
  return same ? bound : free;
}

/** What no packet shows: both ways, the same answer for the same rule. */
export function undecidable(name: string, evidence: Evidence, text: string): Predicate {
  const condition = `-m ${name} at ${placeOf(evidence)} matches`;
  const unknown = { fact: `state of -m ${name} (${text})`, reason: 'the packet does not decide it' };
  return (flow) => flow.choices.either(`match ${placeOf(evidence)} ${text}`, condition, unknown);
}
