import { isObject } from '../../formats/netns-json.js';
import type { NftChain, NftRule, NftTable } from '../../formats/nft-ruleset.js';
import type { Family } from '../address.js';
import { Chain, goTo, jump, type Rule } from '../chain.js';
import { FactMissing } from '../choices.js';
import { CONTINUE, DROP, type Action, type Flow, type HookName, type Verdict } from '../flow.js';
import { ANY, split, type Test } from '../head.js';
import type { BaseChain } from '../hook-plan.js';
import type { Runtime } from '../runtime.js';
import type { NftContext } from './context.js';
import { namesFamily } from './family.js';
import { laneOfMatch, onlyDemands } from './lane.js';
import { matchOf } from './match.js';
import { compileStatement, isSilent } from './statement.js';
import { NEXT, targetChain, type Statement } from './verdict.js';

const MAX_DEPTH = 32;

const HOOKS: Readonly<Record<string, HookName>> = {
  prerouting: 'PREROUTING',
  input: 'INPUT',
  forward: 'FORWARD',
  output: 'OUTPUT',
  postrouting: 'POSTROUTING',
};

/** One nft table for one family: an inet table is compiled once for IPv4 and once for IPv6. */
export class CompiledNftTable {
  private readonly table: NftTable;
  private readonly family: Family;
  private readonly runtime: Runtime;
  private readonly chains: ReadonlyMap<string, NftChain>;
  private readonly compiled = new Map<string, Chain>();

  constructor(table: NftTable, family: Family, runtime: Runtime) {
    this.table = table;
    this.family = family;
    this.runtime = runtime;
    this.chains = new Map(table.chains.map((chain) => [chain.name, chain]));
  }

  baseChains(): readonly BaseChain[] {
    if (this.table.dormant === true) return [];
    return this.table.chains.flatMap((chain): readonly BaseChain[] => {
      const { base } = chain;
      const hook = base === null ? undefined : HOOKS[base.hook];
      if (base === null || hook === undefined) return [];
      const type = base.type === 'nat' || base.type === 'route' ? base.type : 'filter';
      const label = `${this.table.family} ${this.table.name} ${chain.name}`;
      const chained = this.chain(chain.name);
      const policy = base.policy === 'drop' ? dropped(chain) : null;
      const known = this.table.dormant !== null;
      return [
        {
          hook,
          priority: base.priority,
          type,
          order: chain.order,
          label,
          rules: known ? chained : this.perhaps(chained, policy),
          otherwise: known ? policy : null,
        },
      ];
    });
  }

  /** The same, where nobody can say whether the table is dormant. */
  private perhaps(rules: Chain, otherwise: Action | null): Chain {
    const { family, name } = this.table;
    const awake = `table ${family} ${name} is not dormant`;
    const unknown = {
      fact: `flags of table ${family} ${name}`,
      reason: 'nft before 1.0.9 prints a single flag wrongly',
    };
    const act: Action = (flow) => {
      const verdict = rules.run(flow);
      return verdict === CONTINUE && otherwise !== null ? otherwise(flow) : verdict;
    };
    const rest = (flow: Flow): boolean => flow.choices.either(awake, awake, unknown);
    return new Chain(1, () => [{ head: ANY, rest, act, protocol: null, dst: null, jumpsTo: null }]);
  }

  private chain(name: string): Chain {
    let chain = this.compiled.get(name);
    if (chain === undefined) {
      const rules = this.chains.get(name)?.rules;
      chain =
        rules === undefined
          ? new Chain(1, () => [this.unlisted(name)])
          : new Chain(rules.length, () => rules.map((rule) => this.compileRule(rule)));
      this.compiled.set(name, chain);
    }
    return chain;
  }

  /** nft makes no jump to a chain that is not there: the list is not whole. */
  private unlisted(name: string): Rule {
    const { family, name: table } = this.table;
    const unknown = { fact: `chain ${name} of table ${family} ${table}`, reason: "nft's list does not hold it" };
    const act: Action = () => {
      throw new FactMissing(unknown);
    };
    return { head: ANY, rest: null, act, protocol: null, dst: null, jumpsTo: null };
  }

  private tooDeep(name: string): () => FactMissing {
    return () =>
      new FactMissing({ fact: `end of chain ${name} in table ${this.table.name}`, reason: 'jumps in a loop' });
  }

  /** The matches that a rule begins with, then whatever it does. */
  private compileRule({ expr, evidence }: NftRule): Rule {
    const context: NftContext = {
      family: this.family,
      runtime: this.runtime,
      evidence,
      sets: this.table.sets,
      version: this.table.version,
      anyFamily: this.table.family === 'inet' && !namesFamily(expr),
      jump: (target) => jump(this.chain(target), MAX_DEPTH, this.tooDeep(target)),
      goTo: (target) => goTo(this.chain(target), MAX_DEPTH, this.tooDeep(target)),
    };
    const loud = expr.filter((json) => !isSilent(json));
    const tests: Test[] = [];
    for (const json of loud) {
      const test = matchOf(json, context);
      if (test === null) break;
      tests.push(test);
    }
    const matches = loud.slice(0, tests.length);
    const protocol = laneOfMatch(matches);
    const rest = loud.slice(tests.length);
    const target = rest.length === 1 && isJump(rest[0]) ? targetChain(rest[0]) : null;
    return {
      ...split(tests.filter((_, at) => !onlyDemands(matches[at], protocol))),
      act: inTurn(rest.map((json) => compileStatement(json, context))),
      protocol,
      dst: null,
      jumpsTo: target === null ? null : this.chain(target),
    };
  }
}

function dropped({ evidence }: NftChain): (flow: Flow) => Verdict {
  const words = `policy of ${evidence.text} drops`;
  return (flow) => {
    flow.note('netfilter', words, evidence);
    return DROP;
  };
}

function isJump(json: unknown): boolean {
  return isObject(json) && 'jump' in json;
}

function inTurn(statements: readonly Statement[]): Action {
  const [only] = statements;
  if (statements.length === 1 && only !== undefined) return only;
  return (flow) => {
    for (const statement of statements) {
      const result = statement(flow);
      if (result !== NEXT) return result;
    }
    return CONTINUE;
  };
}
