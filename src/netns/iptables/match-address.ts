import { ipv4Mask, parseCidr, parseIp } from '../../formats/ip.js';
import type { RuleMatch, RuleOption } from '../../formats/iptables-save.js';
import { isMulticast, maskTest, prefixTest, type Addr, type AddrTest, type Family } from '../address.js';
import { TCP, UDP, type Flow, type Predicate } from '../flow.js';
import type { RouteResult } from '../route-result.js';
import { protocolNumber } from '../protocols.js';
import type { Runtime } from '../runtime.js';
import { asTest, type Test } from '../head.js';
import type { MatchCompiler } from './compiler.js';
import { Options } from './values.js';

/**
 * -s, -d, -i, -o, -p, and what stands before any -m: one test each; null where an option is not understood. `-p tcp` and
 * `-p udp` are none: a rule of one protocol stands only in the list of that protocol's packets (chain.ts).
 */
export function baseTests(match: RuleMatch, family: Family): readonly Test[] | null {
  const tests: Test[] = [];
  for (const option of match.options) {
    const test = baseOption(option, family);
    if (test === null) return null;
    if (test !== ALWAYS) tests.push(test);
  }
  return tests;
}

const ALWAYS = asTest(() => true);

function baseOption({ name, values, negated }: RuleOption, family: Family): Test | null {
  // what conntrack has put together is no fragment, and questions are about whole packets
  if ((name === '-f' || name === '--fragment') && values.length === 0) return negated ? ALWAYS : asTest(() => false);
  const value = values[0];
  if (value === undefined || values.length !== 1) return null;
  switch (name) {
    case '-s':
    case '--source': {
      const masked = addressMask(value, family);
      if (masked === null) return null;
      if (masked.kind === 'test') return asTest((flow) => masked.test(flow.src) !== negated);
      return { kind: 'src', value: masked.wanted, mask: masked.mask, negated };
    }
    case '-d':
    case '--destination': {
      const masked = addressMask(value, family);
      if (masked === null) return null;
      if (masked.kind === 'test') return asTest((flow) => masked.test(flow.dst) !== negated);
      return { kind: 'dst', value: masked.wanted, mask: masked.mask, negated };
    }
    case '-i':
    case '--in-interface':
      return deviceTest('iif', value, negated);
    case '-o':
    case '--out-interface':
      return deviceTest('oif', value, negated);
    case '-p':
    case '--protocol': {
      if (value === 'all' || value === '0') return negated ? asTest(() => false) : ALWAYS;
      const number = protocolNumber(value);
      if (number === null) return null;
      if (!negated && (number === TCP || number === UDP)) return ALWAYS;
      return negated ? asTest((flow) => flow.protocol !== number) : { kind: 'protocol', protocol: number };
    }
    default:
      return null;
  }
}

/**
 * `eth0`, `eth+`, `+`: the kernel compares up to the mask; a device that is not there is the empty name.
 * iptables-nft 1.8.7 prints for `+` what it had last compared with (seen: `-d 127.0.0.0/8 -o <DEL>+`): no name, but for chance.
 */
function deviceTest(kind: 'iif' | 'oif', pattern: string, negated: boolean): Test | null {
  if (/[^\x21-\x7e]/.test(pattern)) return null;
  if (!pattern.endsWith('+')) return { kind, name: pattern, negated };
  const prefix = pattern.slice(0, -1);
  return asTest((flow) => (flow[kind] ?? '').startsWith(prefix) !== negated);
}

/** Contiguous IPv4 masks, most of all rules, as numbers; all else as a test. */
type MaskedAddress =
  | { readonly kind: 'ipv4'; readonly wanted: number; readonly mask: number }
  | { readonly kind: 'test'; readonly test: AddrTest };

function addressMask(text: string, family: Family): MaskedAddress | null {
  const cidr = family === 4 ? parseCidr(text) : null;
  if (cidr?.ip.family === 4) {
    const mask = ipv4Mask(cidr.prefix);
    return { kind: 'ipv4', wanted: cidr.ip.value & mask, mask };
  }
  const test = addressTest(text, family);
  return test === null ? null : { kind: 'test', test };
}

/** `10.0.0.0/8`, `10.0.0.0/255.0.255.0`: iptables keeps masks with holes. */
export function addressTest(text: string, family: Family): AddrTest | null {
  const cidr = parseCidr(text);
  if (cidr !== null) return prefixTest(family, cidr);
  const [base, mask] = text.split('/').map((part) => parseIp(part));
  if (base === null || base === undefined || mask === null || mask === undefined) return null;
  if (base.family !== family || mask.family !== family) return null;
  return maskTest(base.value, mask.value);
}

export const iprange: MatchCompiler = (match, family) => {
  const options = new Options(match);
  const tests: Predicate[] = [];
  for (const [name, pick] of [
    ['--src-range', (flow: Flow) => flow.src],
    ['--dst-range', (flow: Flow) => flow.dst],
  ] as const) {
    const option = options.take(name);
    if (option === null) continue;
    const [from, to] = (option.values[0] ?? '').split('-').map((part) => parseIp(part));
    if (from?.family !== family || to?.family !== family) return null;
    const { value: low } = from;
    const { value: high } = to;
    tests.push((flow) => {
      const addr: Addr = pick(flow);
      return (addr >= low && addr <= high) !== option.negated;
    });
  }
  return options.done ? (flow) => tests.every((test) => test(flow)) : null;
};

/** What IPv4 finds of each: a route that refuses ends its look-up, and the address counts as unicast (__inet_dev_addr_type). */
const TYPES: Readonly<Record<string, readonly RouteResult['kind'][]>> = {
  UNICAST: ['unicast'],
  LOCAL: ['local'],
  BROADCAST: ['broadcast'],
  ANYCAST: ['anycast'],
  MULTICAST: ['multicast'],
  BLACKHOLE: [],
  UNREACHABLE: [],
  PROHIBIT: [],
  UNSPEC: [],
  THROW: [],
  NAT: [],
  XRESOLVE: [],
};

export const addrtype: MatchCompiler = (match, family, runtime) => {
  const options = new Options(match);
  const tests: Predicate[] = [];
  const inside = options.flag('--limit-iface-in');
  const outside = options.flag('--limit-iface-out');
  for (const name of ['--src-type', '--dst-type'] as const) {
    const option = options.take(name);
    if (option === null) continue;
    const names = (option.values[0] ?? '').split(',');
    if (names.some((type) => !(type in TYPES))) return null;
    const pick = name === '--src-type' ? (flow: Flow): Addr => flow.src : (flow: Flow): Addr => flow.dst;
    const kinds = new Set(names.flatMap((type) => TYPES[type] ?? []));
    const mask = new Set(names);
    tests.push((flow) => {
      const device = inside ? flow.iif : outside ? flow.oif : null;
      const hit =
        family === 4
          ? kinds.has(runtime.addressType(4, pick(flow), device, flow))
          : addrtype6(runtime, pick(flow), device, mask, flow);
      return hit !== option.negated;
    });
  }
  return options.done ? (flow) => tests.every((test) => test(flow)) : null;
};

/** match_type6 of linux net/netfilter/xt_addrtype.c (v6.12): only LOCAL, ANYCAST and UNREACHABLE ask the routes. */
function addrtype6(
  runtime: Runtime,
  addr: Addr,
  device: string | null,
  mask: ReadonlySet<string>,
  flow: Flow,
): boolean {
  const multicast = isMulticast(addr);
  const unspecified = addr === 0n;
  if (mask.has('MULTICAST') && !multicast) return false;
  if (mask.has('UNICAST') && (multicast || unspecified)) return false;
  if (mask.has('UNSPEC') && !unspecified) return false;
  if (!mask.has('LOCAL') && !mask.has('ANYCAST') && !mask.has('UNREACHABLE')) return true;
  if (device !== null && mask.has('LOCAL') && runtime.devices.holds(device, addr)) return true;
  const kind = runtime.addressType(6, addr, device, flow);
  if (kind === 'unreachable' || kind === 'prohibit' || kind === 'blackhole') return mask.has('UNREACHABLE');
  if (kind === 'anycast') return mask.has('ANYCAST');
  // plain unicast is no bit of its own here: UNICAST,LOCAL means LOCAL
  return kind === 'local' && device === null && mask.has('LOCAL');
}
