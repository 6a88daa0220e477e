import type { Unknown } from '../formats/evidence.js';
import type { Chain } from './chain.js';
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

function runBase({ rules, otherwise }: BaseChain, flow: Flow): Verdict {
  const verdict = rules.run(flow);
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

/** Chains in the order in which they run; two where no file tells whether those without a place in the listing come first. */
interface Ordered {
  readonly mixed: boolean;
  readonly legacyFirst: readonly BaseChain[];
  readonly nftFirst: readonly BaseChain[];
}

/**
 * By priority; at equal priority the chain that was registered later runs first (nf_hook_entries_grow, linux
 * net/netfilter/core.c, v6.12). Legacy tables stand before or after nft's of the same priority: which one, no file says.
 */
function ordered(chains: readonly BaseChain[]): Ordered {
  const mixed = chains.some(
    (chain) =>
      chain.order === null && chains.some((other) => other.order !== null && other.priority === chain.priority),
  );
  const sorted = (rank: (chain: BaseChain) => number): readonly BaseChain[] =>
    [...chains].sort((a, b) => a.priority - b.priority || rank(a) - rank(b) || (b.order ?? 0) - (a.order ?? 0));
  return {
    mixed,
    legacyFirst: sorted((chain) => (chain.order === null ? 0 : 1)),
    nftFirst: sorted((chain) => (chain.order === null ? 1 : 0)),
  };
}

function legacyIsFirst(flow: Flow): boolean {
  const words = 'the legacy iptables rules, and chains added later, run before the others of their priority';
  return flow.choices.either('legacy first', words, {
    fact: 'registration order of the iptables-legacy and nft tables, and of chains added later',
    reason: 'no tool prints it',
  });
}

function inOrder(chains: Ordered, flow: Flow): readonly BaseChain[] {
  return chains.mixed && legacyIsFirst(flow) ? chains.legacyFirst : chains.nftFirst;
}

function withoutIdle(chains: Ordered, lane: Lane): Ordered {
  const busy = ({ rules, otherwise }: BaseChain): boolean => otherwise !== null || !rules.idle(lane);
  return {
    mixed: chains.mixed,
    legacyFirst: chains.legacyFirst.filter(busy),
    nftFirst: chains.nftFirst.filter(busy),
  };
}

/** The filter chains before conntrack looks, between conntrack and nat, and after nat; null: there are none. */
interface Plan {
  readonly untracked: readonly BaseChain[] | null;
  readonly beforeNat: readonly BaseChain[] | null;
  readonly afterNat: readonly BaseChain[] | null;
}

function someOf(chains: readonly BaseChain[]): readonly BaseChain[] | null {
  return chains.length === 0 ? null : chains;
}

/** For the packets of one lane: chains that have nothing to say to them are left out. */
interface Plans {
  /** Null where no file tells the order. */
  readonly certain: Plan | null;
  readonly filters: Ordered;
  readonly nats: Ordered;
}

/** All of one hook: filter chains, conntrack and nat at their priorities. */
export class Hook {
  private readonly name: HookName;
  private readonly filters: Ordered;
  private readonly nats: Ordered;
  private readonly firstNat: number | null;
  private readonly tracks: boolean;
  private readonly manip: Manip | null;
  private readonly plans: (Plans | null)[] = LANES.map(() => null);

  /** `firstNat`: order of the first nat chain of the family at any hook; null: there is none. */
  constructor(name: HookName, filters: readonly BaseChain[], nats: readonly BaseChain[], firstNat: number | null) {
    this.name = name;
    this.firstNat = firstNat;
    this.filters = ordered(filters);
    this.nats = ordered(nats);
    this.tracks = name === 'PREROUTING' || name === 'OUTPUT';
    this.manip = MANIP[name];
  }

  /** ACCEPT: the packet goes on. `reroute` looks the way of a local packet up again; false: there is none. */
  run(flow: Flow, reroute: (flow: Flow) => boolean): Verdict {
    flow.hook = this.name;
    const plans = this.plans[flow.lane] ?? this.plansFor(flow.lane);
    const plan = plans.certain ?? this.planOf(plans.filters, flow);
    if (plan.untracked !== null) {
      const verdict = this.runFilters(plan.untracked, flow, reroute);
      if (verdict !== ACCEPT) return verdict;
    }
    if (this.tracks) track(flow);
    if (plan.beforeNat !== null) {
      const verdict = this.runFilters(plan.beforeNat, flow, reroute);
      if (verdict !== ACCEPT) return verdict;
    }
    if (this.manip !== null && flow.ct !== null) {
      const verdict = runNat(plans.nats, this.manip, flow, flow.ct, reroute);
      if (verdict !== ACCEPT) return verdict;
      if (flow.others !== null && this.manip === 'SRC' && this.firstNat !== null) {
        keepUnique(flow, flow.ct, flow.others);
      }
    }
    return plan.afterNat === null ? ACCEPT : this.runFilters(plan.afterNat, flow, reroute);
  }

  /**
   * What the rules say to an ICMP error of a connection whose first packet is still on its way: nat, which has not finished
   * with that, lets it pass no further (nf_nat_icmp_reply_translation).
   */
  runError(flow: Flow, reroute: (flow: Flow) => boolean): Verdict {
    flow.hook = this.name;
    const plans = this.plans[flow.lane] ?? this.plansFor(flow.lane);
    const { untracked, beforeNat, afterNat } = plans.certain ?? this.planOf(plans.filters, flow);
    const met = [...(untracked ?? []), ...(beforeNat ?? []), ...((this.firstNat === null ? afterNat : null) ?? [])];
    const verdict = this.runFilters(met, flow, reroute);
    return verdict === ACCEPT && this.firstNat !== null ? DROP : verdict;
  }

  private runFilters(chains: readonly BaseChain[], flow: Flow, reroute: (flow: Flow) => boolean): Verdict {
    for (let at = 0; at < chains.length; at++) {
      const chain = chains[at];
      if (chain === undefined) break;
      const verdict = chain.type === 'route' ? runRerouting(chain, flow, reroute) : runBase(chain, flow);
      if (verdict !== ACCEPT) return verdict;
    }
    return ACCEPT;
  }

  private plansFor(lane: Lane): Plans {
    const filters = withoutIdle(this.filters, lane);
    const sure = this.sureOf(filters.nftFirst);
    const open = filters.mixed || this.atConntrack(filters.nftFirst) > 0 || this.atNat(filters.nftFirst) > sure;
    const certain = open ? null : plan(filters.nftFirst, this.conntrack, 0, this.nat, sure);
    const plans = { certain, filters, nats: withoutIdle(this.nats, lane) };
    this.plans[lane] = plans;
    return plans;
  }

  private get conntrack(): number {
    return this.tracks ? CONNTRACK_PRIORITY : -Infinity;
  }

  private get nat(): number {
    return this.manip === null ? Infinity : this.manip === 'DST' ? DNAT_PRIORITY : SNAT_PRIORITY;
  }

  private atConntrack(chains: readonly BaseChain[]): number {
    return chains.filter(({ priority }) => priority === this.conntrack).length;
  }

  private atNat(chains: readonly BaseChain[]): number {
    return chains.filter(({ priority }) => priority === this.nat).length;
  }

  /** Chains of nat's own priority that surely run before it: registered after the first nat chain, or nat is not there. */
  private sureOf(chains: readonly BaseChain[]): number {
    const { firstNat, nat } = this;
    return chains.filter(
      ({ priority, order }) => priority === nat && (firstNat === null || (order !== null && order > firstNat)),
    ).length;
  }

  /** Where conntrack and nat stand among chains of their own priority hangs on what was registered first. */
  private planOf(filters: Ordered, flow: Flow): Plan {
    const chains = inOrder(filters, flow);
    const tracked = place(flow, `conntrack at ${this.name}`, 0, this.atConntrack(chains));
    const translated = place(flow, `nat at ${this.name}`, this.sureOf(chains), this.atNat(chains));
    return plan(chains, this.conntrack, tracked, this.nat, translated);
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

/** `tracked`, `translated`: how many chains of exactly the priority of conntrack, of nat, stand before it. */
function plan(chains: readonly BaseChain[], conntrack: number, tracked: number, nat: number, translated: number): Plan {
  const untrackedTies = chains.filter(({ priority }) => priority === conntrack).slice(0, tracked);
  const natTies = chains.filter(({ priority }) => priority === nat).slice(0, translated);
  const early = (chain: BaseChain): boolean => chain.priority < conntrack || untrackedTies.includes(chain);
  const before = (chain: BaseChain): boolean => chain.priority < nat || natTies.includes(chain);
  return {
    untracked: someOf(chains.filter(early)),
    beforeNat: someOf(chains.filter((chain) => !early(chain) && before(chain))),
    afterNat: someOf(chains.filter((chain) => !early(chain) && !before(chain))),
  };
}

/**
 * A chain of type route, which the kernel takes in OUTPUT alone, and iptables' mangle OUTPUT look the route up again when the
 * mark changed: what writes addresses there is not followed.
 */
function runRerouting(chain: BaseChain, flow: Flow, reroute: (flow: Flow) => boolean): Verdict {
  const { mark } = flow;
  const verdict = runBase(chain, flow);
  if (verdict !== ACCEPT) return verdict;
  if (mark === flow.mark) return ACCEPT;
  return reroute(flow) ? ACCEPT : DROP;
}

/** nf_nat_inet_fn, with what nf_nat_ipv4_local_fn adds to it in OUTPUT. */
function runNat(nats: Ordered, manip: Manip, flow: Flow, ct: Connection, reroute: (flow: Flow) => boolean): Verdict {
  const { dst } = flow;
  const done = manip === 'SRC' ? ct.srcDone : ct.dstDone;
  if (!done && (flow.ctState === 'NEW' || flow.ctState === 'RELATED')) {
    for (const chain of inOrder(nats, flow)) {
      const verdict = runBase(chain, flow);
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
  if (flow.hook === 'OUTPUT' && dst !== flow.dst && !reroute(flow)) return DROP;
  return ACCEPT;
}
