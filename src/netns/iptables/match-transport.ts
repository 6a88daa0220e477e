import type { RuleMatch, RuleOption } from '../../formats/iptables-save.js';
import { inRange } from '../connection.js';
import { sourcePortIn } from '../drawn-port.js';
import { ACK, FIN, FLAG_BITS, ICMP, ICMPV6, RST, SCTP, SYN, TCP, UDP, type Flow, type Predicate } from '../flow.js';
import { asTest, type Test } from '../head.js';
import type { MatchCompiler } from './compiler.js';
import { numberRange, Options } from './values.js';

/** `-m tcp`, `-m udp`, `-m sctp`: the protocol is given by -p; a packet of another one never reaches the match. */
function ports(protocol: number, options: Options): readonly Test[] | null {
  const tests: Test[] = [{ kind: 'protocol', protocol }];
  const source = options.take('--sport', '--source-port');
  if (source !== null) {
    const range = numberRange(source.values[0], 65535);
    if (range === null) return null;
    tests.push(asTest((flow) => sourcePortIn(flow, range) !== source.negated));
  }
  const destination = options.take('--dport', '--destination-port');
  if (destination !== null) {
    const range = numberRange(destination.values[0], 65535);
    if (range === null) return null;
    const { negated } = destination;
    if (range.from === range.to) tests.push({ kind: 'dport', protocol, port: range.from, negated });
    else tests.push(asTest((flow) => inRange(range, flow.dport) !== negated));
  }
  return tests;
}

/** The bits of `SYN,ACK`, `ALL`, `NONE`; null where a flag is not known. */
function flagSet(text: string | undefined): number | null {
  if (text === 'NONE') return 0;
  if (text === 'ALL') return 63;
  let bits = 0;
  for (const flag of (text ?? '').split(',')) {
    const bit = FLAG_BITS.get(flag);
    if (bit === undefined) return null;
    bits |= bit;
  }
  return bits;
}

export function tcp(match: RuleMatch): readonly Test[] | null {
  const options = new Options(match);
  const first = ports(TCP, options);
  if (first === null) return null;
  const tests = [...first];
  const syn = options.take('--syn');
  const flags = options.take('--tcp-flags');
  if (syn !== null) tests.push(flagTest(SYN_MASK, SYN, syn.negated));
  if (flags !== null) {
    const mask = flagSet(flags.values[0]);
    const set = flagSet(flags.values[1]);
    if (mask === null || set === null) return null;
    tests.push(flagTest(mask, set, flags.negated));
  }
  const tcpOption = options.take('--tcp-option');
  if (tcpOption !== null) return null;
  return options.done ? tests : null;
}

const SYN_MASK = FIN | SYN | RST | ACK;

function flagTest(mask: number, set: number, negated: boolean): Test {
  return asTest((flow) => ((flow.flags & mask) === (set & mask)) !== negated);
}

export const udp = (match: RuleMatch): readonly Test[] | null => onlyPorts(UDP, match);
export const sctp = (match: RuleMatch): readonly Test[] | null => onlyPorts(SCTP, match);

function onlyPorts(protocol: number, match: RuleMatch): readonly Test[] | null {
  const options = new Options(match);
  const tests = ports(protocol, options);
  return options.done ? tests : null;
}

const ICMP_NAMES: ReadonlyMap<string, number> = new Map([
  ['any', 255],
  ['echo-reply', 0],
  ['pong', 0],
  ['destination-unreachable', 3],
  ['source-quench', 4],
  ['redirect', 5],
  ['echo-request', 8],
  ['ping', 8],
  ['router-advertisement', 9],
  ['router-solicitation', 10],
  ['time-exceeded', 11],
  ['ttl-exceeded', 11],
  ['parameter-problem', 12],
  ['timestamp-request', 13],
  ['timestamp-reply', 14],
]);

const ICMPV6_NAMES: ReadonlyMap<string, number> = new Map([
  ['destination-unreachable', 1],
  ['packet-too-big', 2],
  ['time-exceeded', 3],
  ['parameter-problem', 4],
  ['echo-request', 128],
  ['ping', 128],
  ['echo-reply', 129],
  ['pong', 129],
  ['router-solicitation', 133],
  ['router-advertisement', 134],
  ['neighbour-solicitation', 135],
  ['neighbor-solicitation', 135],
  ['neighbour-advertisement', 136],
  ['neighbor-advertisement', 136],
  ['redirect', 137],
]);

function icmpOf(family: 4 | 6, match: RuleMatch): Predicate | null {
  const options = new Options(match);
  const option: RuleOption | null = options.take('--icmp-type', '--icmpv6-type');
  if (!options.done) return null;
  const protocol = family === 4 ? ICMP : ICMPV6;
  if (option === null) return (flow) => flow.protocol === protocol;
  const text = option.values[0] ?? '';
  const match_ = /^(\d+)(?:\/(\d+))?$/.exec(text);
  const type = match_ === null ? (family === 4 ? ICMP_NAMES : ICMPV6_NAMES).get(text) : Number(match_[1]);
  if (type === undefined) return null;
  // xt_icmp takes 255 as every type, whatever the code (1.8.9 prints "any" for 255/3, 1.8.11 what was given); icmp6_match as 255
  if (family === 4 && type === 255) return (flow) => flow.protocol === protocol && !option.negated;
  const code = match_?.[2] === undefined ? null : Number(match_[2]);
  return (flow) =>
    flow.protocol === protocol &&
    (flow.icmpType === type && (code === null || flow.icmpCode === code)) !== option.negated;
}

export const icmp: MatchCompiler = (match) => icmpOf(4, match);
export const icmp6: MatchCompiler = (match) => icmpOf(6, match);

export const multiport: MatchCompiler = (match) => {
  const options = new Options(match);
  const option = options.take('--dports', '--destination-ports', '--sports', '--source-ports', '--ports', '--port');
  if (option === null || !options.done) return null;
  const ranges = (option.values[0] ?? '').split(',').map((text) => numberRange(text, 65535));
  if (ranges.includes(null)) return null;
  const hits = (port: number): boolean => ranges.some((range) => range !== null && inRange(range, port));
  const sourceHits = (flow: Flow): boolean => ranges.some((range) => range !== null && sourcePortIn(flow, range));
  const { negated, name } = option;
  const test: Predicate =
    name === '--dports' || name === '--destination-ports'
      ? (flow) => hits(flow.dport)
      : name === '--sports' || name === '--source-ports'
        ? sourceHits
        : (flow) => hits(flow.dport) || sourceHits(flow);
  return (flow) => hasPorts(flow) && test(flow) !== negated;
};

function hasPorts({ protocol }: Flow): boolean {
  return protocol === TCP || protocol === UDP || protocol === SCTP || protocol === 136 || protocol === 33;
}
