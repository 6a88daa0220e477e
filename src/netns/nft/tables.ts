import type { Evidence } from '../../formats/evidence.js';
import type { NftChain, NftTable } from '../../formats/nft-ruleset.js';
import type { Family } from '../address.js';
import { FactMissing } from '../choices.js';
import { ACCEPT, CONTINUE, DROP, REJECT, RETURN, type Flow, type HookName, type Verdict } from '../flow.js';
import type { BaseChain } from '../hooks.js';
import type { Runtime } from '../runtime.js';
import { BREAK, compileStatement, NEXT, type Statement } from './statement.js';

const MAX_DEPTH = 32;

interface CompiledRule {
  readonly statements: readonly Statement[];
  readonly evidence: Evidence;
}

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
  private readonly compiled = new Map<string, readonly CompiledRule[]>();

  constructor(table: NftTable, family: Family, runtime: Runtime) {
    this.table = table;
    this.family = family;
    this.runtime = runtime;
    this.chains = new Map(table.chains.map((chain) => [chain.name, chain]));
  }

  baseChains(): readonly BaseChain[] {
    if (this.table.dormant) return [];
    return this.table.chains.flatMap((chain): readonly BaseChain[] => {
      const { base } = chain;
      const hook = base === null ? undefined : HOOKS[base.hook];
      if (base === null || hook === undefined) return [];
      const type = base.type === 'nat' || base.type === 'route' ? base.type : 'filter';
      const label = `${this.table.family} ${this.table.name} ${chain.name}`;
      return [{ hook, priority: base.priority, type, order: chain.order, label, run: (flow) => this.run(chain, flow) }];
    });
  }

  private run(chain: NftChain, flow: Flow): Verdict {
    const verdict = this.runChain(chain.name, flow, 0);
    if (verdict !== CONTINUE && verdict !== RETURN) return verdict;
    if (chain.base?.policy !== 'drop') return ACCEPT;
    flow.note('netfilter', `policy of ${chain.evidence.text} drops`, chain.evidence);
    return DROP;
  }

  /** CONTINUE: the chain was run to its end; a goto ends the chain that it leaves. */
  private runChain(name: string, flow: Flow, depth: number): Verdict {
    if (depth > MAX_DEPTH) {
      throw new FactMissing({ fact: `end of chain ${name} in table ${this.table.name}`, reason: 'jumps in a loop' });
    }
    rules: for (const { statements } of this.rulesOf(name)) {
      for (const statement of statements) {
        const result = statement(flow);
        if (result === NEXT) continue;
        if (result === BREAK) continue rules;
        switch (result.kind) {
          case 'accept':
            return ACCEPT;
          case 'drop':
            return DROP;
          case 'reject':
            return REJECT;
          case 'return':
            return CONTINUE;
          case 'continue':
            continue rules;
          case 'goto':
            return this.runChain(result.target, flow, depth + 1);
          case 'jump': {
            const verdict = this.runChain(result.target, flow, depth + 1);
            if (verdict !== CONTINUE) return verdict;
            continue rules;
          }
        }
      }
    }
    return CONTINUE;
  }

  private rulesOf(name: string): readonly CompiledRule[] {
    const known = this.compiled.get(name);
    if (known !== undefined) return known;
    const { family, runtime } = this;
    const rules = (this.chains.get(name)?.rules ?? []).map(({ expr, evidence }) => ({
      statements: expr.map((json) => compileStatement(json, { family, runtime, evidence, sets: this.table.sets })),
      evidence,
    }));
    this.compiled.set(name, rules);
    return rules;
  }
}
