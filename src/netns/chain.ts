import type { Addr } from './address.js';
import { FactMissing } from './choices.js';
import { BREAK, CONTINUE, RETURN, type Action, type Flow, type Lane, type Predicate, type Verdict } from './flow.js';
import { admits, ANY, type Head } from './head.js';

/** A compiled rule, of iptables or nft. */
export interface Rule {
  /** Asked first, and only of packets of the lane that `protocol` names. */
  readonly head: Head;
  /** Asked of what the head admits; null: nothing more is asked. */
  readonly rest: Predicate | null;
  /** CONTINUE: the next rule; RETURN: the chain ends here. */
  readonly act: Action;
  /**
   * Packets of any other protocol fail the test, whatever else is asked before and without a fork; null: it may match any.
   */
  readonly protocol: Lane | null;
  /** Likewise the only destination that it matches (a host's address); null: any. */
  readonly dst: Addr | null;
  /** Set where the rule, test included, does nothing but run this chain (-j, not -g). */
  readonly jumpsTo: Chain | null;
}

/** From here on an index pays. */
const INDEX_FROM = 24;

/** What running a rule takes; made in one place, so that all have one shape. */
type Step = Pick<Rule, 'head' | 'rest' | 'act'>;

/** The rules of a chain for the packets of one lane. */
export interface List {
  readonly rules: readonly Step[];
  /** Rules by destination address, for long chains: kube-proxy has one rule per Service and port. */
  readonly index: { readonly byDst: ReadonlyMap<Addr, readonly number[]>; readonly rest: readonly number[] } | null;
}

/**
 * A chain, compiled when the first packet enters it; per lane only with the rules that its packets can meet. Rules that jump
 * to a chain without any such rule are left out as well.
 */
export class Chain {
  readonly size: number;
  private readonly compile: () => readonly Rule[];
  private compiled: readonly Rule[] | null = null;
  private readonly lists: (List | null)[] = [null, null, null];
  private entered = false;

  /** `size`: how many rules it has, known before they are read. */
  constructor(size: number, compile: () => readonly Rule[]) {
    this.size = size;
    this.compile = compile;
  }

  /** CONTINUE: no rule gave a verdict, or one said RETURN. */
  run(flow: Flow): Verdict {
    return runList(this.list(flow.lane), flow);
  }

  /** Whether no packet of this lane can meet a rule here. A long chain, or one that calls itself, is not looked into. */
  idle(lane: Lane): boolean {
    if (this.size === 0) return true;
    if (this.size >= INDEX_FROM || this.entered) return false;
    return this.list(lane).rules.length === 0;
  }

  list(lane: Lane): List {
    return this.lists[lane] ?? this.listFor(lane);
  }

  private listFor(lane: Lane): List {
    this.entered = true;
    this.compiled ??= this.compile();
    const rules = this.compiled.filter(
      ({ protocol, jumpsTo }) => (protocol === null || protocol === lane) && jumpsTo?.idle(lane) !== true,
    );
    const [only] = rules;
    const through = rules.length === 1 && only?.head === ANY && only.rest === null ? only.jumpsTo : null;
    // "-A PREROUTING -j ISTIO_PRERT" and nothing else: the other chain's rules are run in its place
    const list = through !== null && !through.entered ? through.list(lane) : listOf(rules);
    this.lists[lane] = list;
    this.entered = false;
    return list;
  }
}

function listOf(rules: readonly Rule[]): List {
  return { rules: rules.map(({ head, rest, act }) => ({ head, rest, act })), index: indexOf(rules) };
}

function indexOf(rules: readonly Rule[]): List['index'] {
  if (rules.length < INDEX_FROM) return null;
  const byDst = new Map<Addr, number[]>();
  const rest: number[] = [];
  rules.forEach(({ dst }, at) => {
    if (dst === null) {
      rest.push(at);
      return;
    }
    const list = byDst.get(dst);
    if (list === undefined) byDst.set(dst, [at]);
    else list.push(at);
  });
  return byDst.size > 1 ? { byDst, rest } : null;
}

/** CONTINUE: no rule gave a verdict, or one said RETURN. */
export function runList({ rules, index }: List, flow: Flow): Verdict {
  if (index !== null) return runIndexed(rules, index, flow);
  for (let at = 0; at < rules.length; at++) {
    const rule = rules[at];
    if (rule === undefined || !admits(rule.head, flow) || rule.rest?.(flow) === false) continue;
    const verdict = rule.act(flow);
    if (verdict !== CONTINUE && verdict !== BREAK) return verdict === RETURN ? CONTINUE : verdict;
  }
  return CONTINUE;
}

const NONE: readonly number[] = [];

function runIndexed(rules: readonly Step[], index: NonNullable<List['index']>, flow: Flow): Verdict {
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
    const rule = rules[at];
    if (rule === undefined || !admits(rule.head, flow) || rule.rest?.(flow) === false) continue;
    const verdict = rule.act(flow);
    if (verdict !== CONTINUE && verdict !== BREAK) return verdict === RETURN ? CONTINUE : verdict;
  }
  return CONTINUE;
}

/** -j to a user-defined chain; `tooDeep` says what cannot be known where chains call each other without an end. */
export function jump(chain: Chain, maxDepth: number, tooDeep: () => FactMissing): (flow: Flow) => Verdict {
  return (flow) => {
    if (++flow.depth > maxDepth) throw tooDeep();
    const verdict = chain.run(flow);
    flow.depth--;
    return verdict;
  };
}

/** -g: what the chain leaves undecided goes back to where this one was called from. */
export function goTo(chain: Chain, maxDepth: number, tooDeep: () => FactMissing): (flow: Flow) => Verdict {
  const run = jump(chain, maxDepth, tooDeep);
  return (flow) => {
    const verdict = run(flow);
    return verdict === CONTINUE ? RETURN : verdict;
  };
}
