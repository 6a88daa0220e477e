import type { Evidence } from '../../formats/evidence.js';
import type { RuleMatch } from '../../formats/iptables-save.js';
import type { Family } from '../address.js';
import type { Predicate } from '../flow.js';
import { asTest, type Test } from '../head.js';
import { placeOf, unsupported, type Runtime } from '../runtime.js';
import type { MatchCompiler } from './compiler.js';
import { addrtype, baseTests, iprange } from './match-address.js';
import { statistic, undecidable } from './match-chance.js';
import { connmark, conntrack, mark } from './match-conntrack.js';
import { mac, pkttype } from './match-frame.js';
import { owner } from './match-owner.js';
import { physdev } from './match-physdev.js';
import { rpfilter } from './match-rpfilter.js';
import { set } from './match-set.js';
import { socket } from './match-socket.js';
import { icmp, icmp6, multiport, sctp, tcp, udp } from './match-transport.js';
import { Options } from './values.js';

const always: Predicate = () => true;

/** `-m recent --rcheck` and its like on a list that nobody can see; `--set` always matches. */
const recent: MatchCompiler = (match, _family, _runtime, evidence) => {
  const options = new Options(match);
  const set_ = options.take('--set');
  if (set_ !== null) return set_.negated ? () => false : always;
  return undecidable('recent', evidence, evidence.text);
};

const COMPILERS: ReadonlyMap<string, MatchCompiler> = new Map<string, MatchCompiler>([
  ['comment', () => always],
  ['iprange', iprange],
  ['addrtype', addrtype],
  ['icmp', icmp],
  ['icmp6', icmp6],
  ['icmpv6', icmp6],
  ['multiport', multiport],
  ['conntrack', conntrack],
  ['state', conntrack],
  ['socket', socket],
  ['set', set],
  ['statistic', statistic],
  ['physdev', physdev],
  ['rpfilter', rpfilter],
  ['recent', recent],
  ['pkttype', pkttype],
  ['mac', mac],
]);

/** Those that can stand in the head of a rule. */
const HEADS: ReadonlyMap<string, (match: RuleMatch, evidence: Evidence) => readonly Test[] | null> = new Map([
  ['tcp', tcp],
  ['udp', udp],
  ['sctp', sctp],
  ['mark', mark],
  ['connmark', connmark],
  ['owner', owner],
]);

/** Matches that depend on what happened before, on time, on contents or on programs: both ways. */
const UNDECIDABLE: ReadonlySet<string> = new Set([
  'limit',
  'hashlimit',
  'bpf',
  'cgroup',
  'time',
  'string',
  'u32',
  'connlimit',
  'connbytes',
  'quota',
  'length',
  'ttl',
  'hl',
  'tos',
  'dscp',
  'ecn',
  'helper',
]);

/** What stands before any -m, one test an option; as compileMatch where it is not understood. */
export function compileBase(match: RuleMatch, family: Family, runtime: Runtime, evidence: Evidence): readonly Test[] {
  return baseTests(match, family) ?? compileMatch(match, family, runtime, evidence);
}

/** Never null: what is not understood forks, with the words of the rule. */
export function compileMatch(match: RuleMatch, family: Family, runtime: Runtime, evidence: Evidence): readonly Test[] {
  return HEADS.get(match.name)?.(match, evidence) ?? [asTest(compileFunction(match, family, runtime, evidence))];
}

function compileFunction(match: RuleMatch, family: Family, runtime: Runtime, evidence: Evidence): Predicate {
  const compiler = COMPILERS.get(match.name);
  const compiled = compiler?.(match, family, runtime, evidence) ?? null;
  if (compiled !== null) return compiled;
  const words = wordsOf(match);
  if (compiler === undefined && UNDECIDABLE.has(match.name)) return undecidable(match.name, evidence, words);
  const unknown = unsupported(words, evidence);
  const condition = `"${words}" at ${placeOf(evidence)} matches`;
  return (flow) => flow.choices.either(`match ${placeOf(evidence)} ${words}`, condition, unknown);
}

function wordsOf({ name, options }: RuleMatch): string {
  const words = options.map(({ name: option, negated, values }) =>
    [...(negated ? ['!'] : []), option, ...values].join(' '),
  );
  return [...(name === '' ? [] : [`-m ${name}`]), ...words].join(' ');
}
