import type { RuleMatch, RuleOption } from '../../formats/iptables-save.js';
import type { Family } from '../address.js';
import type { CtTuple } from '../connection.js';
import { replyPortIn } from '../drawn-port.js';
import { ICMP, ICMPV6, type Flow } from '../flow.js';
import type { Test } from '../head.js';
import { connectionProtocol, tuplePort } from '../icmp-error.js';
import { protocolNumber } from '../protocols.js';
import type { MatchCompiler } from './compiler.js';
import { addressTest } from './match-address.js';
import { maskedValue, numberRange, Options, type NumberRange } from './values.js';

export function mark(match: RuleMatch): readonly Test[] | null {
  const options = new Options(match);
  const option = options.take('--mark');
  const wanted = maskedValue(option?.values[0]);
  if (option === null || wanted === null || !options.done) return null;
  return [{ kind: 'mark', value: wanted.value, mask: wanted.mask, negated: option.negated }];
}

/** connmark_mt: without a connection it never matches, `!` or not (linux net/netfilter/xt_connmark.c). */
export function connmark(match: RuleMatch): readonly Test[] | null {
  const options = new Options(match);
  const option = options.take('--mark');
  const wanted = maskedValue(option?.values[0]);
  if (option === null || wanted === null || !options.done) return null;
  const { negated } = option;
  return [{ kind: 'connmark', value: wanted.value | 0, mask: wanted.mask | 0, negated, templates: true }];
}

const STATES: ReadonlySet<string> = new Set(['NEW', 'ESTABLISHED', 'RELATED', 'INVALID', 'UNTRACKED', 'SNAT', 'DNAT']);

/** conntrack_mt of linux net/netfilter/xt_conntrack.c (v6.12), `-m state` is its older form. */
export const conntrack: MatchCompiler = (match, family) => {
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
    tests.push((flow) => ((flow.ct?.template === true ? 0 : connectionProtocol(flow)) === number) !== protocol.negated);
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
          const number = connectionProtocol(flow);
          if (number === ICMP || number === ICMPV6) return icmp(flow) !== port.negated;
          const { ct, choices } = flow;
          if (prefix === 'repl' && side === 'dst' && ct !== null)
            return replyPortIn(ct, range, choices) !== port.negated;
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
    const port = tuplePort(flow, prefix === 'orig' ? 'original' : 'reply');
    return port >= from && port <= to;
  };
}

const NO_TUPLE: CtTuple = { src: 0, sport: 0, dst: 0, dport: 0 };

/** IPS_EXPECTED, IPS_SEEN_REPLY, IPS_ASSURED, IPS_CONFIRMED. */
function statusTest(option: RuleOption): ((flow: Flow) => boolean) | null {
  const names = new Set((option.values[0] ?? '').split(','));
  const known = ['NONE', 'EXPECTED', 'SEEN_REPLY', 'ASSURED', 'CONFIRMED'];
  if ([...names].some((name) => !known.includes(name))) return null;
  return (flow) => {
    const established = flow.ct?.seenReply === true;
    let hit = names.has('SEEN_REPLY') && established;
    if (names.has('CONFIRMED') && flow.ct?.confirmed === true) hit = true;
    if (!hit && names.has('ASSURED') && established) {
      hit = flow.choices.either('assured', 'conntrack has seen enough to call the connection assured', null);
    }
    return hit !== option.negated;
  };
}
