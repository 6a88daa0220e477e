import type { Evidence } from '../../formats/evidence.js';
import { parseCidr } from '../../formats/ip.js';
import {
  parseRule,
  type IptablesChain,
  type IptablesSave,
  type IptablesTable,
  type RuleOption,
} from '../../formats/iptables-save.js';
import type { Addr, Family } from '../address.js';
import { Chain, goTo, jump, type Rule } from '../chain.js';
import { FactMissing } from '../choices.js';
import { CONTINUE, DROP, laneOf, type Action, type Lane } from '../flow.js';
import { ANY, split } from '../head.js';
import type { BaseChain } from '../hook-plan.js';
import { protocolNumber } from '../protocols.js';
import { placeOf, unsupported, type Runtime } from '../runtime.js';
import { compileBase, compileMatch } from './matches.js';
import { compileTarget, isBuiltinTarget } from './targets.js';

const MAX_DEPTH = 128;

/** One table of iptables-save for one family. */
export class CompiledTable {
  readonly name: string;
  private readonly file: string;
  private readonly family: Family;
  private readonly runtime: Runtime;
  private readonly chains: ReadonlyMap<string, IptablesChain>;
  private readonly compiled = new Map<string, Chain>();

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
  builtin(name: string): Pick<BaseChain, 'rules' | 'otherwise'> {
    const source = this.chains.get(name);
    return {
      rules: this.chain(name),
      otherwise: this.policy(name, source?.policy ?? 'ACCEPT', source?.evidence),
    };
  }

  private policy(
    name: string,
    policy: string,
    evidence: Evidence = { file: this.file, text: name },
  ): BaseChain['otherwise'] {
    if (policy === 'ACCEPT') return null;
    const words = `policy of ${this.name} ${name} drops`;
    return (flow) => {
      if (policy !== 'DROP') throw new FactMissing(unsupported(`policy ${policy}`, evidence));
      flow.note('netfilter', words, evidence);
      return DROP;
    };
  }

  private chain(name: string): Chain {
    let chain = this.compiled.get(name);
    if (chain === undefined) {
      const lines = this.chains.get(name)?.rules ?? [];
      chain = new Chain(lines.length, () =>
        lines.map(({ line, text }) => this.compileRule({ file: this.file, line, text })),
      );
      this.compiled.set(name, chain);
    }
    return chain;
  }

  private compileRule(evidence: Evidence): Rule {
    const parsed = parseRule(evidence.text);
    if (parsed === null) {
      const unknown = unsupported(`rule "${evidence.text}"`, evidence);
      const fail: Action = () => {
        throw new FactMissing(unknown);
      };
      const condition = `the rule at ${placeOf(evidence)} matches`;
      return {
        head: ANY,
        rest: (flow) => flow.choices.either(`rule ${placeOf(evidence)}`, condition, unknown),
        act: fail,
        protocol: null,
        dst: null,
        jumpsTo: null,
      };
    }
    const { family, runtime } = this;
    const tests = parsed.matches
      .filter(({ name }) => name !== 'comment')
      .flatMap((match) =>
        match.name === ''
          ? compileBase(match, family, runtime, evidence)
          : compileMatch(match, family, runtime, evidence),
      );
    const first = parsed.matches[0]?.options ?? [];
    const { target } = parsed;
    const rule = { ...split(tests), protocol: protocolLane(first), dst: this.hostDestination(first) };
    if (target === null) return { ...rule, act: counts, jumpsTo: null };
    const { name } = target;
    if (!this.chains.has(name) || isBuiltinTarget(name)) {
      return { ...rule, act: compileTarget(target, this.family, this.runtime, evidence), jumpsTo: null };
    }
    const chain = this.chain(name);
    // xt_socket sets the mark while it matches: even where the chain has nothing to say, the rule must be asked
    const changes = parsed.matches.some(({ options }) => options.some(({ name }) => name === '--restore-skmark'));
    const tooDeep = (): FactMissing =>
      new FactMissing({
        fact: `end of chain ${name} in ${this.file}`,
        reason: 'the chains call each other in a loop',
      });
    if (target.goto) return { ...rule, act: goTo(chain, MAX_DEPTH, tooDeep), jumpsTo: null };
    return { ...rule, act: jump(chain, MAX_DEPTH, tooDeep), jumpsTo: changes ? null : chain };
  }

  private hostDestination(options: readonly RuleOption[]): Addr | null {
    const option = options.find(({ name }) => name === '-d' || name === '--destination');
    if (option === undefined || option.negated) return null;
    const cidr = parseCidr(option.values[0] ?? '');
    if (cidr === null || cidr.ip.family !== this.family) return null;
    return cidr.prefix === (this.family === 4 ? 32 : 128) ? cidr.ip.value : null;
  }
}

function protocolLane(options: readonly RuleOption[]): Lane | null {
  const option = options.find(({ name }) => name === '-p' || name === '--protocol');
  if (option === undefined || option.negated) return null;
  const number = protocolNumber(option.values[0] ?? '');
  return number === null || number === 0 ? null : laneOf(number);
}

const counts: Action = () => CONTINUE;
