import type { Unknown } from '../formats/evidence.js';
import { runList, type Chain, type List } from './chain.js';
import {
  ACCEPT,
  CONTINUE,
  DROP,
  LANES,
  type Connection,
  type Flow,
  type HookName,
  type Lane,
  type Verdict,
} from './flow.js';
import { isUntranslatable } from './icmp-error.js';
import { translate, type Manip } from './nat.js';
import { keepUnique } from './nat-unique.js';
import { track } from './track.js';

/** One base chain at one hook: of iptables (either back-end) or of a table of nft. */
export interface BaseChain {
  readonly hook: HookName;
  readonly priority: number;
  readonly type: 'filter' | 'nat' | 'route';
  /** Registration order as far as it can be seen; null for a legacy table, and a chain added later: no listing places them among nft's. */
  readonly order: number | null;
  /** "iptables nat OUTPUT", "inet istio-ambient-nat output". */
  readonly label: string;
  readonly rules: Chain;
  /** The policy: what becomes of a packet that no rule decides; null: it is accepted. */
  readonly otherwise: ((flow: Flow) => Verdict) | null;
}

/** A base chain for the packets of one lane, ready to run. */
interface Stage {
  readonly priority: number;
  readonly order: number | null;
  readonly list: List;
  readonly otherwise: BaseChain['otherwise'];
  /** Of type route, which the kernel takes in OUTPUT alone, and iptables' mangle OUTPUT. */
  readonly reroutes: boolean;
}

function stageOf({ priority, order, rules, otherwise, type }: BaseChain, lane: Lane): Stage {
  return { priority, order, list: rules.list(lane), otherwise, reroutes: type === 'route' };
}

function runStage({ list, otherwise }: Stage, flow: Flow): Verdict {
  const verdict = runList(list, flow);
  if (verdict !== CONTINUE) return verdict;
  return otherwise === null ? ACCEPT : otherwise(flow);
}

/** The base chains of one family, by hook; the nat chains apart, as the kernel keeps them (nf_nat_register_fn). */
export interface HookTable {
  readonly hooks: Readonly<Record<HookName, Hook>>;
  /** Rules that could not be read: every packet of the family ends as unknown. */
  readonly unknown: Unknown | null;
}

export const HOOKS: readonly HookName[] = ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'];

const CONNTRACK_PRIORITY = -200;
export const DNAT_PRIORITY = -100;
export const SNAT_PRIORITY = 100;

const MANIP: Readonly<Record<HookName, Manip | null>> = {
  PREROUTING: 'DST',
  INPUT: 'SRC',
  FORWARD: null,
  OUTPUT: 'DST',
  POSTROUTING: 'SRC',
};

/** Chains in the order in which they run. */
interface Ordered {
  /** Those without a place in the listing last. */
  readonly nftFirst: readonly Stage[];
  /** The other order, where no file tells which it is; null: there is only one. */
  readonly legacyFirst: readonly Stage[] | null;
}

/**
 * By priority; at equal priority the chain that was registered later runs first (nf_hook_entries_grow, linux
 * net/netfilter/core.c, v6.12). Legacy tables stand before or after nft's of the same priority: which one, no file says.
 */
function ordered(chains: readonly BaseChain[], lane: Lane): Ordered {
  const busy = chains.filter(({ rules, otherwise }) => otherwise !== null || !rules.idle(lane));
  const stages = busy.map((chain) => stageOf(chain, lane));
  const mixed = stages.some(
    ({ order, priority }) =>
      order === null && stages.some((other) => other.order !== null && other.priority === priority),
  );
  const sorted = (rank: (stage: Stage) => number): readonly Stage[] =>
    [...stages].sort((a, b) => a.priority - b.priority || rank(a) - rank(b) || (b.order ?? 0) - (a.order ?? 0));
  return {
    nftFirst: sorted((stage) => (stage.order === null ? 1 : 0)),
    legacyFirst: mixed ? sorted((stage) => (stage.order === null ? 0 : 1)) : null,
  };
}

function legacyIsFirst(flow: Flow): boolean {
  const words = 'the legacy iptables rules, and chains added later, run before the others of their priority';
  return flow.choices.either('legacy first', words, {
    fact: 'registration order of the iptables-legacy and nft tables, and of chains added later',
    reason: 'no tool prints it',
  });
}

function inOrder(stages: Ordered, flow: Flow): readonly Stage[] {
  return stages.legacyFirst !== null && legacyIsFirst(flow) ? stages.legacyFirst : stages.nftFirst;
}

/** The filter chains before conntrack looks, between conntrack and nat, and after nat; null: there are none. */
interface Plan {
  readonly untracked: readonly Stage[] | null;
  readonly beforeNat: readonly Stage[] | null;
  readonly afterNat: readonly Stage[] | null;
  readonly nats: Ordered;
}

function someOf(stages: readonly Stage[]): readonly Stage[] | null {
  return stages.length === 0 ? null : stages;
}

/** The chains of one lane, where no file need tell the order of all. */
interface Unplanned {
  readonly filters: Ordered;
  readonly nats: Ordered;
}

/** All of one hook: filter chains, conntrack and nat at their priorities; chains that have nothing to say are left out. */
export class Hook {
  private readonly name: HookName;
  private readonly filters: readonly BaseChain[];
  private readonly nats: readonly BaseChain[];
  private readonly firstNat: number | null;
  private readonly tracks: boolean;
  private readonly manip: Manip | null;
  /** Per lane; null: not made yet, or another one for each answer to what no file tells of the order. */
  private readonly plans: (Plan | null)[] = LANES.map(() => null);
  private readonly unplanned: (Unplanned | null)[] = LANES.map(() => null);

  /** `firstNat`: order of the first nat chain of the family at any hook; null: there is none. */
  constructor(name: HookName, filters: readonly BaseChain[], nats: readonly BaseChain[], firstNat: number | null) {
    this.name = name;
    this.firstNat = firstNat;
    this.filters = filters;
    this.nats = nats;
    this.tracks = name === 'PREROUTING' || name === 'OUTPUT';
    this.manip = MANIP[name];
  }

  /** ACCEPT: the packet goes on. `reroute` looks the way of a local packet up again; false: there is none. */
  run(flow: Flow, reroute: (flow: Flow) => boolean): Verdict {
    flow.hook = this.name;
    const { untracked, beforeNat, afterNat, nats } = this.plans[flow.lane] ?? this.planFor(flow);
    if (untracked !== null) {
      const verdict = runStages(untracked, flow, reroute);
      if (verdict !== ACCEPT) return verdict;
    }
    if (this.tracks) track(flow);
    if (beforeNat !== null) {
      const verdict = runStages(beforeNat, flow, reroute);
      if (verdict !== ACCEPT) return verdict;
    }
    if (this.manip !== null && flow.ct !== null) {
      const verdict = runNat(nats, this.manip, flow, flow.ct, reroute);
      if (verdict !== ACCEPT) return verdict;
      if (flow.others !== null && this.manip === 'SRC' && this.firstNat !== null) {
        keepUnique(flow, flow.ct, flow.others);
      }
    }
    return afterNat === null ? ACCEPT : runStages(afterNat, flow, reroute);
  }

  /**
   * What the rules say to an ICMP error of a connection whose first packet is still on its way: nat, which has not finished
   * with that, lets it pass no further (nf_nat_icmp_reply_translation).
   */
  runError(flow: Flow, reroute: (flow: Flow) => boolean): Verdict {
    flow.hook = this.name;
    const { untracked, beforeNat, afterNat } = this.plans[flow.lane] ?? this.planFor(flow);
    const met = [...(untracked ?? []), ...(beforeNat ?? []), ...((this.firstNat === null ? afterNat : null) ?? [])];
    const verdict = runStages(met, flow, reroute);
    return verdict === ACCEPT && this.firstNat !== null ? DROP : verdict;
  }

  private planFor(flow: Flow): Plan {
    const { lane } = flow;
    const chains = (this.unplanned[lane] ??= {
      filters: ordered(this.filters, lane),
      nats: ordered(this.nats, lane),
    });
    const plan = this.planOf(chains, flow);
    const ties = chains.filters.nftFirst;
    const open =
      chains.filters.legacyFirst !== null || this.atConntrack(ties) > 0 || this.atNat(ties) > this.sureOf(ties);
    if (!open) this.plans[lane] = plan;
    return plan;
  }

  private get conntrack(): number {
    return this.tracks ? CONNTRACK_PRIORITY : -Infinity;
  }

  private get nat(): number {
    return this.manip === null ? Infinity : this.manip === 'DST' ? DNAT_PRIORITY : SNAT_PRIORITY;
  }

  private atConntrack(stages: readonly Stage[]): number {
    return stages.filter(({ priority }) => priority === this.conntrack).length;
  }

  private atNat(stages: readonly Stage[]): number {
    return stages.filter(({ priority }) => priority === this.nat).length;
  }

  /** Chains of nat's own priority that surely run before it: registered after the first nat chain, or nat is not there. */
  private sureOf(stages: readonly Stage[]): number {
    const { firstNat, nat } = this;
    return stages.filter(
      ({ priority, order }) => priority === nat && (firstNat === null || (order !== null && order > firstNat)),
    ).length;
  }

  /** Where conntrack and nat stand among chains of their own priority hangs on what was registered first. */
  private planOf({ filters, nats }: Unplanned, flow: Flow): Plan {
    const stages = inOrder(filters, flow);
    const tracked = place(flow, `conntrack at ${this.name}`, 0, this.atConntrack(stages));
    const translated = place(flow, `nat at ${this.name}`, this.sureOf(stages), this.atNat(stages));
    const untrackedTies = stages.filter(({ priority }) => priority === this.conntrack).slice(0, tracked);
    const natTies = stages.filter(({ priority }) => priority === this.nat).slice(0, translated);
    const early = (stage: Stage): boolean => stage.priority < this.conntrack || untrackedTies.includes(stage);
    const before = (stage: Stage): boolean => stage.priority < this.nat || natTies.includes(stage);
    return {
      untracked: someOf(stages.filter(early)),
      beforeNat: someOf(stages.filter((stage) => !early(stage) && before(stage))),
      afterNat: someOf(stages.filter((stage) => !early(stage) && !before(stage))),
      nats,
    };
  }
}

/** How many of the chains of its priority run before something: at least `from`, at most `to`. */
function place(flow: Flow, what: string, from: number, to: number): number {
  if (from === to) return from;
  const options = Array.from({ length: to - from + 1 }, (_, at) => ({
    probability: null,
    condition: `${what} runs after ${from + at} of the chains of its priority`,
  }));
  return (
    from + flow.choices.decide(what, options, { fact: `when ${what} was registered`, reason: 'no tool prints it' })
  );
}

function runStages(stages: readonly Stage[], flow: Flow, reroute: (flow: Flow) => boolean): Verdict {
  for (let at = 0; at < stages.length; at++) {
    const stage = stages[at];
    if (stage === undefined) break;
    const verdict = stage.reroutes ? runRerouting(stage, flow, reroute) : runStage(stage, flow);
    if (verdict !== ACCEPT) return verdict;
  }
  return ACCEPT;
}

/** The route is looked up again when the mark changed: what writes addresses there is not followed. */
function runRerouting(stage: Stage, flow: Flow, reroute: (flow: Flow) => boolean): Verdict {
  const { mark } = flow;
  const verdict = runStage(stage, flow);
  if (verdict !== ACCEPT) return verdict;
  if (mark === flow.mark) return ACCEPT;
  return reroute(flow) ? ACCEPT : DROP;
}

/** nf_nat_inet_fn, with what nf_nat_ipv4_local_fn adds to it in OUTPUT. */
function runNat(nats: Ordered, manip: Manip, flow: Flow, ct: Connection, reroute: (flow: Flow) => boolean): Verdict {
  const { dst } = flow;
  const done = manip === 'SRC' ? ct.srcDone : ct.dstDone;
  if (!done && (flow.ctState === 'NEW' || flow.ctState === 'RELATED')) {
    const stages = inOrder(nats, flow);
    for (let at = 0; at < stages.length; at++) {
      const stage = stages[at];
      if (stage === undefined) break;
      const verdict = runStage(stage, flow);
      if (verdict !== ACCEPT) return verdict;
      if (manip === 'SRC' ? ct.srcDone : ct.dstDone) break;
    }
    // nf_nat_alloc_null_binding: from now on nothing translates this side any more
    if (manip === 'SRC') ct.srcDone = true;
    else ct.dstDone = true;
  } else if (isUntranslatable(flow, ct)) {
    return DROP;
  } else {
    translate(flow, ct, manip);
    if (dst !== flow.dst) {
      flow.note('netfilter', 'the destination is translated back as this connection demands', null);
    }
  }
  if (dst !== flow.dst && flow.hook === 'OUTPUT' && !reroute(flow)) return DROP;
  return ACCEPT;
}
