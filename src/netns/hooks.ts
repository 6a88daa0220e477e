import type { Unknown } from '../formats/evidence.js';
import {
  ACCEPT,
  DROP,
  LANES,
  type Action,
  type Connection,
  type Flow,
  type HookName,
  type Lane,
  type Verdict,
} from './flow.js';
import { translate, type Manip } from './nat.js';
import { track } from './track.js';

/** One base chain at one hook: of iptables (either back-end) or of a table of nft. */
export interface BaseChain {
  readonly hook: HookName;
  readonly priority: number;
  readonly type: 'filter' | 'nat' | 'route';
  /** Registration order as far as it can be seen; null for a legacy table, which no listing places among nft's. */
  readonly order: number | null;
  /** "iptables nat OUTPUT", "inet istio-ambient-nat output". */
  readonly label: string;
  readonly run: Action;
  /** True where it accepts every packet of this lane without any effect. */
  idle(lane: Lane): boolean;
}

/** The base chains of one family, by hook; the nat chains apart, as the kernel keeps them (nf_nat_register_fn). */
export interface HookTable {
  readonly hooks: Readonly<Record<HookName, Hook>>;
  /** Rules that could not be read: every packet of the family ends as unknown. */
  readonly unknown: Unknown | null;
}

export const HOOKS: readonly HookName[] = ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'];

const CONNTRACK_PRIORITY = -200;
const DNAT_PRIORITY = -100;
const SNAT_PRIORITY = 100;

const MANIP: Readonly<Record<HookName, Manip | null>> = {
  PREROUTING: 'DST',
  INPUT: 'SRC',
  FORWARD: null,
  OUTPUT: 'DST',
  POSTROUTING: 'SRC',
};

/** Chains in the order in which they run; two where no file tells whether the legacy ones come first. */
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
  return flow.choices.either('legacy first', 'the legacy iptables rules run before those of nft at the same priority', {
    fact: 'registration order of the iptables-legacy and nft tables',
    reason: 'no tool prints it',
  });
}

function inOrder(chains: Ordered, flow: Flow): readonly BaseChain[] {
  return chains.mixed && legacyIsFirst(flow) ? chains.legacyFirst : chains.nftFirst;
}

function withoutIdle(chains: Ordered, lane: Lane): Ordered {
  const busy = (chain: BaseChain): boolean => !chain.idle(lane);
  return {
    mixed: chains.mixed,
    legacyFirst: chains.legacyFirst.filter(busy),
    nftFirst: chains.nftFirst.filter(busy),
  };
}

/** The filter chains before conntrack looks, between conntrack and nat, and after nat. */
interface Plan {
  readonly untracked: readonly BaseChain[];
  readonly beforeNat: readonly BaseChain[];
  readonly afterNat: readonly BaseChain[];
}

/** For the packets of one lane: chains that have nothing to say to them are left out. */
interface Plans {
  readonly mixed: boolean;
  readonly legacyFirst: Plan;
  readonly nftFirst: Plan;
  readonly nats: Ordered;
}

/** All of one hook: filter chains, conntrack and nat at their priorities. */
export class Hook {
  private readonly name: HookName;
  private readonly filters: Ordered;
  private readonly nats: Ordered;
  private readonly tracks: boolean;
  private readonly manip: Manip | null;
  private readonly plans: (Plans | null)[] = LANES.map(() => null);

  constructor(name: HookName, filters: readonly BaseChain[], nats: readonly BaseChain[]) {
    this.name = name;
    this.filters = ordered(filters);
    this.nats = ordered(nats);
    this.tracks = name === 'PREROUTING' || name === 'OUTPUT';
    this.manip = MANIP[name];
  }

  /** ACCEPT: the packet goes on. `reroute` looks the way of a local packet up again; false: there is none. */
  run(flow: Flow, reroute: (flow: Flow) => boolean): Verdict {
    flow.hook = this.name;
    const plans = this.plans[flow.lane] ?? this.plansFor(flow.lane);
    const plan = plans.mixed && legacyIsFirst(flow) ? plans.legacyFirst : plans.nftFirst;
    if (plan.untracked.length > 0) {
      const verdict = this.runFilters(plan.untracked, flow, reroute);
      if (verdict !== ACCEPT) return verdict;
    }
    if (this.tracks) track(flow);
    if (plan.beforeNat.length > 0) {
      const verdict = this.runFilters(plan.beforeNat, flow, reroute);
      if (verdict !== ACCEPT) return verdict;
    }
    if (this.manip !== null && flow.ct !== null) {
      const verdict = runNat(plans.nats, this.manip, flow, flow.ct, reroute);
      if (verdict !== ACCEPT) return verdict;
    }
    return plan.afterNat.length > 0 ? this.runFilters(plan.afterNat, flow, reroute) : ACCEPT;
  }

  private runFilters(chains: readonly BaseChain[], flow: Flow, reroute: (flow: Flow) => boolean): Verdict {
    for (let at = 0; at < chains.length; at++) {
      const chain = chains[at];
      if (chain === undefined) break;
      const verdict =
        chain.type === 'route' && this.name === 'OUTPUT' ? runRerouting(chain, flow, reroute) : chain.run(flow);
      if (verdict !== ACCEPT) return verdict;
    }
    return ACCEPT;
  }

  private plansFor(lane: Lane): Plans {
    const filters = withoutIdle(this.filters, lane);
    const plans = {
      mixed: filters.mixed,
      legacyFirst: this.plan(filters.legacyFirst),
      nftFirst: this.plan(filters.nftFirst),
      nats: withoutIdle(this.nats, lane),
    };
    this.plans[lane] = plans;
    return plans;
  }

  private plan(chains: readonly BaseChain[]): Plan {
    const tracking = this.tracks ? CONNTRACK_PRIORITY : -Infinity;
    const nat = this.manip === null ? Infinity : this.manip === 'DST' ? DNAT_PRIORITY : SNAT_PRIORITY;
    return {
      untracked: chains.filter(({ priority }) => priority <= tracking),
      beforeNat: chains.filter(({ priority }) => priority > tracking && priority <= nat),
      afterNat: chains.filter(({ priority }) => priority > nat && priority > tracking),
    };
  }
}

/** A chain of type route, and iptables' mangle OUTPUT, look the route up again when the packet changed. */
function runRerouting(chain: BaseChain, flow: Flow, reroute: (flow: Flow) => boolean): Verdict {
  const { mark, src, dst } = flow;
  const verdict = chain.run(flow);
  if (verdict !== ACCEPT) return verdict;
  if (mark === flow.mark && src === flow.src && dst === flow.dst) return ACCEPT;
  return reroute(flow) ? ACCEPT : DROP;
}

/** nf_nat_inet_fn, with what nf_nat_ipv4_local_fn adds to it in OUTPUT. */
function runNat(nats: Ordered, manip: Manip, flow: Flow, ct: Connection, reroute: (flow: Flow) => boolean): Verdict {
  const { dst } = flow;
  const done = manip === 'SRC' ? ct.srcDone : ct.dstDone;
  if (!done && (flow.ctState === 'NEW' || flow.ctState === 'RELATED')) {
    for (const chain of inOrder(nats, flow)) {
      const verdict = chain.run(flow);
      if (verdict !== ACCEPT) return verdict;
      if (manip === 'SRC' ? ct.srcDone : ct.dstDone) break;
    }
    // nf_nat_alloc_null_binding: from now on nothing translates this side any more
    if (manip === 'SRC') ct.srcDone = true;
    else ct.dstDone = true;
  } else if (translate(flow, ct, manip) && dst !== flow.dst) {
    flow.note('netfilter', 'the destination is translated back as this connection demands', null);
  }
  if (flow.hook === 'OUTPUT' && dst !== flow.dst && !reroute(flow)) return DROP;
  return ACCEPT;
}
