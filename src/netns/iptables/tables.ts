import type { Evidence } from '../../formats/evidence.js';
import { parseCidr } from '../../formats/ip.js';
import { parseRule, type IptablesChain, type IptablesSave, type IptablesTable } from '../../formats/iptables-save.js';
import type { Addr, Family } from '../address.js';
import { FactMissing } from '../choices.js';
import { ACCEPT, CONTINUE, DROP, RETURN, type Action, type Flow, type Predicate, type Verdict } from '../flow.js';
import { placeOf, unsupported, type Runtime } from '../runtime.js';
import { compileMatch } from './matches.js';
import { compileTarget, isBuiltinTarget } from './targets.js';

/** A chain's rules, compiled when the first packet enters it. */
interface CompiledRule {
  readonly test: Predicate;
  readonly act: Action;
  /** Leaves the chain after the jump (-g). */
  readonly goto: boolean;
  readonly evidence: Evidence;
}

interface CompiledChain {
  readonly rules: readonly CompiledRule[];
  /** Rules by destination address, for long chains: kube-proxy has one rule per Service and port. */
  readonly index: { readonly byDst: ReadonlyMap<Addr, readonly number[]>; readonly rest: readonly number[] } | null;
}

/** From here on an index pays. */
const INDEX_FROM = 24;
const MAX_DEPTH = 128;

/** One table of iptables-save for one family. */
export class CompiledTable {
  readonly name: string;
  private readonly file: string;
  private readonly family: Family;
  private readonly runtime: Runtime;
  private readonly chains: ReadonlyMap<string, IptablesChain>;
  private readonly compiled = new Map<string, CompiledChain>();

  constructor(save: IptablesSave, table: IptablesTable, family: Family, runtime: Runtime) {
    this.name = table.name;
    this.file = save.file;
    this.family = family;
    this.runtime = runtime;
    this.chains = table.chains;
  }

  has(chain: string): boolean {
    return this.chains.has(chain);
  }

  /** A built-in chain with its policy. */
  run(name: string, flow: Flow): Verdict {
    const chain = this.chains.get(name);
    if (chain === undefined) return ACCEPT;
    const verdict = this.runChain(name, flow, 0);
    if (verdict !== CONTINUE && verdict !== RETURN) return verdict;
    if (chain.policy === null || chain.policy === 'ACCEPT') return ACCEPT;
    if (chain.policy === 'DROP') {
      flow.note('netfilter', `policy of ${this.name} ${name} drops`, chain.evidence);
      return DROP;
    }
    throw new FactMissing(unsupported(`policy ${chain.policy}`, chain.evidence));
  }

  private runChain(name: string, flow: Flow, depth: number): Verdict {
    if (depth > MAX_DEPTH) {
      throw new FactMissing({
        fact: `end of chain ${name} in ${this.file}`,
        reason: 'the chains call each other in a loop',
      });
    }
    const chain = this.compiled.get(name) ?? this.compile(name);
    if (chain.index === null) {
      for (const rule of chain.rules) {
        if (!rule.test(flow)) continue;
        const verdict = this.runRule(rule, flow, depth);
        if (verdict !== CONTINUE) return verdict === RETURN ? CONTINUE : verdict;
      }
      return CONTINUE;
    }
    return this.runIndexed(chain, chain.index, flow, depth);
  }

  private runRule(rule: CompiledRule, flow: Flow, depth: number): Verdict {
    this.depth = depth;
    const verdict = rule.act(flow);
    return rule.goto && verdict === CONTINUE ? RETURN : verdict;
  }

  /** Depth of the chain whose rule is running: jumps read it. */
  private depth = 0;

  private runIndexed(
    chain: CompiledChain,
    index: NonNullable<CompiledChain['index']>,
    flow: Flow,
    depth: number,
  ): Verdict {
    // the destination cannot change inside a chain that goes on: only nat targets change it, and they end the chain
    const own = index.byDst.get(flow.dst) ?? NONE;
    const { rest } = index;
    let a = 0;
    let b = 0;
    while (a < own.length || b < rest.length) {
      const left = own[a] ?? Infinity;
      const right = rest[b] ?? Infinity;
      const at = left < right ? left : right;
      if (left < right) a++;
      else b++;
      const rule = chain.rules[at];
      if (rule === undefined || !rule.test(flow)) continue;
      const verdict = this.runRule(rule, flow, depth);
      if (verdict !== CONTINUE) return verdict === RETURN ? CONTINUE : verdict;
    }
    return CONTINUE;
  }

  private compile(name: string): CompiledChain {
    const source = this.chains.get(name);
    const rules: CompiledRule[] = [];
    const byDst = new Map<Addr, number[]>();
    const rest: number[] = [];
    for (const { line, text } of source?.rules ?? []) {
      const { rule, dst } = this.compileRule({ file: this.file, line, text });
      const at = rules.length;
      rules.push(rule);
      if (dst === null) rest.push(at);
      else {
        const list = byDst.get(dst);
        if (list === undefined) byDst.set(dst, [at]);
        else list.push(at);
      }
    }
    const index = rules.length >= INDEX_FROM && byDst.size > 1 ? { byDst, rest } : null;
    const chain = { rules, index };
    this.compiled.set(name, chain);
    return chain;
  }

  private compileRule(evidence: Evidence): { rule: CompiledRule; dst: Addr | null } {
    const parsed = parseRule(evidence.text);
    if (parsed === null) {
      const unknown = unsupported(`rule "${evidence.text}"`, evidence);
      const fail: Action = () => {
        throw new FactMissing(unknown);
      };
      const condition = `the rule at ${placeOf(evidence)} matches`;
      const test: Predicate = (flow) => flow.choices.either(`rule ${placeOf(evidence)}`, condition, unknown);
      return { rule: { test, act: fail, goto: false, evidence }, dst: null };
    }
    const tests = parsed.matches
      .filter(({ name, options }) => name !== 'comment' && !(name === '' && options.length === 0))
      .map((match) => compileMatch(match, this.family, this.runtime, evidence));
    const { target } = parsed;
    let act: Action = counts;
    if (target !== null) {
      const chain = this.chains.has(target.name) && !isBuiltinTarget(target.name) ? target.name : null;
      act =
        chain === null
          ? compileTarget(target, this.family, this.runtime, evidence)
          : (flow) => this.runChain(chain, flow, this.depth + 1);
    }
    const dst = this.hostDestination(parsed.matches[0]?.options ?? []);
    return { rule: { test: conjunction(tests), act, goto: target?.goto === true, evidence }, dst };
  }

  private hostDestination(
    options: readonly { name: string; negated: boolean; values: readonly string[] }[],
  ): Addr | null {
    const option = options.find(({ name }) => name === '-d' || name === '--destination');
    if (option === undefined || option.negated) return null;
    const cidr = parseCidr(option.values[0] ?? '');
    if (cidr === null || cidr.ip.family !== this.family) return null;
    return cidr.prefix === (this.family === 4 ? 32 : 128) ? cidr.ip.value : null;
  }
}

const NONE: readonly number[] = [];
const counts: Action = () => CONTINUE;

function conjunction(tests: readonly Predicate[]): Predicate {
  const [a, b, c] = tests;
  if (a === undefined) return () => true;
  if (b === undefined) return a;
  if (c === undefined) return (flow) => a(flow) && b(flow);
  if (tests.length === 3) return (flow) => a(flow) && b(flow) && c(flow);
  return (flow) => {
    for (const test of tests) if (!test(flow)) return false;
    return true;
  };
}
